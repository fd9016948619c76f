package disk

import (
	"bytes"
	"errors"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// TestTransactionLimits commits batches around the size at which a
// transaction of Badger is full, by count, by bytes and by values of the size
// at which they go to the value log.
func TestTransactionLimits(t *testing.T) {
	s := mustOpen(t, t.TempDir(), testConfig())
	limit := int(s.db.MaxBatchCount())
	for n := limit - 5; n <= limit+2; n++ {
		b := new(store.Batch)
		for i := range n {
			b.Put(1, number(i), nil)
		}
		commitAll(t, s, b)
	}
	size := int(s.db.MaxBatchSize())
	for over := -150; over <= 50; over += 7 {
		b := new(store.Batch)
		b.Put(2, []byte("a"), make([]byte, size/2))
		b.Put(2, []byte("b"), make([]byte, size-size/2+over))
		commitAll(t, s, b)
	}
	for length := valueThreshold - 60; length <= valueThreshold+20; length += 5 {
		b := new(store.Batch)
		b.Put(3, []byte("a"), make([]byte, length))
		commitAll(t, s, b)
	}
}

// commitAll checks that every record of b can be read afterwards.
func commitAll(t *testing.T, s *Store, b *store.Batch) {
	t.Helper()
	if err := s.Commit(b); err != nil {
		t.Fatalf("%d operations of %d bytes: %v", b.Len(), b.Size(), err)
	}
	for o := range b.Ops() {
		if v, err := s.Get(o.Table, o.Key); err != nil || !bytes.Equal(v, o.Value) {
			t.Fatalf("table %d key %q: %d bytes, %v", o.Table, o.Key, len(v), err)
		}
	}
}

// TestBroken: after an error of the disk no commit is possible, what is
// there can be read, and the next Open is well.
func TestBroken(t *testing.T) {
	dir := prepare(t)
	s := mustOpen(t, dir, testConfig())
	ioError := errors.New("input/output error")
	config := testConfig()
	config.step = func(string) error { return ioError }
	mustClose(t, s)
	s = mustOpen(t, dir, config)
	if err := s.Commit(journalBatch("new")); !errors.Is(err, ioError) {
		t.Fatal(err)
	}
	b := new(store.Batch)
	b.Put(1, []byte("k"), nil)
	if err := s.Commit(b); !errors.Is(err, ioError) {
		t.Fatalf("a commit after the error: %v", err)
	}
	if v, err := s.Get(1, []byte("before")); err != nil || string(v) != "1" {
		t.Fatalf("a read after the error: %q, %v", v, err)
	}
	mustClose(t, s)
	commitAll(t, mustOpen(t, dir, testConfig()), b)
}
