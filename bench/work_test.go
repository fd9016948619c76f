package bench_test

import (
	"fmt"

	"github.com/starling-sync/starling/crdt/model"
)

// editsAtOnce is how many edits one Apply takes.
const editsAtOnce = 1000

// manyEdits returns the edits that make that many chats and contacts.
func manyEdits(chats, contacts int) [][]model.Edit {
	var all []model.Edit
	for i := range chats {
		id := fmt.Sprintf("signal:+49%08d", i)
		all = append(all, model.Edit{Op: model.ChatRead, ID: id, At: &model.Position{Time: model.Time(1767225600000 + i), ID: fmt.Sprintf("m%d", i)}})
		if i%3 == 0 {
			all = append(all, model.Edit{Op: model.ChatMute, ID: id, Until: model.Forever})
		}
	}
	for i := range contacts {
		all = append(all, model.Edit{Op: model.ContactSet, ID: fmt.Sprintf("contact-%d", i), Contact: &model.ContactPatch{
			Fields: map[string]string{
				"name": fmt.Sprintf("Person %d of Many", i), "given": fmt.Sprintf("Person %d", i), "family": "of Many",
				"company": fmt.Sprintf("Company %d", i%100), "birthday": "19700101",
			},
			Add: model.ContactItems{
				Phones: []model.Labelled{{Value: fmt.Sprintf("+49 30 %07d", i), Label: "cell"}},
				Emails: []model.Labelled{{Value: fmt.Sprintf("person%d@example.com", i), Label: "home"}},
			},
		}})
	}
	var parts [][]model.Edit
	for len(all) > editsAtOnce {
		parts = append(parts, all[:editsAtOnce])
		all = all[editsAtOnce:]
	}
	return append(parts, all)
}
