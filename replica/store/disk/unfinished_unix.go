//go:build linux || darwin || freebsd

package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// finish removes what a process left behind that was killed while it started.
// Where another process has the store, it does nothing; Badger says so.
func finish(dir string) error {
	if paths, err := unfinished(dir); err != nil || len(paths) == 0 {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB) // Close unlocks
	if errors.Is(err, unix.EWOULDBLOCK) {
		return d.Close()
	}
	if err == nil {
		err = removeUnfinished(dir)
	}
	return errors.Join(err, d.Close())
}
