package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/internal/hand"
)

// chats are so few that devices collide. Contacts and settings have the same ids.
var chats = []string{"a", "b", "c"}

// use lets a person edit on a device, again and again until the faults are over.
func (w *world) use(d *device) {
	w.later(around(w.draw.user, w.plan.pause), func() {
		if w.healing {
			return
		}
		for range 1 + w.draw.user.IntN(2) {
			w.edit(d)
		}
		w.use(d)
	})
}

// edit applies some edits, and one that nobody else makes, by which it is known at
// the end whether anything was lost.
func (w *world) edit(d *device) {
	if !d.up() {
		return
	}
	var edits []model.Edit
	for range 1 + w.draw.user.IntN(3) {
		edits = append(edits, anEdit(w.draw.user))
	}
	w.marks++
	mark, e := w.mark(w.marks)
	edits = append(edits, e)
	w.event("edit", d)
	w.tracef("%s applies %s and %s", d.name, edits[0].Op, mark)
	d.do(func(r hand.Replica) {
		err := r.Apply(edits, func(err error) { d.applied(mark, err) })
		if err != nil {
			w.fail("%s refuses an edit as malformed: %v", d.name, err)
		}
	})
}

// mark is an edit that only says that it was made.
func (w *world) mark(n int) (string, model.Edit) {
	mark := fmt.Sprint("mark ", n)
	if n%2 == 0 {
		return mark, model.Edit{Op: model.ChatLabel, ID: chats[n/2%len(chats)], Label: mark}
	}
	return mark, model.Edit{Op: model.SettingSet, ID: mark, Scope: "account", Value: []byte("1")}
}

// applied takes what became of edits.
func (d *device) applied(mark string, err error) {
	w := d.w
	switch {
	case d.store.dead: // nobody is there to hear of it
	case err == nil:
		w.result.Edits++
		w.tracef("%s has %s", d.name, mark)
		d.own.acknowledged(mark)
	case errors.Is(err, replica.ErrNotFound):
		w.seen(editNotFound)
	case errors.Is(err, replica.ErrNotMember) && !w.inside(d):
		w.seen(refusedOutside)
	case errors.Is(err, replica.ErrClosed), d.store.failed:
	default:
		w.fail("%s refuses an edit: %v", d.name, err)
	}
}

// anEdit draws an edit of any kind.
func anEdit(r *rand.Rand) model.Edit {
	id := chats[r.IntN(len(chats))]
	word := []string{"see", "sea 🙃", "seesaw", ""}[r.IntN(4)]
	all := editsOf(id, word, model.Time(1+r.IntN(50)))
	e := all[r.IntN(len(all))]
	if e.ID == "" {
		e.ID = id
	}
	return e
}

// editsOf returns every operation there is, with arguments from a few values.
func editsOf(id, word string, n model.Time) []model.Edit {
	at := &model.Position{Time: n, ID: "m" + id}
	name := "n" + word
	phones := model.ContactItems{Phones: []model.Labelled{{Value: "+" + name, Label: word}}}
	return []model.Edit{
		{Op: model.ChatRead, At: at}, {Op: model.ChatRead, At: at}, {Op: model.ChatUnread},
		{Op: model.ChatMute, Until: n}, {Op: model.ChatMute, Until: model.Forever}, {Op: model.ChatUnmute},
		{Op: model.ChatArchive, At: at}, {Op: model.ChatArchive}, {Op: model.ChatUnarchive},
		{Op: model.ChatPin}, {Op: model.ChatPin, Before: "a"}, {Op: model.ChatPin, After: "b"}, {Op: model.ChatUnpin},
		{Op: model.ChatLabel, Label: name}, {Op: model.ChatUnlabel, Label: name},
		{Op: model.ChatDraft, Text: &word}, {Op: model.ChatDraft, Draft: "d", Text: &name},
		{Op: model.ChatDraftDone}, {Op: model.ChatDraftDone, Draft: "d"},
		{Op: model.ContactSet, Contact: &model.ContactPatch{Fields: map[string]string{"name": word}}},
		{Op: model.ContactSet, Contact: &model.ContactPatch{Add: phones}},
		{Op: model.ContactSet, Contact: &model.ContactPatch{Remove: phones}}, {Op: model.ContactRemove},
		{Op: model.SettingSet, Scope: "account", Value: []byte(`"` + word + `"`)},
		{Op: model.SettingSet, Scope: "class:phone", Value: []byte(`[null]`)}, {Op: model.SettingReset, Scope: "account"},
		{Op: model.LabelSet, ID: name, Name: &name}, {Op: model.LabelSet, ID: name, Color: &word}, {Op: model.LabelRemove, ID: name},
		{Op: model.DeviceRename, ID: "00000000000000000000000000000001", Name: &name},
	}
}
