package disk

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// TestDiskFull takes space away and gives it back, before each kind of commit
// and before Open.
func TestDiskFull(t *testing.T) {
	var free atomic.Uint64
	config := testConfig()
	config.Reserve = 1 << 20
	config.FreeSpace = func(string) (uint64, error) { return free.Load(), nil }
	dir := t.TempDir()

	free.Store(config.Reserve/2 - 1)
	if _, err := Open(dir, config); !errors.Is(err, store.ErrDiskFull) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("open: %v", err)
	}
	free.Store(config.Reserve / 2)
	s := mustOpen(t, dir, config)
	small, large := new(store.Batch), journalBatch("new")
	small.Put(2, []byte("k"), nil)
	for _, b := range []*store.Batch{small, large} {
		for _, have := range []uint64{0, config.Reserve, config.Reserve + uint64(b.Size())} {
			free.Store(have)
			if err := s.Commit(b); !errors.Is(err, store.ErrDiskFull) {
				t.Fatalf("%d bytes free for %d: %v", have, b.Size(), err)
			}
			if n := count(t, s, []byte{spaceData}) + count(t, s, []byte{spaceJournal}); n != 0 {
				t.Fatalf("%d values of a commit that was refused", n)
			}
		}
	}
	free.Store(config.Reserve + 10*uint64(large.Size()))
	for _, b := range []*store.Batch{small, large} {
		if err := s.Commit(b); err != nil {
			t.Fatalf("space is back: %v", err)
		}
	}
}

func TestFreeSpaceFails(t *testing.T) {
	broken := errors.New("no answer")
	config := testConfig()
	config.FreeSpace = func(string) (uint64, error) { return math.MaxUint64, broken }
	if _, err := Open(t.TempDir(), config); !errors.Is(err, broken) || errors.Is(err, store.ErrDiskFull) {
		t.Fatal(err)
	}
}

// TestDiskFullForReal fills a small file system, first with records and then
// with a file of somebody else's. Without the guard it ends in a SIGBUS.
func TestDiskFullForReal(t *testing.T) {
	dir := mount(t, "size=200m")
	path := filepath.Join(dir, "store")
	s := mustOpen(t, path, testConfig())
	acknowledged := fillStore(t, s)
	mustClose(t, s)

	s = mustOpen(t, path, testConfig())
	b := new(store.Batch)
	b.Put(2, []byte("k"), nil)
	if err := s.Commit(b); err != nil && !errors.Is(err, store.ErrDiskFull) {
		t.Fatal(err)
	}
	remove := fillDisk(t, dir, DefaultReserve*3/4)
	if err := s.Commit(b); !errors.Is(err, store.ErrDiskFull) {
		t.Fatalf("commit on a full disk: %v", err)
	}
	remove()
	mustClose(t, s)

	remove = fillDisk(t, dir, DefaultReserve/4)
	if _, err := Open(path, testConfig()); !errors.Is(err, store.ErrDiskFull) {
		t.Fatalf("open on a full disk: %v", err)
	}
	remove()
	s = mustOpen(t, path, testConfig())
	n := 0
	if err := s.Scan(1, nil, nil, func(k, v []byte) error { n++; return nil }); err != nil || n != acknowledged {
		t.Fatalf("%d of %d records, %v", n, acknowledged, err)
	}
	mustClose(t, s)
}

// fillStore commits until the store refuses, and returns how often it did not.
func fillStore(t *testing.T, s *Store) (acknowledged int) {
	t.Helper()
	for {
		b := new(store.Batch)
		b.Put(1, number(acknowledged), make([]byte, 300<<10))
		err := s.Commit(b)
		if errors.Is(err, store.ErrDiskFull) {
			return acknowledged
		}
		if err != nil {
			t.Fatal(err)
		}
		acknowledged++
	}
}

// fillDisk writes a file until so many bytes are left, and returns how to
// remove it.
func fillDisk(t *testing.T, dir string, left uint64) (remove func()) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 256<<10); ; {
		free, err := freeSpace(dir)
		if err != nil {
			t.Fatal(err)
		}
		if free < left {
			break
		}
		if _, err := f.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(f.Name()); err != nil {
			t.Fatal(err)
		}
	}
}
