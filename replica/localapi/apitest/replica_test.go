package apitest_test

import (
	"strconv"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/apitest"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func TestReplica(t *testing.T) {
	apitest.Run(t, func(*testing.T) apitest.Subject {
		r := apitest.New(nil)
		return apitest.Subject{API: r, Linker: r, Join: r.Join}
	})
}

// A pin goes where it is put: behind the last, before or after another.
func TestReplicaPins(t *testing.T) {
	r := apitest.New(nil)
	for _, e := range []model.Edit{
		{ID: "b"}, {ID: "d"}, {ID: "a", Before: "b"}, {ID: "c", After: "b"}, {ID: "e", After: "d"}, {ID: "d", Before: "a"},
	} {
		e.Op = model.ChatPin
		if err := r.Apply(t.Context(), []model.Edit{e}); err != nil {
			t.Fatal(err)
		}
	}
	order := map[string]string{}
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		c, err := r.GetChat(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		order[id] = c.PinOrder
	}
	want := []string{"d", "a", "b", "c", "e"}
	for i := 1; i < len(want); i++ {
		if order[want[i-1]] >= order[want[i]] {
			t.Errorf("%s (%q) is not before %s (%q)", want[i-1], order[want[i-1]], want[i], order[want[i]])
		}
	}
	err := r.Apply(t.Context(), []model.Edit{{Op: model.ChatPin, ID: "a", After: "nobody"}})
	if client.CodeOf(err) != client.CodeBadRequest {
		t.Errorf("a pin after a chat that is not pinned gives %v", err)
	}
}

// Between always has room, however often one place is split.
func TestReplicaPinsSplitForever(t *testing.T) {
	r := apitest.New(nil)
	pin := func(e model.Edit) string {
		e.Op = model.ChatPin
		if err := r.Apply(t.Context(), []model.Edit{e}); err != nil {
			t.Fatal(err)
		}
		c, _ := r.GetChat(t.Context(), e.ID)
		return c.PinOrder
	}
	first := pin(model.Edit{ID: "first"})
	last, id := first, "first"
	for i := range 200 {
		next := strconv.Itoa(i)
		order := pin(model.Edit{ID: next, Before: id})
		if order >= last {
			t.Fatalf("pin %d: %q is not before %q", i, order, last)
		}
		last, id = order, next
		if i%2 == 0 {
			continue
		}
		if after := pin(model.Edit{ID: next + "'", After: id}); after <= order {
			t.Fatalf("pin %d: %q is not after %q", i, after, order)
		}
	}
}

func TestReplicaBreak(t *testing.T) {
	r := apitest.New(nil)
	edits := []model.Edit{{Op: model.ChatUnread, ID: "c"}}
	r.Break(client.Errorf(client.CodeDiskFull, "no room"))
	if err := r.Apply(t.Context(), edits); client.CodeOf(err) != client.CodeDiskFull {
		t.Errorf("broken: %v", err)
	}
	r.Break(nil)
	if err := r.Apply(t.Context(), edits); err != nil {
		t.Errorf("repaired: %v", err)
	}
}

// A subscriber that is further behind than what is kept hears of a gap once.
func TestReplicaGap(t *testing.T) {
	r := apitest.New(&apitest.Config{Keep: 2})
	first := r.Heard(model.Event{Kind: "fault"})
	for range 3 {
		r.Heard(model.Event{Kind: "peer"})
	}
	var got []model.Event
	for e, err := range r.Events(t.Context(), first) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e); len(got) == 1 {
			r.Heard(model.Event{Kind: "chat", Entity: "c"})
		}
		if len(got) == 2 {
			break
		}
	}
	if got[0].Kind != model.GapKind || got[0].ID != 4 || got[1].Kind != "chat" || got[1].ID != 5 {
		t.Errorf("events %+v, want a gap up to 4 and the chat", got)
	}
}
