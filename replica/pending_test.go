package replica_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/internal/hand"
)

var errCut = errors.New("cut")

// imported are contacts whose changes take more than one group.
func imported(n int) []model.Edit {
	random := rand.New(rand.NewPCG(1, 2))
	var edits []model.Edit
	text := func() string {
		b := make([]byte, 4000)
		for j := range b {
			b[j] = byte('a' + random.IntN(26))
		}
		return string(b)
	}
	for i := range n {
		fields := map[string]string{}
		for _, name := range []string{"name", "family", "given", "note", "title"} {
			fields[name] = text()
		}
		edits = append(edits, model.Edit{Op: model.ContactSet, ID: fmt.Sprint("contact", i), Contact: &model.ContactPatch{Fields: fields}})
	}
	return edits
}

func apply(t *testing.T, r hand.Replica, edits ...model.Edit) {
	t.Helper()
	try(t, r.Apply(edits, func(err error) { try(t, err) }))
	for commit(r) {
	}
}

// A read mark does not wait behind an address book, also when the stream is cut and
// when it is set while the rest is on its way; and nothing is lost by that.
func TestReadMarksGoBeforeContacts(t *testing.T) {
	founder := create(t)
	a := driven(t, founder)
	joined := add(t, a, "b")
	b := driven(t, joined)
	const contacts = 500
	apply(t, a, imported(contacts)...)
	apply(t, a, unread("x"))
	shows := func(chat string) {
		t.Helper()
		if _, err := b.GetChat(chat); err != nil {
			t.Errorf("after one group: %v", err)
		}
		s, err := b.State()
		try(t, err)
		if len(s.Contacts) >= contacts || !a.Backlog() {
			t.Fatalf("%d contacts came with it: nothing went ahead", len(s.Contacts))
		}
	}
	meet := func() (x, y hand.Link) {
		x, y = a.Attach(joined.Device()), b.Attach(founder.Device())
		relay(t, x, y)
		return x, y
	}
	x, y := meet()
	commit(a)
	relay(t, x, y)
	for commit(b) {
	}
	shows("x")
	x.Lose(errCut)
	y.Lose(errCut)
	commit(a)
	if problems, err := a.Check(); err != nil || len(problems) > 0 {
		t.Errorf("what was sealed ahead of its turn: %v, %v", problems, err)
	}
	apply(t, a, unread("y"))
	x, y = meet()
	commit(a)
	relay(t, x, y)
	for commit(b) { // what was sealed meanwhile comes before
		relay(t, x, y)
	}
	shows("y")
	for commit(a, b) {
		relay(t, x, y)
	}
	if a.Backlog() || a.Fingerprint() != b.Fingerprint() {
		t.Error("they are not equal in the end")
	}
	s, err := b.State()
	try(t, err)
	if len(s.Contacts) != contacts {
		t.Errorf("%d contacts in the end", len(s.Contacts))
	}
}

// Of a run that takes several envelopes the documents that were changed last go first,
// each with its changes in their order.
func TestRecentFirst(t *testing.T) {
	if got := replica.RecentFirst("a1 b1 a2 c1 b2", 10); got != "a1 b1 a2 c1 b2" {
		t.Errorf("a short run is now %s", got)
	}
	if got := replica.RecentFirst("a1 b1 a2 c1 b2", 300<<10); got != "b1 b2 c1 a1 a2" {
		t.Errorf("a long run is now %s", got)
	}
}
