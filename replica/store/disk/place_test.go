package disk

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A directory that is moved is where it was; one that is copied, or made again
// under its name, is not.
func TestPlace(t *testing.T) {
	parent := t.TempDir()
	dir, moved := filepath.Join(parent, "a"), filepath.Join(parent, "b")
	place := func(dir string) []byte {
		t.Helper()
		p, err := Place(dir)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.Mkdir(dir, 0o700))
	first := place(dir)
	if first == nil {
		t.Skip("this system does not tell directories apart")
	}
	check(os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600))
	check(os.Rename(dir, moved))
	if !bytes.Equal(place(moved), first) {
		t.Error("a directory that was moved is at another place")
	}
	check(copyTree(moved, dir))
	if bytes.Equal(place(dir), first) {
		t.Error("a copy is where the original is")
	}
	check(os.RemoveAll(moved))
	check(copyTree(dir, moved))
	if bytes.Equal(place(moved), first) {
		t.Error("a directory that was put back is where it was")
	}
	if _, err := Place(filepath.Join(parent, "none")); err == nil {
		t.Error("a directory that is not there is somewhere")
	}
}
