package p2p

import (
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/starling-sync/starling/encryption"
)

// maxBookAddrs is how many addresses an Entry holds.
const maxBookAddrs = 16

// An AddressBook remembers where devices were last reached. Load is called
// once, at the first Accept; Save after every hello, from any goroutine, never
// twice at a time. Errors are logged and otherwise ignored: the book is a
// cache. The caller of Load owns the result; Save must not keep e.Addrs.
type AddressBook interface {
	Load() ([]Entry, error)
	// Save replaces the entry of e.Device.
	Save(e Entry) error
}

// An Entry says where one device was last reached.
type Entry struct {
	Device   encryption.DeviceID
	Addrs    []string // multiaddrs without /p2p, best first, at most 16
	LastSeen time.Time
}

// memoryBook forgets with the host.
type memoryBook struct {
	mu      sync.Mutex
	entries map[encryption.DeviceID]Entry // guarded by mu
}

// NewMemoryBook returns an AddressBook that lasts as long as the process.
func NewMemoryBook() AddressBook {
	return &memoryBook{entries: map[encryption.DeviceID]Entry{}}
}

func (b *memoryBook) Load() ([]Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Entry
	for _, e := range b.entries {
		e.Addrs = slices.Clone(e.Addrs)
		out = append(out, e)
	}
	return out, nil
}

func (b *memoryBook) Save(e Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.Addrs = slices.Clone(e.Addrs)
	b.entries[e.Device] = e
	return nil
}

// addrs are the entry's addresses that this version can dial.
func (e Entry) addrs() []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, s := range e.Addrs[:min(len(e.Addrs), maxBookAddrs)] {
		if a, err := ma.NewMultiaddr(s); err == nil && dialable(a) {
			out = append(out, a)
		}
	}
	return out
}
