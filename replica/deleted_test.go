package replica_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

const (
	tableEpochs = tableLocal + 1
	tableKeys   = tableLocal + 2
)

// record is one record of a store.
type record struct {
	table store.Table
	key   []byte
	value []byte
}

func (r record) String() string { return fmt.Sprintf("table %d, key %x", r.table, r.key) }

func recordsOf(t *testing.T, s store.Store) (all []record) {
	t.Helper()
	for table := tableMeta; table <= tableKeys; table++ {
		try(t, s.Scan(table, nil, nil, func(key, value []byte) error {
			all = append(all, record{table, bytes.Clone(key), bytes.Clone(value)})
			return nil
		}))
	}
	return all
}

// without returns a store that holds all records but one.
func without(t *testing.T, all []record, i int) store.Store {
	t.Helper()
	s, b := store.NewMemory(), &store.Batch{}
	for j, r := range all {
		if j != i {
			b.Put(r.table, r.key, r.value)
		}
	}
	try(t, s.Commit(b))
	return s
}

// Somebody who can delete single records of a store, but not make any, as its
// encryption sees to, is noticed: the store does not open, or verification says
// so, or what was deleted can be made again from the rest. What only this device
// knows of itself, and of no other one, is not covered.
func TestEveryDeletedRecordIsNoticed(t *testing.T) {
	home, id := createAt(t) // long ago, so that keys and epochs are replaced
	a := open(t, id)
	b := open(t, join(t, a, "b"))
	c := open(t, join(t, a, "c"))
	mute(t, a, "one")
	mute(t, c, "from c")
	for _, d := range []*device{b, c, b} {
		getEqual(t, a, d)
	}
	mute(t, b, "two")
	try(t, b.Settings("account").Set(t.Context(), "theme", "dark"))
	_, err := a.RemoveDevice(t.Context(), c.id.Device())
	try(t, err)
	events := a.Watch(t.Context(), replica.Now)
	getEqual(t, a, b)
	await(t, events, func(model.Event) bool {
		s, err := a.Status(t.Context())
		try(t, err)
		return !slices.ContainsFunc(s.Peers, func(p model.Peer) bool { return p.Connected })
	})
	mute(t, a, "waits")
	try(t, a.Local("app").Put(t.Context(), "k", []byte("v")))
	want := stateOf(t, a.Replica)
	all := recordsOf(t, a.store)
	try(t, a.Close())

	for table := tableMeta; table <= tableKeys; table++ {
		n := 0
		for i, r := range all {
			if r.table != table {
				continue
			}
			n++
			if err := noticed(t, unlockAgain(t, home), without(t, all, i), want); err != nil && !harmless(r) {
				t.Errorf("%v deleted: %v", r, err)
			}
		}
		if n == 0 {
			t.Errorf("no record in table %d", table)
		}
	}
}

// harmless says whether nobody can lose anything by a record.
func harmless(r record) bool {
	switch r.table {
	case tableLocal:
		return true
	case tableMeta:
		return string(r.key) == "events" || string(r.key) == "epoch" || string(r.key) == "announced"
	}
	return false
}

var errUnnoticed = errors.New("not noticed")

// noticed opens a store, verifies it and compares the state. It returns nil if
// the loss shows, or if nothing is lost.
func noticed(t *testing.T, id *encryption.Identity, s store.Store, want string) error {
	t.Helper()
	r, err := replica.Open(t.TempDir(), &replica.Config{Identity: id, Store: s})
	if err != nil {
		return nil
	}
	defer r.Close()
	v, err := r.Verify(t.Context())
	if err != nil || !v.OK {
		return nil
	}
	if got := stateOf(t, r); got != want {
		return fmt.Errorf("%w: the state is %s", errUnnoticed, got)
	}
	return nil
}

// unlockAgain opens an identity as a new process does.
func unlockAgain(t *testing.T, home string) *encryption.Identity {
	t.Helper()
	id, err := encryption.OpenIdentity(home, key())
	try(t, err)
	return id
}
