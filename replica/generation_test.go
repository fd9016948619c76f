package replica_test

import (
	"errors"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

// outside is a number that no rollback of a store changes.
type outside struct {
	n            uint64
	noLoad, full error
}

func (o *outside) Load() (uint64, error) { return o.n, o.noLoad }

func (o *outside) Save(n uint64) error {
	if o.full == nil {
		o.n = n
	}
	return o.full
}

// remembered opens a device on what a memory store had, with a number outside.
func remembered(t *testing.T, id *encryption.Identity, disk *store.Memory, g *outside) *device {
	t.Helper()
	d := &device{id: id, cable: newCable(), store: newFaulty(disk.Snapshot())}
	var err error
	d.Replica, err = replica.Open("", &replica.Config{Identity: id, Network: d.cable, Store: d.store, Generation: g})
	try(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func taken(d *device) *store.Memory { return d.store.Store.(*store.Memory).Snapshot() }

// An older state that was put back in its place is noticed at Open, with nobody
// to ask: one from before the last Close, and one from before the last crash. The
// state that was there last is not, after neither.
func TestOlderStateIsNoticedByItsNumber(t *testing.T) {
	id, g := create(t), &outside{}
	d := remembered(t, id, store.NewMemory(), g)
	early := taken(d)
	try(t, d.Apply(t.Context(), []model.Edit{unread("x")}))
	try(t, d.Close())
	closed := d.store.left
	d = remembered(t, id, closed, g)
	crashed := taken(d)
	again := remembered(t, id, crashed, g)
	if faults(t, d)+faults(t, again) != 0 {
		t.Fatal("the last state counts as an older one")
	}
	for _, older := range []*store.Memory{early, closed} {
		d := remembered(t, id, older, g)
		if n := faults(t, d); n != 1 {
			t.Errorf("%d faults, want to be told once", n)
		}
		try(t, d.Apply(t.Context(), []model.Edit{unread("y")}))
		try(t, d.Close())
		if d = remembered(t, id, d.store.left, g); faults(t, d) != 0 {
			t.Error("told twice")
		}
	}
}

// Without the number everything else goes on.
func TestNumberThatCannotBeKept(t *testing.T) {
	id := create(t)
	for _, g := range []*outside{{noLoad: errors.New("locked")}, {full: errors.New("full")}} {
		d := remembered(t, id, store.NewMemory(), g)
		try(t, d.Apply(t.Context(), []model.Edit{unread("x")}))
		try(t, d.Close())
		if d = remembered(t, id, d.store.left, g); faults(t, d) != 0 || chats(t, d.Replica) != "x" {
			t.Errorf("%d faults", faults(t, d))
		}
	}
}
