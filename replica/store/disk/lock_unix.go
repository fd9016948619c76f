//go:build linux || darwin || freebsd

package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/starling-sync/starling/replica/store"
)

// Lock keeps everybody else from opening the store in dir, as Badger does, until
// it is released. It fails with store.ErrInUse if somebody has it open.
func Lock(dir string) (release func() error, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock store: %w", err)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = store.ErrInUse
		}
		return nil, errors.Join(fmt.Errorf("lock store %s: %w", dir, err), d.Close())
	}
	return d.Close, nil // which unlocks
}
