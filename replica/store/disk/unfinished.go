package disk

import (
	"errors"
	"os"
	"path/filepath"
)

// removeUnfinished deletes logs of zero bytes. A process that is killed while
// Badger begins a log, which it does at every start, leaves one behind, and
// Badger does not open a store that has one. There is nothing in it to lose.
// It is called with the directory locked as Badger locks it: in a running
// process such a file is about to grow.
func removeUnfinished(dir string) error {
	paths, err := unfinished(dir)
	for _, path := range paths {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func unfinished(dir string) (empty []string, err error) {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil && info.Size() == 0 {
				empty = append(empty, path)
			}
		}
	}
	return empty, nil
}
