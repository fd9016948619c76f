package replica

import (
	"fmt"

	"github.com/starling-sync/starling/replica/store"
)

// Generation remembers one number outside of the store: in a keychain, say,
// which is not put back to an earlier state together with a directory. With it
// an older state of the store is noticed at Open, before another device tells,
// even one that was put back in its place. Called by one goroutine at a time.
type Generation interface {
	// Load returns what Save was given last, 0 for nothing yet.
	Load() (uint64, error)
	Save(n uint64) error
}

// The store's own number is never below the one outside, unless it is older: it
// grows with every Open and every Close, in the store first.

// generations returns the store's number and the one outside. Without the one
// outside nothing is noticed, and nothing else is lost.
func (r *Replica) generations() (inside, outside uint64, err error) {
	if r.config.Generation == nil {
		return 0, 0, nil
	}
	if _, err := get(r.config.Store, tableMeta, keyGeneration, &inside); err != nil {
		return 0, 0, err
	}
	outside, err = r.config.Generation.Load()
	if err != nil {
		r.config.Log.Warn("whether an older state was put back cannot be seen", "err", err)
		return inside, 0, nil
	}
	r.generation = max(inside, outside) + 1
	return inside, outside, nil
}

// putGeneration makes the next number part of a batch.
func (r *Replica) putGeneration(b *store.Batch) {
	if r.generation > 0 {
		b.Put(tableMeta, keyGeneration, encode(r.generation))
	}
}

// saveGeneration follows a commit of the batch.
func (r *Replica) saveGeneration() {
	if r.generation == 0 {
		return
	}
	if err := r.config.Generation.Save(r.generation); err != nil {
		r.config.Log.Warn("an older state that is put back will not be noticed", "err", err)
	}
}

// endGeneration is for Close: a state from before is older from now on.
func (r *Replica) endGeneration() {
	if r.generation == 0 {
		return
	}
	r.generation++
	b := &store.Batch{}
	r.putGeneration(b)
	if err := r.config.Store.Commit(b); err != nil {
		r.config.Log.Warn("an older state that is put back may not be noticed", "err", fmt.Errorf("close: %w", err))
		return
	}
	r.saveGeneration()
}
