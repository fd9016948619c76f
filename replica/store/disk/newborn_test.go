package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// TestNewbornLogs: a process that dies between making a log and giving it its
// size leaves an empty file, and Badger opens no store that has one.
func TestNewbornLogs(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, testConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(numbered(1)); err != nil {
		t.Fatal(err)
	}
	born := func() (paths []string) {
		for _, name := range []string{"00077.mem", "000077.vlog"} {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
		}
		return paths
	}
	// Those of a process that lives are not touched.
	for _, path := range born() {
		if _, err := Open(dir, testConfig()); !errors.Is(err, store.ErrInUse) {
			t.Fatalf("second process: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatalf("a log of a running process is gone: %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	born()
	if s, err = Open(dir, testConfig()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n, err := head(s); err != nil || n != 1 {
		t.Fatalf("batch %d, %v", n, err)
	}
}
