package virtual_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

// The kinds of store.
const (
	badger = "badger"
	memory = "memory"
)

// world is the devices of one account on one network. It is used by one goroutine.
type world struct {
	*testing.T
	net     *p2ptest.Network
	kind    string // of the stores
	devices []*device
	acked   []string // chats that were made and acknowledged
	moves   int      // addresses that were given out since the beginning
}

// device is one of them, on or off.
type device struct {
	w     *world
	name  string
	home  string // directory of identity and Badger
	ip    string
	peer  string          // the address of another device that this one was given
	book  p2p.AddressBook // outlives restarts
	disk  *store.Memory   // nil: Badger
	id    *encryption.Identity
	store *kept // while it is on, if in memory

	*replica.Replica // nil while the device is off
	host             *p2p.Host
}

// play runs a test of so many devices in a bubble of its own. All are on, know the
// first one's address, and have never met but for being linked.
func play(t *testing.T, n int, kind string, test func(w *world)) {
	t.Helper()
	if *virtualStore != "" {
		kind = *virtualStore
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, net: p2ptest.NewNetwork(t, 5*time.Millisecond)}
		defer w.end()
		w.found(n, kind)
		for _, d := range w.devices {
			d.start()
		}
		test(w)
	})
}

// end turns everything off, also after a failure: a bubble ends when all in it has.
func (w *world) end() {
	for _, d := range w.devices {
		if d.on() {
			if err := d.Close(); err != nil {
				w.Error(err)
			}
		}
	}
	w.net.Close()
}

func unlock() encryption.Unlock { return encryption.UnlockKey(make([]byte, 32)) }

// found makes the account. The first device adds the others.
func (w *world) found(n int, kind string) {
	w.Helper()
	w.kind = kind
	for i := range n {
		d := w.make(fmt.Sprint("device ", i+1), fmt.Sprint("1.0.0.", i+1))
		if i == 0 {
			_, _, err := encryption.Create(d.home, unlock(), &encryption.CreateOptions{Name: d.name, Now: time.Now()})
			w.try(err)
		} else {
			w.link(d)
		}
		w.devices = append(w.devices, d)
	}
}

// make makes a device that was given the first one's address by hand, as that was at
// the beginning. The first has the second one's.
func (w *world) make(name, ip string) *device {
	w.Helper()
	d := &device{w: w, name: name, home: w.TempDir(), ip: ip, peer: "/ip4/1.0.0.1/udp/8000/quic-v1", book: p2p.NewMemoryBook()}
	if len(w.devices) == 0 {
		d.peer = "/ip4/1.0.0.2/udp/8000/quic-v1"
	}
	switch w.kind {
	case memory:
		d.disk = store.NewMemory()
	case badger:
	default:
		w.Fatalf("no such store: %q", w.kind)
	}
	return d
}

// link adds a device by the first one, which needs no network for that.
func (w *world) link(d *device) {
	w.Helper()
	first := w.devices[0]
	if !first.on() {
		first.open(nil)
		defer first.stop()
	}
	joiner, err := encryption.NewJoiner(&encryption.JoinOptions{Name: d.name})
	w.try(err)
	transcript := encryption.Hash{1}
	welcome, err := first.AddDevice(w.Context(), joiner.Request(transcript))
	w.try(err)
	w.try(joiner.OpenWelcome(transcript, welcome))
	_, err = joiner.Save(d.home, unlock())
	w.try(err)
}

func (w *world) try(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (d *device) on() bool { return d.Replica != nil }

// start turns the device on.
func (d *device) start() {
	d.w.Helper()
	d.read()
	late := &late{w: d.w, opened: make(chan struct{})}
	host, err := d.w.net.HostAt(d.ip, &p2p.Config{
		Identity: d.id, Peers: []string{d.peer}, Book: d.book, Admit: late.admit,
	})
	d.w.try(err)
	d.host = host
	d.open(host)
	late.Replica = d.Replica
	close(late.opened)
}

// late is a replica that opens after its host.
type late struct {
	w                *world
	opened           chan struct{}
	*replica.Replica // set before opened is closed
}

func (l *late) admit(ops [][]byte) {
	<-l.opened
	if err := l.AdmitMembers(context.Background(), ops); err != nil && !errors.Is(err, replica.ErrClosed) {
		l.w.Error(err)
	}
}

// read opens the identity as a new process does.
func (d *device) read() {
	d.w.Helper()
	var err error
	d.id, err = encryption.OpenIdentity(d.home, unlock())
	d.w.try(err)
}

// open opens the replica, with a network or without.
func (d *device) open(network replica.Network) {
	d.w.Helper()
	if network == nil {
		d.read()
	}
	conf := &replica.Config{Identity: d.id, Network: network}
	if d.disk != nil {
		d.store = &kept{d.disk.Snapshot(), d}
		conf.Store = d.store
	}
	var err error
	d.Replica, err = replica.Open(d.home, conf)
	d.w.try(err)
}

// stop turns the device off.
func (d *device) stop() {
	d.w.Helper()
	d.w.try(d.Close())
	d.Replica, d.host = nil, nil
}

// crash turns the device off as a power cut does: it says nothing to anybody, and what it
// writes from now on is lost. Only a store in memory can do that; Badger is closed.
func (d *device) crash() {
	d.w.Helper()
	d.w.cut(d)
	if d.disk != nil {
		d.store.of = nil
		d.disk = d.store.Snapshot()
	}
	d.stop()
	d.w.mend(d)
}

// kept is a store in memory whose records its device keeps when it is closed.
type kept struct {
	*store.Memory
	of *device // nil: it keeps none
}

func (k *kept) Close() error {
	if k.of != nil {
		k.of.disk = k.Snapshot()
	}
	return k.Memory.Close()
}

// edit applies edits, and makes a chat that no other edit is about, by which it is known
// at the end whether anything was lost.
func (d *device) edit(edits ...model.Edit) {
	d.w.Helper()
	mark := fmt.Sprint("mark ", len(d.w.acked))
	d.apply(append(edits, model.Edit{Op: model.ChatUnread, ID: mark})...)
	d.w.acked = append(d.w.acked, mark)
}

func (d *device) apply(edits ...model.Edit) {
	d.w.Helper()
	if err := d.Apply(d.w.Context(), edits); err != nil {
		d.w.Fatalf("%s: %v", d.name, err)
	}
}

// cut loses everything between the devices of one side and the others; mend undoes it.
func (w *world) cut(side ...*device)  { w.split(w.net.Cut, side) }
func (w *world) mend(side ...*device) { w.split(w.net.Mend, side) }

func (w *world) split(do func(a, b string), side []*device) {
	inside := map[*device]bool{}
	for _, d := range side {
		inside[d] = true
	}
	for _, d := range side {
		for _, o := range w.devices {
			if !inside[o] {
				do(d.ip, o.ip)
			}
		}
	}
}

// pass lets virtual time go by.
func (w *world) pass(d time.Duration) { time.Sleep(d) }

// step is how exact convergence is timed.
const step = 10 * time.Millisecond

// converge waits until all devices that are on show the same, at most for so much
// virtual time, and returns how much it was.
func (w *world) converge(within time.Duration) time.Duration {
	w.Helper()
	begin := time.Now()
	for {
		synctest.Wait()
		all := w.statuses()
		if equal(all) {
			return time.Since(begin)
		}
		if time.Since(begin) > within {
			for i, s := range all {
				w.Logf("device %d: %+v", i+1, s)
			}
			w.Fatalf("not equal after %v", within)
		}
		time.Sleep(step)
	}
}

func (w *world) statuses() (all []model.Status) {
	w.Helper()
	for _, d := range w.devices {
		if d.on() {
			s, err := d.Status(w.Context())
			w.try(err)
			all = append(all, s)
		}
	}
	return all
}

// equal says whether all hold the same, none has changes that were not sealed.
func equal(all []model.Status) bool {
	for _, s := range all {
		if s.Frontier != all[0].Frontier || s.Fingerprint != all[0].Fingerprint || s.Counts.Pending > 0 {
			return false
		}
	}
	return true
}

// check fails the test unless all devices are whole, show the same, byte for byte, and
// have every edit that was acknowledged. They must have converged.
func (w *world) check() {
	w.Helper()
	var first string
	for _, d := range w.devices {
		s, err := d.Status(w.Context())
		w.try(err)
		if s.Counts.Faults > 0 {
			w.Errorf("%s has refused something: %+v", d.name, s.Counts)
		}
		v, err := d.Verify(w.Context())
		w.try(err)
		if !v.OK || v.Documents == 0 {
			w.Errorf("%s does not verify: %+v", d.name, v)
		}
		state, err := d.State(w.Context())
		w.try(err)
		w.marks(d, state.Chats)
		raw, err := json.Marshal(state)
		w.try(err)
		if first == "" {
			first = string(raw)
		} else if string(raw) != first {
			w.Errorf("%s shows\n%s\nand the first\n%s", d.name, raw, first)
		}
	}
}

func (w *world) marks(d *device, chats []model.Chat) {
	w.Helper()
	there := map[string]bool{}
	for _, s := range chats {
		there[s.ID] = true
	}
	for _, mark := range w.acked {
		if !there[mark] {
			w.Errorf("%s lacks %s, which was acknowledged", d.name, mark)
		}
	}
}

// disconnections does something and returns how many sessions ended meanwhile, each of
// which counts at both ends.
func (w *world) disconnections(do func()) int {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	var n atomic.Int64
	var watchers sync.WaitGroup
	for _, d := range w.devices {
		events := d.Watch(ctx, replica.Now)
		watchers.Go(func() {
			for ev := range events {
				if ev.Kind == "peer" && ev.Note == "disconnected" {
					n.Add(1)
				}
			}
		})
	}
	do()
	cancel()
	watchers.Wait()
	return int(n.Load())
}
