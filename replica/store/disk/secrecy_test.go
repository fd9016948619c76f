package disk

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// TestNothingInTheClear plants keys and values and looks for them in every
// byte that is on disk, while the store is open, after Close, and in the log.
func TestNothingInTheClear(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	config := testConfig()
	config.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := mustOpen(t, dir, config)
	b := new(store.Batch)
	for i := range 30_000 { // several tables, and the journal
		b.Put(1, fmt.Appendf(nil, "planted-key-%d", i), fmt.Appendf(nil, "planted-value-%d", i))
	}
	b.Put(2, []byte("planted-key-large"), bytes.Repeat([]byte("planted-value"), 1<<20/13+1))
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
	planted := [][]byte{[]byte("planted-key"), []byte("planted-value"), config.BadgerKey[:], config.RecordKey[:]}
	requireAbsent(t, dir, planted)
	mustClose(t, s)
	requireAbsent(t, dir, planted)
	for _, p := range planted {
		if bytes.Contains(log.Bytes(), p) {
			t.Errorf("%q is in the log", p)
		}
	}
	if !bytes.Contains(log.Bytes(), []byte("level=DEBUG msg=\"badger: ")) || bytes.Contains(log.Bytes(), []byte("level=INFO")) {
		t.Errorf("the log has other levels than it should: %.300s", log.Bytes())
	}
}

func requireAbsent(t *testing.T, dir string, planted [][]byte) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		for _, p := range planted {
			if bytes.Contains(data, p) {
				t.Errorf("%q is in %s", p, d.Name())
			}
		}
		return err
	})
	if err != nil || files < 5 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// TestDirectoryIsPrivate: only the owner may look into a directory that Open made.
func TestDirectoryIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "store")
	mustClose(t, mustOpen(t, dir, testConfig()))
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
}
