package storetest

import (
	"bytes"
	"errors"
	"sync"

	"github.com/starling-sync/starling/replica/store"
)

// Outcome is what the disk does with a commit.
type Outcome int

const (
	// Durable is how a commit ends on a good day. Everything acknowledged
	// before becomes durable with it, Volatile commits too.
	Durable Outcome = iota
	// Volatile acknowledges a commit that is lost in a crash, as by a disk that
	// lies about its cache.
	Volatile
	// Full refuses the commit with store.ErrDiskFull; nothing is written.
	Full
	// CrashBefore crashes, and the commit is lost.
	CrashBefore
	// CrashAfter crashes before the commit is acknowledged, yet it is durable.
	CrashAfter
)

// ErrCrashed is returned by every method of a store after its disk crashed.
var ErrCrashed = errors.New("storetest: the disk crashed")

// Disk is a place in memory for one store. What was committed is found again
// by the next Open. It is safe for concurrent use.
type Disk struct {
	// Plan decides about each commit; n counts all commits of this disk from
	// 1. Nil is always Durable. It is set before Open, called with the disk
	// locked, and must not use it.
	Plan func(n int, b *store.Batch) Outcome

	mu      sync.Mutex
	durable *store.Memory // guarded by mu; what the next Open after a crash finds
	live    *store.Memory // guarded by mu; what readers see
	open    *session      // guarded by mu; nil if no store is open
	commits int           // guarded by mu
	damaged map[record]bool
}

type record struct {
	table store.Table
	key   string
}

// NewDisk returns an empty disk.
func NewDisk() *Disk {
	return &Disk{durable: store.NewMemory(), live: store.NewMemory(), damaged: map[record]bool{}}
}

// Open opens the store. It returns store.ErrInUse while it is open already.
func (d *Disk) Open() (store.Store, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open != nil {
		return nil, store.ErrInUse
	}
	d.open = &session{disk: d}
	return d.open, nil
}

// Crash ends the store that is open, if any; Volatile commits are lost.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crash()
}

func (d *Disk) crash() {
	if d.open != nil {
		d.open.err = ErrCrashed
		d.open = nil
	}
	d.live = d.durable.Snapshot()
}

// Commits is the number of commits so far, those that failed included.
func (d *Disk) Commits() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.commits
}

// Damage makes a record untrustworthy until it is written or deleted. The
// record has to be there.
func (d *Disk) Damage(t store.Table, key []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.damaged[record{t, string(key)}] = true
}

// session is one opened store.
type session struct {
	disk *Disk
	err  error // guarded by disk.mu; why nothing works any more
}

func (s *session) Get(t store.Table, key []byte) ([]byte, error) {
	d := s.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	if d.damaged[record{t, string(key)}] {
		return nil, &store.DamagedError{Table: t, Key: bytes.Clone(key)}
	}
	return d.live.Get(t, key)
}

func (s *session) Scan(t store.Table, prefix, from []byte, fn func(key, value []byte) error) error {
	snapshot, damaged, err := s.snapshot(t)
	if err != nil {
		return err
	}
	out := new(store.DamagedScan)
	err = snapshot.Scan(t, prefix, from, func(key, value []byte) error {
		if err := s.failure(); err != nil {
			return err
		}
		if damaged[string(key)] {
			out.Add(&store.DamagedError{Table: t, Key: bytes.Clone(key)})
			return nil
		}
		return fn(key, value)
	})
	if err != nil && out.Count > 0 {
		return errors.Join(err, out)
	}
	if err != nil {
		return err
	}
	return out.OrNil()
}

func (s *session) failure() error {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	return s.err
}

// snapshot returns the records, and which of a table are damaged.
func (s *session) snapshot(t store.Table) (*store.Memory, map[string]bool, error) {
	d := s.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	damaged := map[string]bool{}
	for r := range d.damaged {
		if r.table == t {
			damaged[r.key] = true
		}
	}
	return d.live.Snapshot(), damaged, s.err
}

func (s *session) Commit(b *store.Batch) error {
	d := s.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if err := b.Check(); err != nil {
		return err
	}
	d.commits++
	outcome := Durable
	if d.Plan != nil {
		outcome = d.Plan(d.commits, b)
	}
	return d.commit(b, outcome)
}

// commit applies b as the outcome says. The caller holds mu.
func (d *Disk) commit(b *store.Batch, outcome Outcome) error {
	switch outcome {
	case Full:
		return store.ErrDiskFull
	case CrashBefore:
		d.crash()
		return ErrCrashed
	}
	if err := d.live.Commit(b); err != nil {
		return err
	}
	for op := range b.Ops() {
		delete(d.damaged, record{op.Table, string(op.Key)})
	}
	if outcome == Volatile {
		return nil
	}
	d.durable = d.live.Snapshot()
	if outcome == CrashAfter {
		d.crash()
		return ErrCrashed
	}
	return nil
}

// Close makes everything durable, as an operating system does in time.
func (s *session) Close() error {
	d := s.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.err != nil {
		return nil
	}
	s.err = store.ErrClosed
	d.open = nil
	d.durable = d.live.Snapshot()
	return nil
}
