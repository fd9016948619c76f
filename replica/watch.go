package replica

import (
	"context"
	"iter"
	"sync"

	"github.com/starling-sync/starling/crdt/model"
)

// keptEvents is how many past events a subscriber can resume over.
const keptEvents = 8192

// Cursor is a place in the sequence of events.
type Cursor uint64

// Now is the place behind the last event.
const Now Cursor = 0

// After returns the place behind the event with the given id.
func After(id uint64) Cursor { return Cursor(id) }

// Watch yields events from a place on, until ctx ends, the replica closes,
// or the caller stops. A subscriber that falls more than 8,192 events behind,
// or resumes from before this process began, gets one event of kind
// model.GapKind and goes on from the newest; it then reads the state anew.
func (r *Replica) Watch(ctx context.Context, from Cursor) iter.Seq[model.Event] {
	cursor := r.hub.place(uint64(from))
	return func(yield func(model.Event) bool) {
		sub := r.hub.subscribe(cursor)
		defer r.hub.unsubscribe(sub)
		for {
			for {
				ev, ok := r.hub.next(sub)
				if !ok {
					break
				}
				if ctx.Err() != nil || !yield(ev) {
					return
				}
			}
			select {
			case <-sub.wake:
			case <-ctx.Done():
				return
			case <-r.done:
				return
			}
		}
	}
}

// Events is Watch in the form that a client of a daemon has it; the error is
// always nil.
func (r *Replica) Events(ctx context.Context, after uint64) iter.Seq2[model.Event, error] {
	events := r.Watch(ctx, Cursor(after))
	return func(yield func(model.Event, error) bool) {
		for ev := range events {
			if !yield(ev, nil) {
				return
			}
		}
	}
}

// hub keeps the newest events and wakes those who read them.
type hub struct {
	mu       sync.Mutex
	ring     []model.Event            // guarded by mu; consecutive ids, the oldest first
	upcoming uint64                   // guarded by mu; id of the next event
	subs     map[*subscriber]struct{} // guarded by mu
}

type subscriber struct {
	cursor uint64        // id of the last event delivered; guarded by hub.mu
	wake   chan struct{} // capacity 1
}

func newHub(first uint64) *hub {
	return &hub{upcoming: first, subs: map[*subscriber]struct{}{}}
}

// place returns the id after which a subscriber begins. One that was never
// reached cannot be resumed from, which a cursor of 0 stands for: a gap.
func (h *hub) place(after uint64) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case after == 0:
		return h.upcoming - 1
	case after >= h.upcoming:
		return 0
	}
	return after
}

func (h *hub) subscribe(cursor uint64) *subscriber {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &subscriber{cursor: cursor, wake: make(chan struct{}, 1)}
	h.subs[s] = struct{}{}
	return s
}

func (h *hub) unsubscribe(s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, s)
}

// publish numbers the events and wakes the subscribers.
func (h *hub) publish(events []model.Event) {
	if len(events) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ev := range events {
		ev.ID = h.upcoming
		h.upcoming++
		h.ring = append(h.ring, ev)
	}
	if n := len(h.ring); n > 2*keptEvents {
		h.ring = append([]model.Event(nil), h.ring[n-keptEvents:]...)
	}
	for s := range h.subs {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// next returns the event behind the subscriber's cursor, or a gap.
func (h *hub) next(s *subscriber) (model.Event, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.upcoming - 1
	if s.cursor >= last {
		return model.Event{}, false
	}
	behind := last - s.cursor
	if behind > uint64(min(len(h.ring), keptEvents)) {
		s.cursor = last
		return model.Event{ID: last, Kind: model.GapKind}, true
	}
	ev := h.ring[uint64(len(h.ring))-behind]
	s.cursor = ev.ID
	return ev, true
}
