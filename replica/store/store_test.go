package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// The conformance of Memory is tested in package storetest.

func TestDamagedErrorNamesTheRecord(t *testing.T) {
	cause := errors.New("the seal is broken")
	err := fmt.Errorf("load chat: %w", &store.DamagedError{Table: 0x2a, Key: []byte("k\x00\n"), Err: cause})
	if !errors.Is(err, store.ErrDamaged) || !errors.Is(err, cause) || errors.Is(err, store.ErrNotFound) {
		t.Error("the error does not match what it is")
	}
	if want := "table 2a key 6b000a: the seal is broken"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%q does not end with %q", err, want)
	}
}

func TestDamagedScan(t *testing.T) {
	empty := new(store.DamagedScan)
	if empty.OrNil() != nil {
		t.Error("a scan without damage is an error")
	}
	s := new(store.DamagedScan)
	for i := range store.MaxDamagedListed + 10 {
		s.Add(&store.DamagedError{Table: 1, Key: fmt.Append(nil, i)})
	}
	if s.Count != store.MaxDamagedListed+10 || len(s.Records) != store.MaxDamagedListed {
		t.Errorf("%d counted, %d listed", s.Count, len(s.Records))
	}
	var first *store.DamagedError
	if !errors.As(s.OrNil(), &first) || string(first.Key) != "0" {
		t.Errorf("the first is %v", first)
	}
	if want := fmt.Sprintf("and %d more", s.Count-1); !strings.HasSuffix(s.Error(), want) {
		t.Errorf("%q", s)
	}
	early := &store.DamagedScan{Err: store.ErrClosed}
	if err := early.OrNil(); !errors.Is(err, store.ErrDamaged) || !errors.Is(err, store.ErrClosed) {
		t.Errorf("a scan that ended early: %v", err)
	}
}

func TestMemorySnapshotIsApart(t *testing.T) {
	a := store.NewMemory()
	put := func(m *store.Memory, value string) {
		b := new(store.Batch)
		b.Put(1, []byte("k"), []byte(value))
		if err := m.Commit(b); err != nil {
			t.Fatal(err)
		}
	}
	put(a, "both")
	b := a.Snapshot()
	put(a, "a")
	if v, err := b.Get(1, []byte("k")); err != nil || string(v) != "both" {
		t.Fatalf("%q, %v", v, err)
	}
	put(b, "b")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if v, err := a.Get(1, []byte("k")); err != nil || string(v) != "a" {
		t.Fatalf("%q, %v", v, err)
	}
}

func TestBatchCounts(t *testing.T) {
	var b store.Batch
	b.Put(1, []byte("key"), []byte("value"))
	b.Delete(1, []byte("key"))
	if b.Len() != 2 || b.Size() != 11 {
		t.Errorf("%d operations, %d bytes", b.Len(), b.Size())
	}
	n := 0
	for op := range b.Ops() {
		if n++; op.Delete {
			t.Error("the loop went on")
		}
		break
	}
	b.Reset()
	for range b.Ops() {
		n++
	}
	if b.Len() != 0 || b.Size() != 0 || n != 1 {
		t.Errorf("after Reset %d operations, %d bytes", b.Len(), b.Size())
	}
}
