package replica

import (
	"fmt"
	"slices"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
)

// publishN publishes n events, named by their number from first on.
func publishN(h *hub, first, n int) {
	for i := range n {
		h.publish([]model.Event{{Kind: "chat", Entity: fmt.Sprint(first + i)}})
	}
}

// drain returns the entities of all events that a subscriber has not seen;
// a gap is shown as its kind. Ids must grow by one, but over a gap.
func drain(t *testing.T, h *hub, s *subscriber) (entities []string) {
	t.Helper()
	for last := s.cursor; ; {
		ev, ok := h.next(s)
		if !ok {
			return entities
		}
		if ev.Kind == model.GapKind {
			ev.Entity = ev.Kind
		} else if ev.ID != last+1 {
			t.Fatalf("event %d follows %d", ev.ID, last)
		}
		last = ev.ID
		entities = append(entities, ev.Entity)
	}
}

// A subscriber that is exactly as far behind as events are kept misses none;
// one further and it is told of a gap, once, and goes on from the newest.
func TestHubKeepsSoManyEvents(t *testing.T) {
	for _, ring := range []int{keptEvents, keptEvents + 100, 2 * keptEvents, 2*keptEvents + 1, 5 * keptEvents} {
		h := newHub(7)
		publishN(h, 0, ring-keptEvents)
		inTime := h.subscribe(h.place(0))
		publishN(h, ring-keptEvents, keptEvents)
		got := drain(t, h, inTime)
		if len(got) != keptEvents || got[0] != fmt.Sprint(ring-keptEvents) || got[keptEvents-1] != fmt.Sprint(ring-1) {
			t.Fatalf("of %d events: %d, from %s", ring, len(got), got[0])
		}
		late := h.subscribe(inTime.cursor)
		publishN(h, ring, keptEvents+1)
		if got := drain(t, h, late); !slices.Equal(got, []string{model.GapKind}) {
			t.Fatalf("one event too late gives %d events, from %s", len(got), got[0])
		}
		publishN(h, -1, 1)
		if got := drain(t, h, late); !slices.Equal(got, []string{"-1"}) {
			t.Fatalf("after the gap comes %q", got)
		}
		if len(h.ring) > 2*keptEvents || cap(h.ring) > 4*keptEvents {
			t.Fatalf("%d events are kept, in room for %d", len(h.ring), cap(h.ring))
		}
	}
}

// Where a subscriber may begin, and what it gets there.
func TestHubPlaces(t *testing.T) {
	h := newHub(1000)
	publishN(h, 0, 3) // ids 1000 to 1002
	gap := model.GapKind
	for after, want := range map[uint64][]string{
		0:         nil,             // now
		1:         {gap},           // of another life
		998:       {gap},           // likewise
		999:       {"0", "1", "2"}, // before the first
		1000:      {"1", "2"},      //
		1001:      {"2"},           //
		1002:      nil,             // the newest
		1003:      {gap},           // not reached
		1 << 62:   {gap},           // far from reached
		1<<64 - 1: {gap},
	} {
		if got := drain(t, h, h.subscribe(h.place(after))); !slices.Equal(got, want) {
			t.Errorf("after %d comes %q, want %q", after, got, want)
		}
	}
	if got := drain(t, newHub(2), newHub(2).subscribe(0)); !slices.Equal(got, []string{gap}) {
		t.Errorf("a first event that nobody saw gives %q", got)
	}
}

// A subscriber that does not read is woken once and holds nothing up, and one
// that has left is forgotten.
func TestHubSubscribers(t *testing.T) {
	h := newHub(2)
	var all []*subscriber
	for range 100 {
		all = append(all, h.subscribe(h.place(0)))
	}
	publishN(h, 0, 10)
	for i, s := range all {
		if len(s.wake) != 1 {
			t.Fatalf("subscriber %d was woken %d times", i, len(s.wake))
		}
		if got := drain(t, h, s); len(got) != 10 {
			t.Fatalf("subscriber %d has %d events", i, len(got))
		}
		h.unsubscribe(s)
	}
	if len(h.subs) != 0 {
		t.Errorf("%d subscribers are left", len(h.subs))
	}
}
