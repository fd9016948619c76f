package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/starling-sync/starling/replica/store"
)

// schemaName is the name under spaceMeta of the version of the store.
const schemaName = "schema"

// Open opens the store in dir, which it makes, for its owner only, if there is
// none, and finishes what a crash interrupted. The directory belongs to the
// store alone.
//
// Errors to branch on: store.ErrInUse, store.ErrReadOnly, store.ErrDiskFull
// (fewer than half of Config.Reserve bytes are free), store.ErrWrongKey,
// store.ErrNewer and store.ErrDamaged.
func Open(dir string, config *Config) (*Store, error) {
	config, err := config.validate()
	if err != nil {
		return nil, err
	}
	s, err := open(dir, config)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

func open(dir string, config *Config) (*Store, error) {
	if err := requireWritable(dir); err != nil {
		return nil, err
	}
	if err := requireSpace(config.FreeSpace, dir, 0, config.Reserve/2); err != nil {
		return nil, err
	}
	seal, err := newSealer(&config.RecordKey)
	if err != nil {
		return nil, err
	}
	db, err := openBadger(dir, config.badger(dir))
	if err != nil {
		return nil, classify(err)
	}
	ts := db.MaxVersion()
	s := &Store{dir: dir, config: config, db: db, seal: seal, snaps: newSnapshots(ts, db.SetDiscardTs)}
	s.commit = newCommitter(db, seal, s.snaps, ts)
	s.commit.step, s.commit.mark = config.step, s.mark
	s.commit.space = func(need uint64) error {
		return requireSpace(config.FreeSpace, dir, need, config.Reserve)
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.gc = newCollector(s.commit, config.Log.Warn)
	s.commit.collect = s.gc.wake
	go s.commit.run()
	go s.gc.run()
	return s, nil
}

// start checks the version and the tip and finishes the journal.
func (s *Store) start() error {
	if err := s.checkSchema(); err != nil {
		return err
	}
	if err := s.checkTip(); err != nil {
		return err
	}
	s.opened = s.commit.ts
	return s.recoverJournal()
}

// requireWritable makes dir if there is none and proves that a file can be
// made in it.
func requireWritable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return classify(err)
	}
	f, err := os.CreateTemp(dir, "probe-*.tmp")
	if err != nil {
		return classify(err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func openBadger(dir string, o badger.Options) (db *badger.DB, err error) {
	if err := preflight(dir, o); err != nil {
		return nil, err
	}
	if err := finish(dir); err != nil {
		return nil, err
	}
	defer recovered(&err)
	return badger.OpenManaged(o)
}

// classify gives an error of opening its sentinel. Badger wraps by text, so
// that text is all there is to go by.
func classify(err error) error {
	text := err.Error()
	has := func(parts ...error) bool {
		for _, p := range parts {
			if errors.Is(err, p) || strings.Contains(text, p.Error()) {
				return true
			}
		}
		return false
	}
	switch {
	case strings.Contains(text, "Another process is using this Badger database"):
		return store.ErrInUse
	case has(badger.ErrEncryptionKeyMismatch):
		return store.ErrWrongKey
	case has(fs.ErrPermission, syscall.EROFS, syscall.EACCES):
		return fmt.Errorf("%w: %w", store.ErrReadOnly, err)
	case has(syscall.ENOSPC):
		return fmt.Errorf("%w: %w", store.ErrDiskFull, err)
	case has(syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOTDIR):
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrDamaged, err)
}

// checkSchema compares the version of the store, and writes it into a new one.
func (s *Store) checkSchema() error {
	key := metaKey(schemaName)
	value, err := s.get(key, s.commit.ts)
	if errors.Is(err, store.ErrNotFound) {
		return s.writeSchema(key)
	}
	if err != nil {
		return fmt.Errorf("%w: version of the store, or the record key is another: %w", store.ErrDamaged, err)
	}
	version, n := binary.Uvarint(value)
	if n != len(value) || version == 0 {
		return fmt.Errorf("%w: version of the store: %x", store.ErrDamaged, value)
	}
	if version > schemaVersion {
		return fmt.Errorf("%w: version %d, this program knows %d", store.ErrNewer, version, schemaVersion)
	}
	return nil
}

// writeSchema begins a new store. A store that has data, or that was closed
// before, and has no version has lost it.
func (s *Store) writeSchema(key []byte) error {
	tip, err := s.readTipFile()
	if err != nil {
		return err
	}
	if s.commit.ts != 0 || tip != 0 {
		return fmt.Errorf("%w: the version of the store is missing", store.ErrDamaged)
	}
	value := s.seal.seal(key, binary.AppendUvarint(nil, schemaVersion))
	if err := s.commit.transact([]op{{key: key, value: value}}); err != nil {
		return err
	}
	s.snaps.publish(s.commit.ts)
	return nil
}
