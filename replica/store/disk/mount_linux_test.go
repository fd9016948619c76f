package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starling-sync/starling/replica/store"
	"golang.org/x/sys/unix"
)

// mount returns a directory with a file system of its own in memory.
func mount(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skip("this system does not let root mount a tmpfs: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestReadOnlyMount uses a read-only mount, because permissions do not stop root.
func TestReadOnlyMount(t *testing.T) {
	dir := mount(t, "size=200m")
	path := filepath.Join(dir, "store")
	s := mustOpen(t, path, testConfig())
	mustClose(t, s)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Join(dir, "new")} {
		if _, err := Open(p, testConfig()); !errors.Is(err, store.ErrReadOnly) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", p, err)
		}
	}
}
