//go:build linux || darwin || freebsd

package disk

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// dropNewborn removes logs that are empty: their process died between making
// the file and giving it its size. They hold nothing, and Badger takes them
// for damage. It does so only under the lock that Badger itself takes on the
// directory: those of a process that lives are about to be used.
func dropNewborn(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() // and with that the lock
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil // in use, which Badger will say
	}
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, name := range names {
			info, err := os.Lstat(name)
			if err == nil && info.Mode().IsRegular() && info.Size() == 0 {
				err = os.Remove(name)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
