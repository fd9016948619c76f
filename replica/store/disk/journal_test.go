package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

var errCrash = errors.New("stopped by the test")

// crashAt returns a step that crashes at the n-th call from 0, and notes the
// names of the calls.
func crashAt(n int, names *[]string) func(string) error {
	return func(name string) error {
		*names = append(*names, name)
		if len(*names)-1 == n {
			return errCrash
		}
		return nil
	}
}

const journalRecords = 4000

// largeBatches puts, overwrites and deletes more than fits into a transaction.
func journalBatch(value string) *store.Batch {
	b := new(store.Batch)
	for i := range journalRecords {
		b.Put(1, fmt.Appendf(nil, "%05d", i), fmt.Appendf(nil, "%s %0600d", value, i))
	}
	b.Delete(1, []byte("before"))
	b.Put(1, fmt.Appendf(nil, "%05d", 0), []byte(value))
	return b
}

// prepare makes a store with a record "before".
func prepare(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s := mustOpen(t, dir, testConfig())
	b := new(store.Batch)
	b.Put(1, []byte("before"), []byte("1"))
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	return dir
}

func mustOpen(t testing.TB, dir string, c *Config) *Store {
	t.Helper()
	s, err := Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustCommit(t testing.TB, s *Store, b *store.Batch) {
	t.Helper()
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// outcome says whether the batch is there as a whole, or not at all.
func outcome(t *testing.T, s *Store) (applied bool) {
	t.Helper()
	n := 0
	if err := s.Scan(1, nil, nil, func(k, v []byte) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(1, []byte("before"))
	switch {
	case n == journalRecords && errors.Is(err, store.ErrNotFound):
		if v, err := s.Get(1, []byte("00000")); err != nil || string(v) != "new" {
			t.Fatalf("the last operation did not win: %.20q, %v", v, err)
		}
		return true
	case n == 1 && err == nil:
		return false
	}
	t.Fatalf("a part of the batch: %d records, %v", n, err)
	return false
}

// TestJournalCrash stops the commit of a large batch at every step.
func TestJournalCrash(t *testing.T) {
	var names []string
	for n := 0; ; n++ {
		dir := prepare(t)
		config := testConfig()
		names = nil
		config.step = crashAt(n, &names)
		s := mustOpen(t, dir, config)
		err := s.Commit(journalBatch("new"))
		if err == nil {
			mustClose(t, s)
			break // there is no step n
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		at := names[len(names)-1]
		counts := slices.Contains(names, "after the marker")
		checkBroken(t, s, at)
		checkRecovered(t, dir, at, counts)
	}
	for _, name := range []string{"between two chunks", "before the marker", "after the marker",
		"between two parts", "before the marker is deleted", "before the chunks are deleted"} {
		if !slices.Contains(names, name) {
			t.Errorf("no batch passed the step %q", name)
		}
	}
}

// checkBroken checks that a store that could not finish a commit shows nothing
// of it, unless it was complete, and refuses others.
func checkBroken(t *testing.T, s *Store, at string) {
	t.Helper()
	if applied := outcome(t, s); applied != (at == "before the chunks are deleted") {
		t.Fatalf("%s: visible is %v", at, applied)
	}
	b := new(store.Batch)
	b.Put(1, []byte("x"), nil)
	if err := s.Commit(b); !errors.Is(err, errCrash) {
		t.Fatalf("%s: a later commit: %v", at, err)
	}
	mustClose(t, s)
}

// checkRecovered opens the store, crashing at every step of what Open does,
// and then for good.
func checkRecovered(t *testing.T, dir, at string, counts bool) {
	t.Helper()
	for n := 0; ; n++ {
		var names []string
		config := testConfig()
		config.step = crashAt(n, &names)
		s, err := Open(dir, config)
		if err != nil && !errors.Is(err, errCrash) {
			t.Fatalf("%s: %v", at, err)
		}
		if err == nil {
			mustClose(t, s)
			break
		}
	}
	s := mustOpen(t, dir, testConfig())
	defer s.Close()
	if applied := outcome(t, s); applied != counts {
		t.Fatalf("%s: after the recovery applied is %v", at, applied)
	}
	if left := count(t, s, []byte{spaceJournal}) + count(t, s, metaKey(markerName)); left != 0 {
		t.Fatalf("%s: %d values of the journal are left", at, left)
	}
	if err := s.Commit(journalBatch("new")); err != nil || !outcome(t, s) {
		t.Fatalf("%s: the next commit: %v", at, err)
	}
}

// interrupted returns a directory with a journal that counts.
func interrupted(t *testing.T) string {
	t.Helper()
	dir := prepare(t)
	config := testConfig()
	config.step = func(name string) error {
		if name == "after the marker" {
			return errCrash
		}
		return nil
	}
	s := mustOpen(t, dir, config)
	if err := s.Commit(journalBatch("new")); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	mustClose(t, s)
	return dir
}

// tamper changes values of Badger in a closed store behind the back of this
// package.
func tamper(t *testing.T, dir string, ops ...op) {
	t.Helper()
	config, err := testConfig().validate()
	if err != nil {
		t.Fatal(err)
	}
	db, err := openBadger(dir, config.badger(dir))
	if err != nil {
		t.Fatal(err)
	}
	seal, err := newSealer(&config.RecordKey)
	if err != nil {
		t.Fatal(err)
	}
	c := newCommitter(db, seal, nil, db.MaxVersion())
	if err := errors.Join(c.transact(ops), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestJournalDamage: a journal that counts and cannot be read must not be
// applied in part, nor dropped.
func TestJournalDamage(t *testing.T) {
	key := testConfig().RecordKey
	seal, err := newSealer(&key)
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(key, value []byte) op { return op{key: key, value: seal.seal(key, value)} }
	marker := func(n uint32) op { return sealed(metaKey(markerName), binary.BigEndian.AppendUint32(nil, n)) }
	for _, c := range []struct {
		name string
		op   op
	}{
		{"a chunk is missing", op{key: chunkKey(3)}},
		{"the first chunk is missing", op{key: chunkKey(0)}},
		{"a chunk is another's", op{key: chunkKey(3), value: seal.seal(chunkKey(4), nil)}},
		{"a chunk is no seal", op{key: chunkKey(3), value: []byte("chunk")}},
		{"a chunk is empty", sealed(chunkKey(3), nil)},
		{"an operation is of an unknown kind", sealed(chunkKey(0), []byte{2, 1, 'd'})},
		{"a key is too long", sealed(chunkKey(0), []byte{1, 0xff, 0xff, 0x7f})},
		{"a length has no end", sealed(chunkKey(0), []byte("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))},
		{"the marker says one chunk more", marker(1000)},
		{"the marker says one chunk less", marker(3)},
		{"the marker is short", sealed(metaKey(markerName), []byte{1})},
		{"the marker is no seal", op{key: metaKey(markerName), value: []byte("marker")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := interrupted(t)
			tamper(t, dir, c.op)
			for range 2 { // the journal is still there the second time
				if s, err := Open(dir, testConfig()); !errors.Is(err, store.ErrDamaged) {
					t.Fatalf("open: %v, %v", s, err)
				}
			}
		})
	}
}
