package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/starling-sync/starling/replica/store"
)

// The tip says how far the store had come. It is kept in a file beside Badger,
// and at Close in Badger as well, as its last commit, and with every commit that
// only deletes. If the file is ahead,
// Badger has lost the end of the store, which it does not notice when files of
// its own are damaged, cut short or deleted.
//
// The file is written after each transaction is durable, and not synced, so
// that it costs next to nothing. After the end of the process it is right; a
// power cut can leave it behind, or empty, or with zeroes in place of what was
// written, which is no fault, and neither is a missing file. At Close it is
// written anew, and synced.
const (
	tipName = "tip" // under spaceMeta; the value is a big-endian uint64
	tipFile = "TIP" // the same value, sealed under the key of the record
)

// Lost returns an error that matches store.ErrDamaged if commits are missing
// that were there before. What the store has is good all the same; but whoever
// counts on having written no more must not. Open says it again until the next
// commit.
func (s *Store) Lost() error { return s.lost }

// checkTip sets lost.
func (s *Store) checkTip() error {
	file, err := s.readTipFile()
	if err != nil || file == 0 {
		return err
	}
	value, err := s.get(metaKey(tipName), s.commit.ts)
	tip := s.commit.ts
	if err == nil && len(value) == 8 {
		tip = max(tip, binary.BigEndian.Uint64(value))
	}
	if tip < file {
		s.lost = fmt.Errorf("%w: %s: the end of the store is missing: it was at %d and is at %d",
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
	if len(bytes.TrimRight(sealed, "\x00")) == 0 {
		return 0, nil
	}
	value, err := s.seal.open(nil, metaKey(tipName), sealed)
	if err != nil || len(value) != 8 {
		s.config.Log.Warn("the file with the tip of the store is damaged", "dir", s.dir)
		return 0, nil
	}
	return binary.BigEndian.Uint64(value), nil
}

// commitTip is the last commit before Close. It returns nil if there is
// nothing new to say, or if there is no space to say it. Whoever was told that the end is
// lost and has not written since may not have been able to note it, so that stays as it is.
func (s *Store) commitTip() (sealed []byte) {
	c := s.commit
	if c.broken != nil || c.ts == s.opened || c.space(0) != nil {
		return nil
	}
	key := metaKey(tipName)
	sealed = s.seal.seal(key, binary.BigEndian.AppendUint64(nil, c.ts+1))
	if c.transact([]op{{key: key, value: sealed}}) != nil {
		return nil
	}
	return sealed
}

// mark writes the file with the tip after a transaction. If that fails, the file
// stays behind until the next Close.
func (s *Store) mark(ts uint64) {
	if s.unmarked {
		return
	}
	sealed := s.seal.seal(metaKey(tipName), binary.BigEndian.AppendUint64(nil, ts))
	err := s.openMarked(int64(len(sealed)))
	if err == nil {
		_, err = s.marked.WriteAt(sealed, 0)
	}
	if err != nil {
		s.unmarked = true
		s.config.Log.Warn("the file with the tip of the store cannot be written", "dir", s.dir, "err", err)
	}
}

func (s *Store) openMarked(size int64) (err error) {
	if s.marked != nil {
		return nil
	}
	if s.marked, err = os.OpenFile(filepath.Join(s.dir, tipFile), os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	return s.marked.Truncate(size) // where it was damaged
}

func (s *Store) closeMarked() error {
	if s.marked == nil {
		return nil
	}
	return s.marked.Close()
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
