package sim

import (
	"errors"
	"fmt"

	"github.com/starling-sync/starling/replica/store"
)

// Errors of a simulated disk.
var (
	errFull = fmt.Errorf("%w: the simulated disk has no room", store.ErrDiskFull)
	errDead = errors.New("the simulated process has crashed")
)

// disk is the directory of one device. Its records are an immutable tree, so that
// a copy of all of them costs nothing. What was committed is durable, all of a
// batch or none.
type disk struct {
	mem  *store.Memory
	full bool
	// dieIn counts the commits until the process dies in one, 0 for never. Then
	// keep says whether that one is durable.
	dieIn int
	keep  bool
	lost  error              // what the store says of its end until the next commit
	tap   func(*store.Batch) // told of each batch that has become durable; nil for nobody
}

func newDisk() *disk { return &disk{mem: store.NewMemory()} }

// open returns the store of one lifetime of the process.
func (d *disk) open() *lifetime { return &lifetime{disk: d, lost: d.lost} }

// lifetime is a disk as one process sees it.
type lifetime struct {
	disk   *disk
	dead   bool  // the process is, or it has closed the store
	lost   error // what the store says of its end
	failed bool  // a commit did not go through
}

var _ store.Store = (*lifetime)(nil)

// Lost is what the store on a disk says when it has lost its end.
func (l *lifetime) Lost() error { return l.lost }

// Get implements store.Store.
func (l *lifetime) Get(t store.Table, key []byte) ([]byte, error) {
	if l.dead {
		return nil, errDead
	}
	return l.disk.mem.Get(t, key)
}

// Scan implements store.Store.
func (l *lifetime) Scan(t store.Table, prefix, from []byte, fn func(key, value []byte) error) error {
	if l.dead {
		return errDead
	}
	return l.disk.mem.Scan(t, prefix, from, fn)
}

// Commit implements store.Store.
func (l *lifetime) Commit(b *store.Batch) error {
	switch d := l.disk; {
	case l.dead:
		return errDead
	case d.full:
		l.failed = true
		return errFull
	case d.dieIn == 1:
		d.dieIn, l.dead = 0, true
		if d.keep {
			return errors.Join(errDead, d.commit(b))
		}
		return errDead
	case d.dieIn > 1:
		d.dieIn--
	}
	return l.disk.commit(b)
}

func (d *disk) commit(b *store.Batch) error {
	if err := d.mem.Commit(b); err != nil {
		return err
	}
	d.lost = nil
	if d.tap != nil {
		d.tap(b)
	}
	return nil
}

// Close implements store.Store. The records stay on the disk.
func (l *lifetime) Close() error {
	l.dead = true
	return nil
}
