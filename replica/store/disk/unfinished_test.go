package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// TestUnfinishedLog: a process that is killed while it starts leaves a log of
// zero bytes, which Badger refuses. The store opens nevertheless.
func TestUnfinishedLog(t *testing.T) {
	for _, names := range [][]string{{"00009.mem"}, {"000009.vlog"}, {"00009.mem", "000009.vlog"}} {
		dir := prepare(t)
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := mustOpen(t, dir, testConfig())
		if v, err := s.Get(1, []byte("before")); err != nil || string(v) != "1" {
			t.Errorf("%v: %q, %v", names, v, err)
		}
		mustCommit(t, s, journalBatch("after"))
		mustClose(t, s)
		mustClose(t, mustOpen(t, dir, testConfig()))
	}
}

// TestUnfinishedLogOfAnother: what a running process is about to fill stays.
func TestUnfinishedLogOfAnother(t *testing.T) {
	dir := prepare(t)
	s := mustOpen(t, dir, testConfig())
	path := filepath.Join(dir, "00009.mem")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, testConfig()); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a second process: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	mustClose(t, s)
}
