package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starling-sync/starling/replica/store"
	"golang.org/x/sys/unix"
)

// childFull fills the small disk under an open store and closes the store.
func childFull(dir string) error {
	s, err := Open(filepath.Join(dir, "store"), testConfig())
	if err != nil {
		return err
	}
	b := new(store.Batch)
	b.Put(1, []byte("k"), make([]byte, 100<<10))
	if err := s.Commit(b); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "fill"))
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		return err
	}
	if err := s.Close(); !errors.Is(err, store.ErrDiskFull) {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// TestCloseOnFullDisk: a store is closed when somebody else has filled the disk
// to the last byte. It says so, in place of a SIGBUS, and has everything when
// there is room again.
func TestCloseOnFullDisk(t *testing.T) {
	dir := mount(t, "size=200m")
	text, err := child("full", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %.2000s", err, text)
	}
	if _, err := Open(filepath.Join(dir, "store"), testConfig()); !errors.Is(err, store.ErrDiskFull) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("open on a full disk: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "fill")); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, filepath.Join(dir, "store"), testConfig())
	if v, err := s.Get(1, []byte("k")); err != nil || len(v) != 100<<10 || s.Lost() != nil {
		t.Errorf("%d bytes, %v, %v", len(v), err, s.Lost())
	}
	mustClose(t, s)
}
