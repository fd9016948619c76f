package disk

import (
	"fmt"

	"github.com/starling-sync/starling/replica/store"
)

// CheckTables reads every block of every table and compares its checksum. It
// finds what reading the records does not: a key that was hit, so that its
// record is not found under it, and what is left of older versions. Damage may
// also end the process.
func (s *Store) CheckTables() (err error) {
	ts, err := s.snaps.acquire() // so that Close waits
	if err != nil {
		return err
	}
	defer s.snaps.release(ts)
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: tables of %s: %w", store.ErrDamaged, s.dir, err)
		}
	}()
	defer recovered(&err)
	return s.db.VerifyChecksum()
}

// FreeSpace returns the bytes that this process may still write on the file
// system of dir.
func FreeSpace(dir string) (uint64, error) {
	n, err := freeSpace(dir)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return n, nil
}
