package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/starling-sync/starling/replica/store"
)

// Store is an open store. Make one with Open.
type Store struct {
	dir    string
	config *Config // read-only after Open
	db     *badger.DB
	seal   *sealer
	snaps  *snapshots
	commit *committer
	gc     *collector
	opened uint64 // the timestamp after Open; read-only then
	lost   error  // see Lost; read-only after Open

	marked   *os.File // the file with the tip; owned by the committer
	unmarked bool     // it cannot be written; likewise

	closing  sync.Once
	closeErr error // set by closing
}

var _ store.Store = (*Store)(nil)

// Get implements store.Store.
func (s *Store) Get(t store.Table, key []byte) ([]byte, error) {
	ts, err := s.snaps.acquire()
	if err != nil {
		return nil, err
	}
	defer s.snaps.release(ts)
	value, err := s.get(dataKey(t, key), ts)
	if err == nil || errors.Is(err, store.ErrNotFound) {
		return value, err
	}
	return nil, &store.DamagedError{Table: t, Key: bytes.Clone(key), Err: err}
}

// get returns the value at a key of Badger; any error but store.ErrNotFound
// means that it is there and cannot be trusted.
func (s *Store) get(key []byte, ts uint64) (value []byte, err error) {
	defer recovered(&err)
	txn := s.db.NewTransactionAt(ts, false)
	defer txn.Discard()
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	value = []byte{}
	err = item.Value(func(sealed []byte) error {
		value, err = s.seal.open(value, key, sealed)
		return err
	})
	return value, err
}

// recovered turns a panic of Badger, which is how it reports some damage, into
// an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("badger panicked: %v", p)
	}
}

// Scan implements store.Store.
func (s *Store) Scan(t store.Table, prefix, from []byte, fn func(key, value []byte) error) error {
	ts, err := s.snaps.acquire()
	if err != nil {
		return err
	}
	defer s.snaps.release(ts)
	txn := s.db.NewTransactionAt(ts, false)
	defer txn.Discard()
	c := newCursor(txn, s.seal, dataKey(t, prefix), dataKey(t, from))
	defer c.close()

	damaged := new(store.DamagedScan)
	err = s.walk(c, t, damaged, fn)
	if errors.Is(err, store.ErrStop) {
		err = nil
	}
	if err != nil && damaged.OrNil() != nil {
		return errors.Join(err, damaged)
	}
	if err != nil {
		return err
	}
	return damaged.OrNil()
}

// walk calls fn for what the cursor finds and collects what is damaged. It
// returns an error of fn, or store.ErrClosed.
func (s *Store) walk(c *cursor, t store.Table, damaged *store.DamagedScan, fn func(key, value []byte) error) error {
	for c.next() {
		if s.snaps.isClosed() {
			return store.ErrClosed
		}
		key := c.key[2:]
		if c.damage != nil {
			damaged.Add(&store.DamagedError{Table: t, Key: bytes.Clone(key), Err: c.damage})
			continue
		}
		if err := fn(key, c.value); err != nil {
			return err
		}
	}
	damaged.Err = c.err
	return nil
}

// Commit implements store.Store. It seals the records on the caller's
// goroutine and leaves the rest to the committer.
func (s *Store) Commit(b *store.Batch) error {
	if err := b.Check(); err != nil {
		return err
	}
	r := &request{ops: make([]op, 0, b.Len()), done: make(chan error, 1)}
	for o := range b.Ops() {
		key := dataKey(o.Table, o.Key)
		if o.Delete {
			r.add(op{key: key})
			continue
		}
		r.add(op{key: key, value: s.seal.seal(key, o.Value)})
	}
	return s.commit.submit(r)
}

// Close implements store.Store. With fewer than half of Config.Reserve bytes free
// it fails with store.ErrDiskFull: Badger would write what it has in memory
// through memory maps, and without room for that the process would be killed.
// The store is left as a crash leaves it, with everything that was committed,
// and its directory is in use until the process ends.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.commit.close()
		s.snaps.close()
		s.gc.close()
		if err := requireSpace(s.config.FreeSpace, s.dir, 0, s.config.Reserve/2); errors.Is(err, store.ErrDiskFull) {
			s.closeErr = fmt.Errorf("close store %s: it is left as it is, with all that was written: %w", s.dir, errors.Join(err, s.closeMarked()))
			return
		}
		tip := s.commitTip()
		if err := errors.Join(s.db.Close(), s.closeMarked(), s.writeTipFile(tip)); err != nil {
			s.closeErr = fmt.Errorf("close store %s: %w", s.dir, err)
		}
	})
	return s.closeErr
}
