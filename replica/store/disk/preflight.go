package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// preflight finds damage that Badger would answer by ending the process, or by
// deleting what is left. It needs no lock: what it looks at is complete before
// the manifest names it. What it cannot judge it leaves to Badger.
func preflight(dir string, options badger.Options) (err error) {
	defer recovered(&err)
	manifest, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return requireNone(dir, "the manifest", "*.sst", "*.mem", "*.vlog", badger.KeyRegistryFileName)
	}
	if err != nil {
		return err
	}
	defer manifest.Close()
	if _, err := os.Stat(filepath.Join(dir, badger.KeyRegistryFileName)); errors.Is(err, fs.ErrNotExist) {
		return requireNone(dir, "the key registry", "*.sst", "*.mem", "*.vlog")
	}
	m, _, err := badger.ReplayManifestFile(manifest, 0, options)
	if err != nil {
		return err
	}
	if err := checkKey(dir, options.EncryptionKey); err != nil {
		return err
	}
	for id := range m.Tables {
		if err := checkTable(table.NewFilename(id, dir)); err != nil {
			return err
		}
	}
	return nil
}

// requireNone returns an error if there are files of these patterns. Badger
// writes the manifest first, then the key registry, then the others, so that
// a file whose predecessor is missing has lost it; Badger would make a new one
// and with that lose the rest.
func requireNone(dir, missing string, patterns ...string) error {
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return fmt.Errorf("%s is there and %s is missing", filepath.Base(found[0]), missing)
		}
	}
	return nil
}

// checkKey reads the key registry with the key. Badger does it too, and leaves
// goroutines behind when it fails, which a wrong key must not cost.
func checkKey(dir string, key []byte) error {
	if _, err := os.Stat(filepath.Join(dir, badger.KeyRegistryFileName)); err != nil {
		return nil // Badger makes one
	}
	registry, err := badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: dir, ReadOnly: true, EncryptionKey: key})
	if err != nil {
		return err
	}
	return registry.Close()
}

// checkTable checks that the lengths at the end of a table lie within it:
// index ‖ length of index ‖ checksum ‖ length of checksum. Badger compares the
// checksum itself. A table that is missing is left to Badger too.
func checkTable(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	for range 2 {
		var length [4]byte
		if _, err := f.ReadAt(length[:], end-4); err != nil {
			return fmt.Errorf("table %s has no end: %w", filepath.Base(path), err)
		}
		end -= 4 + int64(binary.BigEndian.Uint32(length[:]))
		if end < 4 {
			return fmt.Errorf("table %s has lengths beyond its own %d bytes", filepath.Base(path), info.Size())
		}
	}
	return nil
}
