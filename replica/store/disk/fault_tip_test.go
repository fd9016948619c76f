package disk

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// TestKillBeforeTheFirstCommit: a process that has opened the store, or
// committed an empty batch, and is killed then has lost nothing.
func TestKillBeforeTheFirstCommit(t *testing.T) {
	dir := prepare(t)
	s := mustOpen(t, dir, testConfig())
	defer mustClose(t, s)
	for _, name := range []string{"opened", "committed nothing"} {
		killed := filepath.Join(t.TempDir(), "killed")
		if err := copyTree(dir, killed); err != nil {
			t.Fatal(err)
		}
		next := mustOpen(t, killed, testConfig())
		if err := next.Lost(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		mustClose(t, next)
		mustCommit(t, s, new(store.Batch))
	}
}

// TestTipThatWasNotWritten: what a power cut leaves of the file with the tip is
// no damage, and nobody is warned of any.
func TestTipThatWasNotWritten(t *testing.T) {
	dir := prepare(t)
	whole, err := os.ReadFile(filepath.Join(dir, tipFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tip   []byte
		warns bool
	}{{nil, false}, {make([]byte, len(whole)), false}, {whole[:len(whole)/2], true}} {
		if err := os.WriteFile(filepath.Join(dir, tipFile), c.tip, 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		config := testConfig()
		config.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		s := mustOpen(t, dir, config)
		if err := s.Lost(); err != nil || strings.Contains(log.String(), "damaged") != c.warns {
			t.Errorf("the file holds %x: %v, %s", c.tip, err, log.String())
		}
		mustClose(t, s)
	}
}

// TestForgottenDeletions: what was committed last only deletes, Badger forgets
// it together with what was deleted, and then the process is killed. Nothing is
// lost.
func TestForgottenDeletions(t *testing.T) {
	dir := prepare(t)
	b := new(store.Batch)
	b.Put(1, []byte("gone"), []byte("value"))
	s := mustOpen(t, dir, testConfig())
	mustCommit(t, s, b)
	mustClose(t, s)
	s = mustOpen(t, dir, testConfig())
	defer mustClose(t, s)
	flatten(t, s) // below which there is nothing, so that deletions can be forgotten
	for range 3 {
		b = new(store.Batch)
		b.Delete(1, []byte("gone"))
		mustCommit(t, s, b)
	}
	killed := filepath.Join(t.TempDir(), "killed")
	if err := copyTree(dir, killed); err != nil {
		t.Fatal(err)
	}
	next := mustOpen(t, killed, testConfig()) // which turns the log into a table
	defer mustClose(t, next)
	flatten(t, next)
	again := filepath.Join(t.TempDir(), "again")
	if err := copyTree(killed, again); err != nil {
		t.Fatal(err)
	}
	last := mustOpen(t, again, testConfig())
	if err := last.Lost(); err != nil {
		t.Error(err)
	}
	mustClose(t, last)
}

// flatten merges all tables of a store to which nothing was committed yet.
func flatten(t *testing.T, s *Store) {
	t.Helper()
	for logs := 2; logs > 1; {
		found, err := filepath.Glob(filepath.Join(s.dir, "*.mem"))
		if err != nil {
			t.Fatal(err)
		}
		logs = len(found) // the last one is that of what comes; the others become tables
	}
	if err := s.db.Flatten(1); err != nil {
		t.Fatal(err)
	}
}
