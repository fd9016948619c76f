package replica_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/model"
)

// editGen makes one to four valid edits of any kind, of few enough things that
// the devices collide.
var editGen = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) model.Edit {
	id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id")
	word := rapid.SampledFrom([]string{"see", "sea 🙃", "seesaw", ""}).Draw(t, "word")
	n := model.Time(rapid.IntRange(1, 5).Draw(t, "n"))
	e := rapid.SampledFrom(editsOf(id, word, n)).Draw(t, "edit")
	if e.ID == "" {
		e.ID = id
	}
	return e
}), 1, 4)

// editsOf returns every operation there is, with arguments from a few values.
func editsOf(id, word string, n model.Time) []model.Edit {
	at := &model.Position{Time: n, ID: "m" + id}
	name := "n" + word
	phones := model.ContactItems{Phones: []model.Labelled{{Value: "+" + name, Label: word}}}
	return []model.Edit{
		{Op: model.ChatRead, At: at}, {Op: model.ChatUnread},
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

// The generator knows every operation.
func TestEditsOfEveryKind(t *testing.T) {
	known := map[model.Op]bool{}
	for _, e := range editsOf("a", "word", 1) {
		known[e.Op] = true
	}
	for _, op := range model.Ops() {
		if !known[op] {
			t.Errorf("no edit with %s", op)
		}
	}
}
