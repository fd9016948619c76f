package disk

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func openNotes(t *testing.T, dir string) *Notes {
	t.Helper()
	n, err := OpenNotes(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func left(t *testing.T, n *Notes) [][32]byte {
	t.Helper()
	all, err := n.Left()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What was noted and not ended is there for whoever opens the notes next, without
// the last one having closed them; what is garbled is not.
func TestNotesOutliveTheirProcess(t *testing.T) {
	dir := t.TempDir()
	n := openNotes(t, dir)
	one, two := [32]byte{1}, [32]byte{2}
	for _, h := range [][32]byte{one, two} {
		if err := n.Begin(h); err != nil {
			t.Fatal(err)
		}
	}
	again := openNotes(t, dir)
	if got := left(t, again); !slices.Equal(got, [][32]byte{one, two}) {
		t.Fatalf("left %x", got)
	}
	if err := again.End(); err != nil {
		t.Fatal(err)
	}
	if err := again.Begin(two); err != nil {
		t.Fatal(err)
	}
	if got := left(t, openNotes(t, dir)); !slices.Equal(got, [][32]byte{two}) {
		t.Fatalf("left %x", got)
	}
	if err := os.Truncate(filepath.Join(dir, notesName), 31); err != nil {
		t.Fatal(err)
	}
	if got := left(t, openNotes(t, dir)); len(got) != 0 {
		t.Fatalf("left %x of a part", got)
	}
	if info, err := os.Stat(filepath.Join(dir, notesName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := OpenNotes(filepath.Join(dir, "missing")); err == nil {
		t.Error("opened in no directory")
	}
}

func BenchmarkNotes(b *testing.B) {
	n, err := OpenNotes(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	for b.Loop() {
		if n.Begin([32]byte{1}) != nil || n.End() != nil {
			b.Fatal("not noted")
		}
	}
}
