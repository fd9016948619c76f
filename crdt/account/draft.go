package account

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/model"
)

// A draft is a text in draftTexts. Whoever types into it says so in typing,
// under the draft's id, which gives the draft its age; sending or clearing it
// deletes the text as far as it is seen and buries what was typed. So what
// another device typed at the same time, and nothing else, comes back.
var (
	draftTexts = crdt.Text{Field: "text"}
	typing     = crdt.StampRegister[bool]{Field: "draft"}
	sent       = crdt.Tombstone{Field: "sent"}
)

// draft is a draft that is alive.
type draft struct {
	id    string
	text  crdt.TextID
	body  string
	typed crdt.Stamp
}

// draftID joins the number that the creator gave to a draft and the creator.
func draftID(id crdt.TextID) string { return id.Element + "." + id.Creator.String() }

// draftSource is a document or an edit of it.
type draftSource interface {
	crdt.Source
	crdt.TextSource
}

// liveDrafts returns the drafts that have text which nobody sent or cleared,
// newest first.
func liveDrafts(s draftSource) []draft {
	var live []draft
	for _, text := range draftTexts.IDs(s) {
		d := draft{id: draftID(text), text: text}
		d.body, _ = draftTexts.Get(s, text)
		edits := s.Register(typing.Field, d.id)
		if d.body == "" || !sent.Join(s.Register(sent.Field, d.id), edits) {
			continue
		}
		for i := range edits {
			d.typed = max(d.typed, edits[i].Stamp)
		}
		live = append(live, d)
	}
	slices.SortFunc(live, func(a, b draft) int {
		return cmp.Or(cmp.Compare(b.typed, a.typed), strings.Compare(a.id, b.id))
	})
	return live
}

func viewDrafts(d *crdt.Document) (drafts []model.Draft) {
	for _, l := range liveDrafts(d) {
		drafts = append(drafts, model.Draft{ID: l.id, Text: l.body})
	}
	return drafts
}

// typeDraft puts the text into the draft on the screen, or begins one.
func typeDraft(e *crdt.Edit, m model.Edit) error {
	on, ok := findDraft(liveDrafts(e), m.Draft)
	switch {
	case *m.Text == "" && ok:
		return finish(e, on)
	case *m.Text == "" || ok && on.body == *m.Text:
		return nil
	case ok:
		if err := draftTexts.Replace(e, on.text, *m.Text); err != nil {
			return err
		}
		return typing.Set(e, on.id, true)
	}
	return beginDraft(e, *m.Text)
}

// beginDraft creates a text under a number that its creator never used.
func beginDraft(e *crdt.Edit, s string) error {
	text, err := draftTexts.Create(e, strconv.FormatUint(e.NextN(), 10), s)
	if err != nil {
		return err
	}
	return typing.Set(e, draftID(text), true)
}

// findDraft returns the draft with an id, the newest if the id is empty.
func findDraft(live []draft, id string) (draft, bool) {
	for _, d := range live {
		if id == "" || d.id == id {
			return d, true
		}
	}
	return draft{}, false
}

// finishDrafts is for a draft that was sent or cleared, or for all of them.
func finishDrafts(e *crdt.Edit, m model.Edit) error {
	for _, d := range liveDrafts(e) {
		if m.Draft != "" && d.id != m.Draft {
			continue
		}
		if err := finish(e, d); err != nil {
			return err
		}
	}
	return nil
}

func finish(e *crdt.Edit, d draft) error {
	if err := draftTexts.Replace(e, d.text, ""); err != nil {
		return err
	}
	return sent.Bury(e, d.id, e.Register(typing.Field, d.id))
}
