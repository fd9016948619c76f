//go:build unix

package client

import (
	"os"
	"path/filepath"
	"testing"
)

// A socket is trusted when it and its directory are ours or root's.
func TestCheckOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const stranger = 12345
	self := os.Geteuid()
	for _, as := range []int{self, 0} {
		if err := checkOwner(path, as); err != nil {
			t.Errorf("as %d: %v", as, err)
		}
	}
	if self != 0 {
		if err := checkOwner(path, stranger); CodeOf(err) != CodePermission {
			t.Errorf("as another user: %v", err)
		}
		return
	}
	if err := checkOwner(path, stranger); err != nil {
		t.Errorf("what is root's, as another user: %v", err)
	}
	for _, given := range []string{path, filepath.Dir(path)} {
		if err := os.Chown(given, stranger+1, -1); err != nil {
			t.Fatal(err)
		}
		if err := checkOwner(path, stranger); CodeOf(err) != CodePermission {
			t.Errorf("%s of a third user: %v", given, err)
		}
		if err := os.Chown(given, stranger, -1); err != nil {
			t.Fatal(err)
		}
		if err := checkOwner(path, stranger); err != nil {
			t.Errorf("%s of this user: %v", given, err)
		}
	}
}
