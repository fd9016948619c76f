package replica_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

// notes is a journal in memory. At the deadly envelope it takes what the next
// process would find, if this one ended there.
type notes struct {
	disk *faulty

	mu     sync.Mutex
	held   [][32]byte // guarded by mu
	deadly [32]byte   // guarded by mu
	died   *remains   // guarded by mu; of the first time
	begun  [][32]byte // guarded by mu; all of this life
}

// remains are what a process leaves that ends at once.
type remains struct {
	disk *store.Memory
	held [][32]byte
}

func (n *notes) Left() ([][32]byte, error) { return slices.Clone(n.held), nil }

func (n *notes) Begin(id [32]byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held, n.begun = append(n.held, id), append(n.begun, id)
	if id == n.deadly && n.died == nil {
		n.died = &remains{n.disk.Store.(*store.Memory).Snapshot(), slices.Clone(n.held)}
	}
	return nil
}

func (n *notes) End() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = nil
	return nil
}

func (n *notes) Close() error { return nil }

// end returns what is left if the process has ended at the deadly envelope.
func (n *notes) end() *remains {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.died
}

// applied returns the hashes of all envelopes that were applied, in order.
func (n *notes) applied() [][32]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.begun)
}

// life opens what a process left. It ends, for the next one, at the deadly envelope.
func life(t *testing.T, id *encryption.Identity, left *remains, deadly [32]byte) (*device, *notes) {
	t.Helper()
	d := &device{id: id, cable: newCable(), store: newFaulty(left.disk.Snapshot())}
	n := &notes{disk: d.store, held: slices.Clone(left.held), deadly: deadly}
	var err error
	d.Replica, err = replica.Open("", &replica.Config{Identity: id, Network: d.cable, Store: d.store, Journal: n})
	try(t, err)
	t.Cleanup(func() { d.Close() })
	return d, n
}

// dies has a process take what b has. For the next life it has died on the way.
func dies(t *testing.T, id *encryption.Identity, b *device, left *remains, deadly [32]byte) *remains {
	t.Helper()
	d, n := life(t, id, left, deadly)
	getEqual(t, d, b)
	return n.end()
}

// victims are two devices that each have envelopes which a third lacks, the
// third, and the hash of the second of the first one's.
func victims(t *testing.T) (id *encryption.Identity, b, c *device, deadly [32]byte) {
	t.Helper()
	a, b, c, _ := three(t)
	try(t, c.AdmitMembers(t.Context(), a.id.Ops()))
	helper := open(t, join(t, a, "helper"))
	try(t, b.AdmitMembers(t.Context(), a.id.Ops()))
	for _, chat := range []string{"one", "two", "three"} { // an envelope each
		mute(t, b, chat)
		getEqual(t, b, helper)
	}
	try(t, c.AdmitMembers(t.Context(), b.id.Ops()))
	mute(t, c, "of c")
	probe, n := life(t, a.id, &remains{disk: store.NewMemory()}, [32]byte{})
	getEqual(t, probe, b)
	if all := n.applied(); len(all) != 3 {
		t.Fatalf("%d envelopes were applied", len(all))
	} else {
		deadly = all[1]
	}
	try(t, probe.Close())
	return a.id, b, c, deadly
}

// An envelope that ends every process that applies it is set aside, and the
// others' content goes on. It takes three lives in which it was alone; it may be
// among others in the first one.
func TestDeadlyEnvelopeIsSetAside(t *testing.T) {
	id, b, c, deadly := victims(t)
	left := &remains{disk: store.NewMemory()}
	for range 2 {
		left = dies(t, id, b, left, deadly)
	}
	if len(left.held) != 1 {
		t.Fatalf("%d envelopes were under way", len(left.held))
	}
	d, n := life(t, id, left, deadly)
	for lives := 3; ; lives++ {
		events := d.Watch(t.Context(), replica.Now)
		connect(d, b)
		ev := await(t, events, func(ev model.Event) bool {
			return ev.Kind == "fault" || ev.Kind == "chat" && ev.Entity == "three"
		})
		if left = n.end(); left == nil {
			if !strings.Contains(ev.Note, replica.ErrQuarantined.Error()) {
				t.Fatalf("fault: %s", ev.Note)
			}
			break
		}
		if lives > 4 {
			t.Fatal("it is not set aside")
		}
		d, n = life(t, id, left, deadly)
	}
	events := d.Watch(t.Context(), replica.Now)
	connect(d, c)
	await(t, events, func(ev model.Event) bool { return ev.Kind == "chat" && ev.Entity == "of c" })
	if !muted(t, d, "one") || muted(t, d, "two") || !muted(t, d, "of c") {
		t.Error("not what is good of it")
	}
	verified(t, d.Replica)
	try(t, d.Close())
	var aside []replica.SetAside
	try(t, replica.Examine(t.Context(), "", &replica.Config{Identity: id, Store: d.store.left.Snapshot()}, func(x replica.Examined) {
		aside = append(aside, x.SetAside...)
	}))
	if len(aside) != 1 || aside[0].Envelope != fmt.Sprintf("%x", deadly) || aside[0].Device != b.id.Device().String() || aside[0].Seq != 2 {
		t.Errorf("an examination says that %+v is set aside", aside)
	}

	d, n = life(t, id, &remains{disk: d.store.left}, deadly) // and so it stays
	events = d.Watch(t.Context(), replica.Now)
	connect(d, b)
	await(t, events, func(ev model.Event) bool { return ev.Kind == "fault" })
	if n.end() != nil {
		t.Error("it was applied after all")
	}
}

// A process that is killed while it applies something is no reason to set it
// aside, also when that happens twice.
func TestKilledProcessSuspectsNobodyForLong(t *testing.T) {
	id, b, _, deadly := victims(t)
	left := &remains{disk: store.NewMemory()}
	for range 2 {
		left = dies(t, id, b, left, deadly)
	}
	d, _ := life(t, id, left, [32]byte{})
	getEqual(t, d, b)
	if !muted(t, d, "two") || faults(t, d) != 0 {
		t.Error("it is suspected still")
	}
	for _, r := range recordsOf(t, d.store) {
		if string(r.key) == "suspects" && len(r.value) != 1 {
			t.Errorf("suspects are %x", r.value)
		}
	}
}

// A good end clears everybody.
func TestCloseClearsSuspects(t *testing.T) {
	id, b, _, deadly := victims(t)
	left := &remains{disk: store.NewMemory()}
	for range 5 {
		left = dies(t, id, b, left, deadly)
		idle, _ := life(t, id, left, deadly)
		try(t, idle.Close())
		left = &remains{disk: idle.store.left}
	}
}
