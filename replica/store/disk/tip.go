package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/starling-sync/starling/replica/store"
)

// The tip says how far the store had come when it was last closed. It is kept
// twice: in Badger, as the last commit before Close, and after that in a file
// beside it. If the file is ahead, Badger has lost the end of the store, which
// it does not notice when files of its own are cut short or deleted.
//
// A crash between the two leaves the file behind, which is no fault, and so is
// a missing file.
const (
	tipName = "tip" // under spaceMeta; the value is a big-endian uint64
	tipFile = "TIP" // the same value, sealed under the key of the record
)

// Lost returns an error that matches store.ErrDamaged if commits are missing
// that were there when the store was last closed. What the store has is good
// all the same; whoever keeps chains of records should check them. It is
// reported until the next Close.
func (s *Store) Lost() error { return s.lost }

// checkTip sets lost.
func (s *Store) checkTip() error {
	file, err := s.readTipFile()
	if err != nil || file == 0 {
		return err
	}
	value, err := s.get(metaKey(tipName), s.commit.ts)
	tip := uint64(0)
	if err == nil && len(value) == 8 {
		tip = binary.BigEndian.Uint64(value)
	}
	if tip < file {
		s.lost = fmt.Errorf("%w: %s: the end of the store is missing: it was closed at %d and is at %d",
			store.ErrDamaged, s.dir, file, tip)
		s.config.Log.Warn("store has lost its end", "err", s.lost)
	}
	return nil
}

// readTipFile returns 0 if there is none. One that cannot be read says nothing
// about the records, and the next Close replaces it.
func (s *Store) readTipFile() (uint64, error) {
	sealed, err := os.ReadFile(filepath.Join(s.dir, tipFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, classify(err)
	}
	value, err := s.seal.open(nil, metaKey(tipName), sealed)
	if err != nil || len(value) != 8 {
		s.config.Log.Warn("the file with the tip of the store is damaged", "dir", s.dir)
		return 0, nil
	}
	return binary.BigEndian.Uint64(value), nil
}

// commitTip is the last commit before Close. It returns nil if there is
// nothing new to say, or if there is no space to say it.
func (s *Store) commitTip() (sealed []byte) {
	c := s.commit
	if c.broken != nil || c.ts == s.opened && s.lost == nil || c.space(0) != nil {
		return nil
	}
	key := metaKey(tipName)
	sealed = s.seal.seal(key, binary.BigEndian.AppendUint64(nil, c.ts+1))
	if c.transact([]op{{key: key, value: sealed}}) != nil {
		return nil
	}
	return sealed
}

// writeTipFile replaces the file in one step.
func (s *Store) writeTipFile(sealed []byte) error {
	if sealed == nil {
		return nil
	}
	path := filepath.Join(s.dir, tipFile)
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(sealed)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
