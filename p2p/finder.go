package p2p

import (
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/starling-sync/starling/encryption"
)

// maxStrangers bounds the hosts that are dialled although no known device has
// that id: whoever sees our multicast can announce any number of them.
const maxStrangers = 16

// finder knows where devices may be and keeps dialling those that are not
// connected. It has one goroutine per target, and one that watches the network.
type finder struct {
	h       *Host
	fixed   []fixedPeer // read-only
	seed    uint64      // of all jitter; read-only
	nobody  peer.ID     // that no host has, to dial whoever answers; read-only
	watcher *watcher    // nil without discovery of any kind

	mu      sync.Mutex
	started bool              // guarded by mu
	targets map[place]*target // guarded by mu
}

// A place is what a target stands for: a device, or, as long as it is not known
// whose it is, an announced or configured host or a configured address. Exactly
// one field is set.
type place struct {
	device encryption.DeviceID
	host   peer.ID
	addr   string
}

type fixedPeer struct {
	addr ma.Multiaddr
	id   peer.ID // empty: not known
}

func newFinder(h *Host, c *Config) (*finder, error) {
	f := &finder{h: h, seed: c.seed, targets: map[place]*target{}}
	if f.seed == 0 {
		f.seed = h.sessions.run
	}
	if len(c.Peers) > maxPeers {
		return nil, fmt.Errorf("%d peers, at most %d: %w", len(c.Peers), maxPeers, ErrPeerAddr)
	}
	for _, s := range c.Peers {
		addr, id, err := parsePeer(s)
		if err != nil {
			return nil, err
		}
		f.fixed = append(f.fixed, fixedPeer{addr, id})
	}
	var seed [32]byte
	crand.Read(seed[:]) // never fails, see crypto/rand
	var err error
	if f.nobody, err = hostID(seed); err != nil {
		return nil, err
	}
	f.watcher = newWatcher(h, c)
	return f, nil
}

// start begins to dial and to discover.
func (f *finder) start() {
	f.mu.Lock()
	f.started = true
	f.mu.Unlock()
	for _, p := range f.fixed {
		f.learn(f.placeOf(p), configured, p.addr)
	}
	f.recall()
	if f.watcher != nil {
		f.h.spawn(func() { f.watcher.run(f.h.ctx) })
	}
}

// recall begins to dial the devices whose addresses are remembered.
func (f *finder) recall() {
	entries, err := f.h.book.Load()
	if err != nil {
		f.h.log.Warn("remembered addresses are not available", "err", err)
	}
	for _, e := range entries {
		if f.h.account.wanted(e.Device) {
			f.learn(place{device: e.Device}, remembered, e.addrs()...)
		}
	}
}

// placeOf is the device of a configured address, if its id says which.
func (f *finder) placeOf(p fixedPeer) place {
	if a, known := f.h.current.Load().known[p.id]; known {
		return place{device: a.device}
	}
	if p.id != "" {
		return place{host: p.id}
	}
	return place{addr: p.addr.String()}
}

// A source says how an address became known; a higher one is kept longer.
type source int

const (
	announced  source = iota // by multicast, which anybody can forge
	remembered               // told by the device itself or dialled with success
	configured
)

// heard takes the announcement of a host under a name of an epoch. Hosts that
// are not of a known device are only dialled within maxStrangers.
func (f *finder) heard(id peer.ID, tag encryption.EpochTag, addrs []ma.Multiaddr) {
	at := place{host: id}
	s := f.h.sessions.with(id)
	if a, known := f.h.current.Load().known[id]; known {
		at, tag, s = place{device: a.device}, a.epoch, f.h.sessions.of(a.device)
	}
	if t := f.learn(at, announced, addrs...); t != nil {
		t.hint(tag)
	}
	if s != nil {
		s.doubt() // a host announces itself anew when it starts or its network changes
	}
}

// learn adds addresses of a place and wakes whoever dials it, which it returns;
// nil, if nobody does.
func (f *finder) learn(at place, from source, addrs ...ma.Multiaddr) *target {
	if at.device == f.h.account.device() || at.host == f.h.end.id() || len(addrs) == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.targets[at]
	if t == nil {
		if at.device.IsZero() && from == announced && f.strangers() >= maxStrangers {
			return nil
		}
		if t = f.add(at); t == nil {
			return nil
		}
	}
	if t.add(from, addrs) {
		t.wake()
	}
	return t
}

// add needs mu. It returns nil while the finder has not started, and when the
// host is closed.
func (f *finder) add(at place) *target {
	if !f.started {
		return nil
	}
	n := uint64(len(f.targets))
	t := newTarget(f, at, rand.New(rand.NewPCG(f.seed, n)))
	if !f.h.spawn(t.run) {
		return nil
	}
	f.targets[at] = t
	return t
}

// strangers needs mu.
func (f *finder) strangers() int {
	n := 0
	for _, t := range f.targets {
		if t.stranger() {
			n++
		}
	}
	return n
}

func (f *finder) forget(t *target) {
	defer f.h.log.Debug("no longer dialled", "place", t.at)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.targets, t.at)
}

// of returns the targets that lead to a device.
func (f *finder) of(d encryption.DeviceID) []*target {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*target
	for _, t := range f.targets {
		if t.leadsTo() == d {
			out = append(out, t)
		}
	}
	return out
}

// wakeAll is called when the network or the membership has changed.
func (f *finder) wakeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.targets {
		t.wake()
	}
}

// connected notes where a device that said hello can be dialled.
func (f *finder) connected(s *session, theirs []ma.Multiaddr) {
	addrs := slices.Clone(theirs)
	if remote := s.conn.RemoteMultiaddr(); s.peer.Outbound || !isTCP(remote) {
		addrs = append([]ma.Multiaddr{remote}, addrs...)
	}
	addrs = slices.DeleteFunc(ma.Unique(addrs), func(a ma.Multiaddr) bool { return !dialable(a) })
	addrs = addrs[:min(len(addrs), maxBookAddrs)]
	f.learn(place{device: s.peer.Device}, remembered, addrs...)
	for _, t := range f.of(s.peer.Device) {
		t.began()
	}
	e := Entry{Device: s.peer.Device, LastSeen: f.h.clock.now()}
	for _, a := range addrs {
		e.Addrs = append(e.Addrs, a.String())
	}
	f.h.save(e)
}

func (f *finder) disconnected(s *session) {
	for _, t := range f.of(s.peer.Device) {
		t.ended()
	}
}
