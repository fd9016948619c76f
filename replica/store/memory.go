package store

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
)

// Memory is a Store that is gone with the process. Make one with NewMemory.
type Memory struct {
	mu     sync.Mutex           // held by the one commit that is under way
	root   atomic.Pointer[node] // replaced by Commit
	closed atomic.Bool
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{} }

var _ Store = (*Memory)(nil)

// Snapshot returns a store of its own with the records that m has now, in
// constant time; later commits to either are not seen in the other.
func (m *Memory) Snapshot() *Memory {
	c := NewMemory()
	c.root.Store(m.root.Load())
	return c
}

// Get implements Store.
func (m *Memory) Get(t Table, key []byte) ([]byte, error) {
	if m.closed.Load() {
		return nil, ErrClosed
	}
	n := m.root.Load().get(t, key)
	if n == nil {
		return nil, ErrNotFound
	}
	return append([]byte{}, n.value...), nil
}

// Scan implements Store. The callback gets copies, so that one that keeps or
// changes what is not its own cannot change the store.
func (m *Memory) Scan(t Table, prefix, from []byte, fn func(key, value []byte) error) error {
	if m.closed.Load() {
		return ErrClosed
	}
	if bytes.Compare(from, prefix) < 0 {
		from = prefix
	}
	var err error
	var key, value []byte
	m.root.Load().ascend(t, from, func(n *node) bool {
		if n.table != t || !bytes.HasPrefix(n.key, prefix) {
			return false
		}
		if m.closed.Load() {
			err = ErrClosed
			return false
		}
		key, value = append(key[:0], n.key...), append(value[:0], n.value...)
		err = fn(key, value)
		return err == nil
	})
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// Commit implements Store, durability aside.
func (m *Memory) Commit(b *Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed.Load() {
		return ErrClosed
	}
	if err := b.Check(); err != nil {
		return err
	}
	root := m.root.Load()
	for op := range b.Ops() {
		if op.Delete {
			root = root.del(op.Table, op.Key)
			continue
		}
		root = root.put(newNode(op.Table, bytes.Clone(op.Key), bytes.Clone(op.Value)))
	}
	m.root.Store(root)
	return nil
}

// Close implements Store; the records are forgotten.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed.Store(true)
	m.root.Store(nil)
	return nil
}
