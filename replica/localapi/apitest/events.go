package apitest

import (
	"context"
	"iter"

	"github.com/starling-sync/starling/crdt/model"
)

// publish gives e the next id. The caller holds mu.
func (r *Replica) publish(e model.Event) {
	r.last++
	e.ID = r.last
	r.events = append(r.events, e)
	if n := len(r.events); n > r.keep {
		r.events = append([]model.Event(nil), r.events[n-r.keep:]...)
	}
	close(r.wake)
	r.wake = make(chan struct{})
}

// Events implements client.API. The place to start is fixed by the call.
func (r *Replica) Events(ctx context.Context, after uint64) iter.Seq2[model.Event, error] {
	r.mu.Lock()
	cursor := after
	if after == 0 {
		cursor = r.last
	}
	r.mu.Unlock()
	return func(yield func(model.Event, error) bool) {
		r.watching(1)
		defer r.watching(-1)
		for ctx.Err() == nil {
			events, wake := r.since(cursor)
			for _, e := range events {
				if cursor = e.ID; ctx.Err() != nil || !yield(e, nil) {
					return
				}
			}
			if len(events) > 0 {
				continue
			}
			select {
			case <-wake:
			case <-ctx.Done():
			}
		}
	}
}

func (r *Replica) watching(change int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchers += change
}

// since returns the events after cursor, and what is closed at the next one.
// Where some are no longer kept, or cursor is from another life of the
// replica, there is one gap that ends at the newest.
func (r *Replica) since(cursor uint64) ([]model.Event, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cursor == r.last {
		return nil, r.wake
	}
	behind := r.last - cursor
	if cursor > r.last || behind > uint64(len(r.events)) {
		return []model.Event{{ID: r.last, Kind: model.GapKind}}, r.wake
	}
	return append([]model.Event(nil), r.events[uint64(len(r.events))-behind:]...), r.wake
}
