package disk

import (
	"fmt"

	"github.com/starling-sync/starling/replica/store"
)

// requireSpace returns store.ErrDiskFull unless need bytes can be written and
// reserve bytes remain.
func requireSpace(free func(string) (uint64, error), dir string, need, reserve uint64) error {
	have, err := free(dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	if have < need+reserve {
		return fmt.Errorf("%w: %s has %d KiB free, %d KiB are needed and %d KiB kept in reserve",
			store.ErrDiskFull, dir, have>>10, need>>10, reserve>>10)
	}
	return nil
}
