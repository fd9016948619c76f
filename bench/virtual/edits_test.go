package virtual_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/starling-sync/starling/crdt/model"
)

// randomEdit is about few enough things that devices collide.
func randomEdit(r *rand.Rand) model.Edit {
	chat := fmt.Sprint("chat ", r.IntN(5))
	word := fmt.Sprint("word ", r.IntN(8))
	at := &model.Position{Time: model.Time(1 + r.IntN(1000)), ID: word}
	phone := model.ContactItems{Phones: []model.Labelled{{Value: fmt.Sprint("+49 ", r.IntN(20))}}}
	all := []model.Edit{
		{Op: model.ChatRead, ID: chat, At: at}, {Op: model.ChatUnread, ID: chat},
		{Op: model.ChatMute, ID: chat, Until: model.Forever}, {Op: model.ChatUnmute, ID: chat},
		{Op: model.ChatArchive, ID: chat, At: at}, {Op: model.ChatUnarchive, ID: chat},
		{Op: model.ChatPin, ID: chat}, {Op: model.ChatUnpin, ID: chat},
		{Op: model.ChatLabel, ID: chat, Label: word}, {Op: model.ChatUnlabel, ID: chat, Label: word},
		{Op: model.ChatDraft, ID: chat, Text: &word}, {Op: model.ChatDraftDone, ID: chat},
		{Op: model.ContactSet, ID: "contact", Contact: &model.ContactPatch{Fields: map[string]string{"name": word}}},
		{Op: model.ContactSet, ID: "contact", Contact: &model.ContactPatch{Add: phone}},
		{Op: model.ContactSet, ID: "contact", Contact: &model.ContactPatch{Remove: phone}},
		{Op: model.SettingSet, ID: "theme", Scope: "account", Value: fmt.Appendf(nil, "%q", word)},
		{Op: model.SettingReset, ID: "theme", Scope: "account"},
		{Op: model.LabelSet, ID: word, Name: &chat}, {Op: model.LabelRemove, ID: word},
	}
	return all[r.IntN(len(all))]
}
