package replica_test

import (
	"errors"
	"fmt"
	"sync"

	"github.com/starling-sync/starling/replica/store"
)

// faulty is a store that goes wrong as a test says.
type faulty struct {
	store.Store
	mu      sync.Mutex
	refuse  func(b *store.Batch) error // asked before each commit; guarded by mu
	scanned func(t store.Table)        // told of each scan; set before the store is used
	damaged map[string]bool            // table and key of records; guarded by mu
	left    *store.Memory              // what was there at Close; read after it
	lost    error                      // what Lost returns; set before the store is used
}

func newFaulty(s store.Store) *faulty {
	return &faulty{Store: s, refuse: func(*store.Batch) error { return nil }, damaged: map[string]bool{}}
}

// errFull is what a store says of a disk without room.
var errFull = fmt.Errorf("%w: 0 KiB free", store.ErrDiskFull)

// failing makes commits fail with err; nil lets them through.
func (f *faulty) failing(err error) {
	f.refusing(func(*store.Batch) error { return err })
}

func (f *faulty) refusing(refuse func(*store.Batch) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = refuse
}

// damage spoils a record until it is written again.
func (f *faulty) damage(t store.Table, key []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.damaged[string([]byte{byte(t)})+string(key)] = true
}

func (f *faulty) isDamaged(t store.Table, key []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.damaged[string([]byte{byte(t)})+string(key)]
}

// Lost is what the store on a disk says when it has lost its end.
func (f *faulty) Lost() error { return f.lost }

func (f *faulty) Commit(b *store.Batch) error {
	f.mu.Lock()
	refuse := f.refuse
	f.mu.Unlock()
	if err := refuse(b); err != nil {
		return err
	}
	if err := f.Store.Commit(b); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for op := range b.Ops() {
		delete(f.damaged, string([]byte{byte(op.Table)})+string(op.Key))
	}
	return nil
}

// Close keeps what the store has for the next life.
func (f *faulty) Close() error {
	if m, ok := f.Store.(*store.Memory); ok && f.left == nil {
		f.left = m.Snapshot()
	}
	return f.Store.Close()
}

func (f *faulty) Get(t store.Table, key []byte) ([]byte, error) {
	if f.isDamaged(t, key) {
		return nil, &store.DamagedError{Table: t, Key: key}
	}
	return f.Store.Get(t, key)
}

func (f *faulty) Scan(t store.Table, prefix, from []byte, fn func(key, value []byte) error) error {
	if f.scanned != nil {
		f.scanned(t)
	}
	damaged := &store.DamagedScan{}
	err := f.Store.Scan(t, prefix, from, func(key, value []byte) error {
		if f.isDamaged(t, key) {
			damaged.Add(&store.DamagedError{Table: t, Key: append([]byte{}, key...)})
			return nil
		}
		return fn(key, value)
	})
	if damaged.OrNil() == nil {
		return err
	}
	return errors.Join(err, damaged)
}
