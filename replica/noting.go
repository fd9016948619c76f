package replica

import (
	"sync"

	"github.com/starling-sync/starling/replica/store"
)

// noting is a store that still has something to note. What tells that a store has lost
// its end tells it until the next commit, and the note of that may have found the disk
// full. So it goes with whatever is committed next.
type noting struct {
	store.Store

	mu   sync.Mutex
	note *store.Batch // guarded by mu; nil once it is durable
}

// Commit implements store.Store.
func (n *noting) Commit(b *store.Batch) error {
	n.mu.Lock()
	if n.note == nil {
		n.mu.Unlock()
		return n.Store.Commit(b)
	}
	defer n.mu.Unlock()
	both := &store.Batch{}
	both.Append(n.note)
	both.Append(b) // which may take the note back
	if err := n.Store.Commit(both); err != nil {
		return err
	}
	n.note = nil
	return nil
}
