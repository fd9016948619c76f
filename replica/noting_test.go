package replica

import (
	"errors"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// full is a store whose disk is full for a while.
type full struct {
	store.Store
	fails int
}

func (f *full) Commit(b *store.Batch) error {
	if f.fails > 0 {
		f.fails--
		return store.ErrDiskFull
	}
	return f.Store.Commit(b)
}

// A note goes with the first commit that succeeds, once, and gives way to that.
func TestNoteGoesWithTheNextCommit(t *testing.T) {
	mem := store.NewMemory()
	batch := func(t store.Table, key, value string) *store.Batch {
		b := &store.Batch{}
		b.Put(t, []byte(key), []byte(value))
		return b
	}
	n := &noting{Store: &full{mem, 2}, note: batch(tableMeta, "note", "older")}
	for i := range 2 {
		if err := n.Commit(batch(tableMeta, "other", "1")); !errors.Is(err, store.ErrDiskFull) {
			t.Fatalf("commit %d: %v", i, err)
		}
	}
	if err := n.Commit(batch(tableMeta, "other", "1")); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"note": "older", "other": "1"} {
		if got, err := mem.Get(tableMeta, []byte(key)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", key, got, err)
		}
	}
	taken := &store.Batch{}
	taken.Delete(tableMeta, []byte("note"))
	again := &noting{Store: mem, note: batch(tableMeta, "note", "older")}
	if err := errors.Join(again.Commit(taken), n.Commit(batch(tableMeta, "last", "1"))); err != nil {
		t.Fatal(err)
	}
	if got, err := mem.Get(tableMeta, []byte("note")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the note came back: %q, %v", got, err)
	}
}
