package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// CheckTables notices what is wrong in a table although every record can be read:
// here the older version of a record that was written again.
func TestCheckTables(t *testing.T) {
	dir := t.TempDir()
	for _, value := range []string{"an older version", "a newer version"} {
		s, err := Open(dir, testConfig())
		if err != nil {
			t.Fatal(err)
		}
		b := &store.Batch{}
		b.Put(1, []byte("key"), []byte(value))
		if err := errors.Join(s.Commit(b), s.CheckTables(), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) < 2 {
		t.Fatalf("tables %v, %v", tables, err)
	}
	raw, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	raw[10] ^= 1
	if err := os.WriteFile(tables[0], raw, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, testConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if v, err := s.Get(1, []byte("key")); err != nil || string(v) != "a newer version" {
		t.Errorf("the record is %q, %v", v, err)
	}
	if err := s.CheckTables(); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("the tables are said to be in order: %v", err)
	}
}

// Lock and Open exclude each other.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, testConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a store that is open can be locked: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	release, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, testConfig()); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a store that is locked can be opened: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if free, err := FreeSpace(dir); err != nil || free == 0 {
		t.Errorf("free space: %d, %v", free, err)
	}
}
