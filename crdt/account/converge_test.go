package account_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
)

// views print what a document of each kind shows.
var views = map[account.Kind]func(*crdt.Document) any{
	account.KindChat: func(d *crdt.Document) any { return account.ViewChat(d, "c") },
	account.KindContact: func(d *crdt.Document) any {
		c, alive := account.ViewContact(d, "c")
		return []any{alive, c}
	},
	account.KindSettings: func(d *crdt.Document) any { return account.ViewSettings(d) },
	account.KindLabels:   func(d *crdt.Document) any { return account.ViewLabels(d) },
	account.KindDevices:  func(d *crdt.Document) any { return account.ViewDevices(d) },
}

// editGen makes valid edits of one kind, few enough that they collide.
func editGen(kind account.Kind) *rapid.Generator[model.Edit] {
	return rapid.Custom(func(t *rapid.T) model.Edit {
		word := rapid.SampledFrom([]string{"a", "b", "see", "sea 🙃"}).Draw(t, "word")
		other := rapid.SampledFrom([]string{"", "x", "a"}).Draw(t, "other")
		n := model.Time(rapid.IntRange(1, 5).Draw(t, "n"))
		items := phones(word, other)
		return rapid.SampledFrom(map[account.Kind][]model.Edit{
			account.KindChat: {
				read(n, word), op(model.ChatUnread), {Op: model.ChatMute, Until: n}, op(model.ChatUnmute),
				{Op: model.ChatArchive, At: at(n, word)}, op(model.ChatArchive), op(model.ChatUnarchive),
				{Op: model.ChatPin, Order: fmt.Sprint(int64(n))}, op(model.ChatPin), op(model.ChatUnpin),
				{Op: model.ChatLabel, Label: word}, {Op: model.ChatUnlabel, Label: word},
				draft(word), draft(other), draft(word + other), op(model.ChatDraftDone),
			},
			account.KindContact: {
				contact(model.ContactPatch{Fields: fields("name", word, "note", other)}),
				contact(model.ContactPatch{Add: items}), contact(model.ContactPatch{Remove: items}), op(model.ContactRemove),
			},
			account.KindSettings: {
				setting("account", word, fmt.Sprint(int64(n))), setting("class:phone", word, "null"),
				{Op: model.SettingReset, ID: word, Scope: "account"},
			},
			account.KindLabels: {
				label(word, word, "", ""), label(word, "", "red", ""), label(word, "", "", fmt.Sprint(int64(n))),
				{Op: model.LabelRemove, ID: word},
			},
			account.KindDevices: {
				{Op: model.DeviceRename, ID: fmt.Sprintf("%032x", int64(n)), Name: &word},
			},
		}[kind]).Draw(t, "edit")
	})
}

// TestKindsConverge: for every kind, whatever the clocks, the order, the
// repetitions and the partitions, devices that have the same changes show the
// same, byte for byte, and taking in what is known writes nothing.
func TestKindsConverge(t *testing.T) {
	for kind, view := range views {
		t.Run(kind.String(), rapid.MakeCheck(func(t *rapid.T) {
			devices := world(t, 3)
			devices[0].now, devices[2].now = 0, 2_208_988_800_000 // 1970 and 2040
			for range rapid.IntRange(1, 30).Draw(t, "steps") {
				i := rapid.IntRange(0, 2).Draw(t, "who")
				switch to := rapid.IntRange(0, 5).Draw(t, "to"); {
				case to < 3 && to != i:
					devices[to].from(devices[i])
				default:
					devices[i].do(editGen(kind).Draw(t, "edit"))
				}
			}
			meet(devices...)
			want, err := json.Marshal(view(devices[0].doc))
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range devices[1:] {
				if got, _ := json.Marshal(view(d.doc)); string(got) != string(want) {
					t.Fatalf("%s\n%s", want, got)
				}
			}
			checkRebuilt(t, devices[0], view, want)
		}))
	}
}

// checkRebuilt delivers a log again: in one piece, in another causal order,
// with repetitions, and from a saved document.
func checkRebuilt(t *rapid.T, d *device, view func(*crdt.Document) any, want []byte) {
	t.Helper()
	check := func(what string, doc *crdt.Document) {
		if got, _ := json.Marshal(view(doc)); string(got) != string(want) {
			t.Fatalf("%s:\n%s\n%s", what, want, got)
		}
		if !reflect.DeepEqual(doc.Heads(), d.doc.Heads()) {
			t.Fatalf("%s: other heads", what)
		}
	}
	whole := newDocument(t, 8)
	if _, err := whole.Apply(append(d.log, d.log...)); err != nil {
		t.Fatal(err)
	}
	check("in one piece, twice", whole)
	single := newDocument(t, 8)
	for left := d.log; len(left) > 0; {
		left = deliverSome(t, single, left)
	}
	check("in another order", single)
	loaded, err := crdt.LoadDocument(save(t, d.doc), crdt.Writer{8})
	if err != nil {
		t.Fatal(err)
	}
	check("loaded", loaded)
}

// deliverSome delivers in a random order whatever can be, and returns the rest.
func deliverSome(t *rapid.T, d *crdt.Document, log []crdt.Change) (left []crdt.Change) {
	order := rapid.Permutation(log).Draw(t, "order")
	for _, c := range order {
		if _, err := d.Apply([]crdt.Change{c}); err != nil {
			left = append(left, c)
		}
	}
	if len(left) == len(log) {
		t.Fatal("nothing can be delivered")
	}
	return left
}

// TestEditsAreIdempotent: the same edit again writes nothing, whatever it is.
func TestEditsAreIdempotent(t *testing.T) {
	for kind := range views {
		t.Run(kind.String(), rapid.MakeCheck(func(t *rapid.T) {
			d := world(t, 1)[0]
			for range rapid.IntRange(1, 10).Draw(t, "edits") {
				m := editGen(kind).Draw(t, "edit")
				d.do(m)
				if d.do(m) {
					t.Fatalf("%+v twice wrote twice", m)
				}
			}
		}))
	}
}
