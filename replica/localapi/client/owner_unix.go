//go:build unix

package client

import (
	"os"
	"path/filepath"
	"syscall"
)

// checkOwner refuses, for the user with the id self, a socket that somebody else
// made, and one in somebody else's directory, who could exchange it: in a
// shared /tmp they could otherwise wait there for our edits. Root may connect to anyone's.
func checkOwner(path string, self int) error {
	if self == 0 {
		return nil
	}
	for _, p := range []string{filepath.Dir(path), path} {
		info, err := os.Lstat(p)
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && !foreign(int(st.Uid), self) {
			continue
		}
		return Errorf(CodePermission, "socket %s: %s belongs to another user", path, p)
	}
	return nil
}

// foreign says whether owner is neither self nor root.
func foreign(owner, self int) bool { return owner != self && owner != 0 }
