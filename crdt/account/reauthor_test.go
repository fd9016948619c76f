package account_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
)

// shown is what a document shows, without who created a draft, and under what
// number.
func shown(t tester, d *crdt.Document, kind account.Kind) string {
	t.Helper()
	if chat := account.ViewChat(d, "c"); kind == account.KindChat {
		for i := range chat.Drafts {
			chat.Drafts[i].ID = ""
		}
		slices.SortFunc(chat.Drafts, func(a, b model.Draft) int { return strings.Compare(a.Text, b.Text) })
		return toJSON(t, chat)
	}
	return toJSON(t, views[kind](d))
}

func toJSON(t tester, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func withdraw(t tester, d *device, w crdt.Writer, changes []crdt.Change) *device {
	t.Helper()
	hashes := map[crdt.Hash]bool{}
	for _, c := range changes {
		hashes[c.Hash] = true
	}
	doc, made, err := account.Reauthor(d.doc, w, hashes)
	if err != nil {
		t.Fatal(err)
	}
	kept := slices.DeleteFunc(slices.Clone(d.log), func(c crdt.Change) bool { return hashes[c.Hash] })
	return &device{t: t, doc: doc, log: append(kept, made...), now: d.now}
}

// TestReauthor: whatever a device decided after it was put back to an earlier
// state shows the same when it has become another writer, and goes on from
// there; what it had lost comes in and loses nothing, and all agree.
func TestReauthor(t *testing.T) {
	for kind := range views {
		t.Run(kind.String(), rapid.MakeCheck(func(t *rapid.T) {
			devices := world(t, 3) // the third is the second before it lost its end
			other, d, full := devices[0], devices[1], devices[2]
			other.now += 500 // no ties
			do := func(d *device) []crdt.Change {
				before := len(d.log)
				for range rapid.IntRange(0, 5).Draw(t, "edits") {
					d.do(editGen(kind).Draw(t, "edit"))
				}
				return d.log[before:]
			}
			do(other)
			d.from(other)
			do(d)
			other.from(d)
			var err error
			if full.doc, err = crdt.LoadDocument(save(t, d.doc), d.doc.Writer()); err != nil {
				t.Fatal(err)
			}
			full.log, full.now = slices.Clone(d.log), d.now
			do(full)
			do(other)
			before := len(d.log)
			do(d)
			pending := slices.Clone(d.log[before:])
			d.from(other)

			heir := withdraw(t, d, crdt.Writer{2, 1}, pending)
			if want, got := shown(t, d.doc, kind), shown(t, heir.doc, kind); want != got {
				t.Fatalf("shows something else:\n%s\n%s", want, got)
			}
			do(heir) // whatever it is, also with a draft that was withdrawn
			other.from(full)
			meet(other, heir)
			if want, got := shown(t, other.doc, kind), shown(t, heir.doc, kind); want != got {
				t.Fatalf("differ in the end:\n%s\n%s", want, got)
			}
		}))
	}
}

// TestReauthorDraft: a draft that was sent is sent for the heir as well, and a
// new one does not take the place of one that was withdrawn.
func TestReauthorDraft(t *testing.T) {
	d := world(t, 2)[1]
	d.do(op(model.ChatUnread), draft("first"))
	sealed := len(d.log)
	d.do(op(model.ChatDraftDone), draft("second"))
	heir := withdraw(t, d, crdt.Writer{2, 1}, slices.Clone(d.log[sealed:]))
	texts := func() (all []string) {
		for _, dr := range heir.chat().Drafts {
			all = append(all, dr.Text)
		}
		return all
	}
	if got := texts(); !slices.Equal(got, []string{"second"}) {
		t.Fatalf("drafts are %q", got)
	}
	for _, s := range []string{"third", "fourth", "fifth", "sixth"} {
		heir.do(op(model.ChatDraftDone), draft(s))
		if got := texts(); !slices.Equal(got, []string{s}) {
			t.Fatalf("drafts are %q, want %q", got, s)
		}
	}
}
