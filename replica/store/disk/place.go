package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Place names where a directory is: a hash of the machine, and of its inode and
// the time when it was made. It stays when the directory is moved within its
// file system, and not when it is copied, put back from a backup, or taken to
// another machine. What does not show is that files inside were put back, or
// the whole file system with all that is on it. It is nil where the system does
// not tell enough.
func Place(dir string) ([]byte, error) {
	numbers, err := birthplace(dir)
	if err != nil {
		return nil, fmt.Errorf("where %s is: %w", dir, err)
	}
	if numbers == nil {
		return nil, nil
	}
	h := sha256.New()
	fmt.Fprintf(h, "starling/place/v1\x00%s\x00", machine())
	for _, n := range numbers {
		h.Write(binary.BigEndian.AppendUint64(nil, n))
	}
	return h.Sum(nil), nil
}
