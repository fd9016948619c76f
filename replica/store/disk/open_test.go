package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

func TestReadOnlyDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("permissions do not stop root; see TestReadOnlyMount")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, testConfig()); !errors.Is(err, store.ErrReadOnly) {
		t.Fatal(err)
	}
}

func TestNotADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(file, testConfig())
	if err == nil || errors.Is(err, store.ErrDamaged) {
		t.Fatal(err)
	}
}

// TestSnapshots: Badger is told to forget only what no reader can see.
func TestSnapshots(t *testing.T) {
	var discarded uint64
	s := newSnapshots(5, func(ts uint64) { discarded = ts })
	acquire := func() uint64 {
		ts, err := s.acquire()
		if err != nil {
			t.Fatal(err)
		}
		return ts
	}
	expect := func(want uint64) {
		t.Helper()
		if discarded != want {
			t.Fatalf("discarded up to %d, want %d", discarded, want)
		}
	}
	expect(5)
	a, b := acquire(), acquire()
	s.publish(6)
	c := acquire()
	s.publish(9)
	expect(5)
	s.release(a)
	expect(5)
	s.release(b)
	expect(6)
	s.release(c)
	expect(9)
	if ts := acquire(); ts != 9 {
		t.Fatalf("reads at %d", ts)
	}
	s.release(9)
	s.close()
	if _, err := s.acquire(); !errors.Is(err, store.ErrClosed) {
		t.Fatal(err)
	}
}

// TestCollect: the space of large values that were overwritten comes back.
func TestCollect(t *testing.T) {
	dir := t.TempDir()
	for range 3 { // each Close writes a table
		s := mustOpen(t, dir, testConfig())
		for i := range 20 {
			b := new(store.Batch)
			b.Put(1, number(i%2), make([]byte, 2<<20))
			mustCommit(t, s, b)
		}
		mustClose(t, s)
	}
	s := mustOpen(t, dir, testConfig())
	if err := s.db.Flatten(1); err != nil { // or wait for Badger to do it
		t.Fatal(err)
	}
	s.gc.close() // waits for a rewrite under way
	s.gc = newCollector(s.commit, s.config.Log.Warn)
	s.gc.collect()
	go s.gc.run()
	for i := range 2 {
		if v, err := s.Get(1, number(i)); err != nil || len(v) != 2<<20 {
			t.Fatalf("%d bytes, %v", len(v), err)
		}
	}
	mustClose(t, s)
	if after := valueLogBytes(t, dir); after > 40<<20 {
		t.Fatalf("%d MiB are left of 120, and 4 count", after>>20)
	}
}

func valueLogBytes(t *testing.T, dir string) (sum int64) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}
