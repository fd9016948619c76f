package account_test

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
)

func (d *device) chat() model.Chat { return account.ViewChat(d.doc, "c") }

func same(t *testing.T, devices ...*device) model.Chat {
	t.Helper()
	want := devices[0].chat()
	for _, d := range devices[1:] {
		if got := d.chat(); !reflect.DeepEqual(got, want) {
			t.Fatalf("devices differ:\n%+v\n%+v", want, got)
		}
	}
	return want
}

func read(ms model.Time, id string) model.Edit { return model.Edit{Op: model.ChatRead, At: at(ms, id)} }

func op(o model.Op) model.Edit { return model.Edit{Op: o} }

// Reading anywhere is reading everywhere; a device coming back can never unread.
func TestReadMarkNeverGoesBack(t *testing.T) {
	d := world(t, 2)
	d[0].do(read(250, "m250"))
	for i := range 20 { // the busier device, which would win by operation count
		d[1].do(read(model.Time(81+i), "old"))
	}
	meet(d...)
	if c := same(t, d...); *c.Read != *at(250, "m250") {
		t.Errorf("read up to %v", c.Read)
	}
	if d[1].do(read(249, "z")) || d[1].do(read(250, "m250")) {
		t.Error("reading what was read wrote something")
	}
	if !d[1].do(read(250, "m251")) {
		t.Error("the message id does not count at equal times")
	}
}

// A later read clears a mark as unread, a concurrent read does not.
func TestMarkedUnread(t *testing.T) {
	d := world(t, 2)
	d[0].do(read(1, "a"), op(model.ChatUnread))
	d[1].do(read(9, "b")) // has not seen the mark
	meet(d...)
	if !same(t, d...).MarkedUnread {
		t.Fatal("a concurrent read cleared the reminder")
	}
	d[1].do(read(9, "b")) // opening at the same position
	meet(d...)
	if same(t, d...).MarkedUnread {
		t.Fatal("a later read does not clear: the reminder sticks")
	}
	if d[0].do(read(9, "b")) {
		t.Error("reading what is read and not marked wrote something")
	}
}

// A mark that one device cleared does not come back when that device marks
// again and its clearing is replaced.
func TestClearedMarkStaysCleared(t *testing.T) {
	d := world(t, 3)
	d[0].do(op(model.ChatUnread))
	meet(d...)
	d[1].do(read(5, "x"), op(model.ChatUnread))
	d[2].from(d[1])
	d[2].do(read(5, "x"))
	meet(d...)
	if same(t, d...).MarkedUnread {
		t.Error("the first mark came back")
	}
}

func TestUnreadAgain(t *testing.T) {
	d := world(t, 2)
	d[0].do(op(model.ChatUnread))
	if d[0].do(op(model.ChatUnread)) {
		t.Error("marking twice on one device wrote twice")
	}
	d[1].from(d[0])
	if !d[1].do(op(model.ChatUnread)) {
		t.Error("another device could not add its tag")
	}
	d[0].do(read(5, "x"))
	meet(d...)
	if !same(t, d...).MarkedUnread {
		t.Error("the second mark was lost to a concurrent read")
	}
}

// The last deliberate choice wins, not the longest mute.
func TestMute(t *testing.T) {
	d := world(t, 2)
	d[0].do(model.Edit{Op: model.ChatMute, Until: model.Forever})
	d[1].from(d[0])
	d[1].now = 0 // a clock in 1970 has seen the choice, so it wins
	d[1].do(op(model.ChatUnmute))
	meet(d...)
	if c := same(t, d...); c.MutedUntil != 0 {
		t.Errorf("muted until %s", c.MutedUntil)
	}
	if d[0].do(op(model.ChatUnmute)) {
		t.Error("an equal choice wrote something")
	}
	d[0].now, d[1].now = 1_900_000_000_000, 1_900_000_000_500 // apart: the later one wins
	d[0].do(model.Edit{Op: model.ChatMute, Until: model.Forever})
	d[1].do(model.Edit{Op: model.ChatMute, Until: 77})
	meet(d...)
	if c := same(t, d...); c.MutedUntil != 77 {
		t.Errorf("muted until %s", c.MutedUntil)
	}
}

// A new message un-archives by computation, equally everywhere.
func TestArchive(t *testing.T) {
	d := world(t, 2)
	d[0].do(model.Edit{Op: model.ChatArchive, At: at(10, "m")})
	meet(d...)
	c := same(t, d...)
	if !c.Archived || c.ArchiveSeen == nil || *c.ArchiveSeen != *at(10, "m") {
		t.Fatalf("%+v", c)
	}
	if !c.ArchivedGiven(*at(10, "m"), false, false) || c.ArchivedGiven(*at(11, "n"), false, false) || !c.ArchivedGiven(*at(11, "n"), true, false) {
		t.Error("what shows is computed wrong")
	}
	if d[1].do(model.Edit{Op: model.ChatArchive, At: at(10, "m")}) || d[1].do(op(model.ChatArchive)) {
		t.Error("an equal choice wrote something")
	}
	if !d[1].do(model.Edit{Op: model.ChatArchive, At: at(20, "n")}) || !d[1].do(op(model.ChatUnarchive)) {
		t.Error("a different choice wrote nothing")
	}
	meet(d...)
	if c := same(t, d...); c.Archived || c.ArchiveSeen != nil {
		t.Errorf("%+v", c)
	}
}

// Two pins both stay; add wins over a concurrent unpin; concurrent moves of
// one chat give one place.
func TestPin(t *testing.T) {
	w1, w2 := crdt.Writer{1}, crdt.Writer{2}
	d := world(t, 3)
	d[0].do(model.Edit{Op: model.ChatPin, Order: crdt.Between("", "", w1)})
	meet(d...)
	d[0].do(op(model.ChatUnpin))
	d[1].do(model.Edit{Op: model.ChatPin, Order: crdt.Between("Z", "", w2)})
	d[2].do(model.Edit{Op: model.ChatPin, Order: crdt.Between("", "A", w2)})
	meet(d...)
	c := same(t, d...)
	if !c.Pinned || c.PinOrder == "" {
		t.Fatal("a concurrent unpin won")
	}
	d[2].do(op(model.ChatUnpin))
	meet(d...)
	if c := same(t, d...); c.Pinned || c.PinOrder != "" {
		t.Error("an unpin that saw all pins lost")
	}
	if d[0].do(op(model.ChatUnpin)) {
		t.Error("unpinning what is not pinned wrote something")
	}
	if !d[0].do(op(model.ChatPin)) || d[0].do(op(model.ChatPin)) {
		t.Error("pinning without a place writes once")
	}
}

func TestPinOrder(t *testing.T) {
	w := crdt.Writer{1}
	pin := func(id, order string) model.Chat { return model.Chat{ID: id, Pinned: true, PinOrder: order} }
	chats := []model.Chat{pin("b", "M"), {ID: "x"}, pin("a", "D"), pin("c", "T")}
	for _, c := range []struct {
		m        model.Edit
		lo, hi   string
		none, no bool
	}{
		{m: model.Edit{ID: "x"}, lo: "T"},
		{m: model.Edit{ID: "x", Before: "b"}, lo: "D", hi: "M"},
		{m: model.Edit{ID: "x", After: "b"}, lo: "M", hi: "T"},
		{m: model.Edit{ID: "a", After: "b"}, lo: "M", hi: "T"},
		{m: model.Edit{ID: "b", Before: "a"}, hi: "D"},
		{m: model.Edit{ID: "b"}, none: true},
		{m: model.Edit{ID: "x", Before: "nowhere"}, no: true},
		{m: model.Edit{ID: "a", Before: "a"}, no: true},
	} {
		got, err := account.PinOrder(chats, c.m, w)
		if (err != nil) != c.no || (got == "") != (c.none || c.no) {
			t.Errorf("%+v: %q, %v", c.m, got, err)
			continue
		}
		if got != "" && (got <= c.lo || c.hi != "" && got >= c.hi) {
			t.Errorf("%+v: %q is not between %q and %q", c.m, got, c.lo, c.hi)
		}
	}
	if got, err := account.PinOrder(chats, model.Edit{ID: "x", Order: "Q"}, w); got != "Q" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestChatLabels(t *testing.T) {
	label := func(o model.Op, l string) model.Edit { return model.Edit{Op: o, Label: l} }
	d := world(t, 2)
	d[0].do(label(model.ChatLabel, "b"), label(model.ChatLabel, "a/with a slash"))
	if d[0].do(label(model.ChatLabel, "b")) {
		t.Error("labelling twice wrote twice")
	}
	meet(d...)
	d[0].do(label(model.ChatUnlabel, "b"))
	d[1].do(label(model.ChatUnlabel, "b"), label(model.ChatLabel, "b")) // again, unseen by the other
	d[1].do(label(model.ChatUnlabel, "a/with a slash"))
	meet(d...)
	if c := same(t, d...); !slices.Equal(c.Labels, []string{"b"}) {
		t.Errorf("labels are %q", c.Labels)
	}
}

func draft(s string) model.Edit { return model.Edit{Op: model.ChatDraft, Text: &s} }

// Concurrent typing in one draft merges.
func TestDraftMerges(t *testing.T) {
	d := world(t, 2)
	d[0].do(draft("see you at the station"))
	meet(d...)
	d[0].do(draft("I see you at the station"))
	d[1].do(draft("see you at the station, 9:30 🙃"))
	meet(d...)
	c := same(t, d...)
	if len(c.Drafts) != 1 || c.Drafts[0].Text != "I see you at the station, 9:30 🙃" {
		t.Errorf("%+v", c.Drafts)
	}
	if d[0].do(draft(c.Drafts[0].Text)) {
		t.Error("the same text wrote something")
	}
}

// Sent drafts do not return, whoever still has them, and text is not lost:
// what was typed meanwhile is there, and only that.
func TestDraftSent(t *testing.T) {
	d := world(t, 3)
	d[0].do(draft("hello"))
	meet(d...)
	id := d[0].chat().Drafts[0].ID
	d[0].do(op(model.ChatDraftDone))
	d[1].do(draft("hello world"))
	meet(d...)
	c := same(t, d...)
	if len(c.Drafts) != 1 || c.Drafts[0] != (model.Draft{ID: id, Text: " world"}) {
		t.Fatalf("%+v", c.Drafts)
	}
	d[2].do(draft("")) // clearing is sending
	meet(d...)
	if c := same(t, d...); c.Drafts != nil {
		t.Errorf("%+v", c.Drafts)
	}
	if d[1].do(op(model.ChatDraftDone)) || d[1].do(draft("")) {
		t.Error("clearing nothing wrote something")
	}
	stale := draft("typed on the stale draft")
	stale.Draft = id
	d[1].do(stale)
	if c := d[1].chat(); len(c.Drafts) != 1 || c.Drafts[0].ID == id {
		t.Errorf("a stale draft was typed into: %+v", c.Drafts)
	}
}

// Two different new drafts are both kept, the newest first.
func TestTwoDrafts(t *testing.T) {
	d := world(t, 2)
	d[0].do(draft("older"))
	d[1].now += 5_000
	d[1].do(draft("newer"))
	meet(d...)
	c := same(t, d...)
	if len(c.Drafts) != 2 || c.Drafts[0].Text != "newer" {
		t.Fatalf("%+v", c.Drafts)
	}
	m := draft("older and longer")
	m.Draft = c.Drafts[1].ID
	d[0].now = d[1].now
	d[0].do(m)
	meet(d...)
	if c := same(t, d...); c.Drafts[0].Text != "older and longer" || c.Drafts[1].Text != "newer" {
		t.Errorf("%+v", c.Drafts)
	}
	done := op(model.ChatDraftDone)
	done.Draft = m.Draft
	d[1].do(done)
	meet(d...)
	if c := same(t, d...); len(c.Drafts) != 1 || c.Drafts[0].Text != "newer" {
		t.Errorf("%+v", c.Drafts)
	}
}

// What a hostile writer puts into a register does not show.
func TestMalformedChat(t *testing.T) {
	d := world(t, 1)[0]
	d.do(read(7, "m"), model.Edit{Op: model.ChatMute, Until: 9}, op(model.ChatPin))
	want := d.chat()
	hostile := newDocument(t, 9)
	e := hostile.Edit(math.MaxInt64)
	type p struct {
		_    struct{} `cbor:",toarray"`
		Time int64
		ID   string
	}
	for field, payload := range map[string]any{
		"read": p{Time: math.MaxInt64, ID: "forever"}, "mute": -1, "pin": "not an order", "archive": "yes", "label": false,
		"unread": 1, "draft": true, "sent": 3,
	} {
		for _, element := range []string{"", "x"} {
			if err := e.Put(field, element, crdt.Write{Payload: payload}); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err := e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	d.from(&device{t: t, log: []crdt.Change{*c}})
	if got := d.chat(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}
