package account_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
)

func contact(p model.ContactPatch) model.Edit { return model.Edit{Op: model.ContactSet, Contact: &p} }

func fields(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func phones(pairs ...string) (items model.ContactItems) {
	for i := 0; i < len(pairs); i += 2 {
		items.Phones = append(items.Phones, model.Labelled{Value: pairs[i], Label: pairs[i+1]})
	}
	return items
}

func sameCard(t *testing.T, devices ...*device) (model.Contact, bool) {
	t.Helper()
	want, alive := account.ViewContact(devices[0].doc, "c")
	for _, d := range devices[1:] {
		if got, ok := account.ViewContact(d.doc, "c"); ok != alive || !reflect.DeepEqual(got, want) {
			t.Fatalf("devices differ:\n%+v %v\n%+v %v", want, alive, got, ok)
		}
	}
	return want, alive
}

// Edits of different fields merge, also when both devices create the card;
// two new numbers both stay; equal numbers are one.
func TestContactMerges(t *testing.T) {
	d := world(t, 2)
	d[0].do(contact(model.ContactPatch{Fields: fields("name", "Ada", "note", "x"), Add: phones("1", "home", "3", "a")}))
	d[1].do(contact(model.ContactPatch{Fields: fields("company", "Engines"), Add: phones("2", "work", "3", "b")}))
	meet(d...)
	c, alive := sameCard(t, d...)
	if !alive || !reflect.DeepEqual(c.Fields, model.ContactFields(fields("name", "Ada", "note", "x", "company", "Engines"))) {
		t.Errorf("%v %+v", alive, c.Fields)
	}
	if len(c.Phones) != 3 || c.Phones[0].Value != "1" || c.Phones[1].Value != "2" || c.Phones[2].Value != "3" {
		t.Errorf("%+v", c.Phones)
	}
	if d[0].do(contact(model.ContactPatch{Fields: fields("name", "Ada"), Add: phones("1", "home"), Remove: phones("9", "")})) {
		t.Error("a patch that changes nothing wrote something")
	}
	d[0].do(contact(model.ContactPatch{Fields: fields("note", ""), Add: phones("1", "mobile"), Remove: phones("2", "", "3", "")}))
	meet(d...)
	if c, _ := sameCard(t, d...); len(c.Phones) != 1 || c.Phones[0].Label != "mobile" || c.Fields["note"] != "" {
		t.Errorf("%+v", c)
	}
}

// A number that one device removes and another relabels at the same time stays.
func TestContactItemAddWins(t *testing.T) {
	d := world(t, 2)
	d[0].do(contact(model.ContactPatch{Add: phones("1", "home")}))
	meet(d...)
	d[0].do(contact(model.ContactPatch{Remove: phones("1", "")}))
	d[1].do(contact(model.ContactPatch{Add: phones("1", "work")}))
	meet(d...)
	if c, _ := sameCard(t, d...); len(c.Phones) != 1 || c.Phones[0].Label != "work" {
		t.Errorf("%+v", c.Phones)
	}
}

// Delete against edit keeps the edit, and the rest of the card with it.
func TestContactDelete(t *testing.T) {
	d := world(t, 2)
	d[0].do(contact(model.ContactPatch{Fields: fields("name", "Ada"), Add: phones("1", "")}))
	meet(d...)
	d[0].do(op(model.ContactRemove))
	if _, alive := account.ViewContact(d[0].doc, "c"); alive {
		t.Fatal("it is still there")
	}
	if d[0].do(op(model.ContactRemove)) {
		t.Error("deleting twice wrote twice")
	}
	d[1].do(contact(model.ContactPatch{Fields: fields("note", "met in London")}))
	meet(d...)
	if c, alive := sameCard(t, d...); !alive || c.Fields["name"] != "Ada" || c.Fields["note"] == "" || len(c.Phones) != 1 {
		t.Fatalf("%v %+v", alive, c)
	}
	d[1].do(op(model.ContactRemove))
	meet(d...)
	if _, alive := sameCard(t, d...); alive {
		t.Fatal("a deletion that saw everything lost")
	}
	if d[0].do(contact(model.ContactPatch{Fields: fields("note", ""), Remove: phones("1", "")})) {
		t.Error("emptying what is deleted wrote something")
	}
	d[0].do(contact(model.ContactPatch{Fields: fields("name", "Ada"), Add: phones("2", "")}))
	meet(d...)
	if c, alive := sameCard(t, d...); !alive || c.Fields["note"] != "" || len(c.Phones) != 1 || c.Phones[0].Value != "2" {
		t.Errorf("a contact that was set up again has old parts: %v %+v", alive, c)
	}
}

func TestContactLimit(t *testing.T) {
	d := world(t, 1)[0]
	var items model.ContactItems
	for i := range model.MaxItems {
		items.Phones = append(items.Phones, model.Labelled{Value: fmt.Sprint(i)})
	}
	d.do(contact(model.ContactPatch{Add: items}))
	m := contact(model.ContactPatch{Add: phones("one more", "")})
	m.ID = "c"
	if err := account.Apply(d.doc.Edit(0), m); err == nil || !strings.Contains(err.Error(), "256") {
		t.Errorf("over the limit: %v", err)
	}
}

func setting(scope, key, value string) model.Edit {
	return model.Edit{Op: model.SettingSet, ID: key, Scope: scope, Value: json.RawMessage(value)}
}

// The font on the tablet does not change the phone unless asked.
func TestSettings(t *testing.T) {
	d := world(t, 2)
	d[0].do(setting("account", "font/size", ` { "b":1.0, "a" : null } `))
	d[1].do(setting("class:tablet", "font/size", "20"), setting("account", "theme", `"dark"`))
	meet(d...)
	view := account.ViewSettings(d[0].doc)
	if got := fmt.Sprintf("%s", view); got != `[{font/size account {"a":null,"b":1}} {theme account "dark"} {font/size class:tablet 20}]` {
		t.Errorf("%s", got)
	}
	if !reflect.DeepEqual(view, account.ViewSettings(d[1].doc)) {
		t.Error("devices differ")
	}
	if d[1].do(setting("account", "font/size", `{"a":null,"b":1}`)) {
		t.Error("an equal value wrote something")
	}
	reset := model.Edit{Op: model.SettingReset, ID: "theme", Scope: "account"}
	if !d[0].do(reset) || d[0].do(reset) {
		t.Error("resetting writes once")
	}
	d[1].now = 0
	meet(d...)
	if len(account.ViewSettings(d[1].doc)) != 2 {
		t.Error("a reset is not a value")
	}
	d[1].do(setting("account", "theme", "null"))
	meet(d...)
	if got := account.ViewSettings(d[0].doc); len(got) != 3 || string(got[1].Value) != "null" {
		t.Errorf("null is not a value: %s", got)
	}
}

func label(id, name, color, order string) model.Edit {
	m := model.Edit{Op: model.LabelSet, ID: id, Order: order}
	if name != "" {
		m.Name = &name
	}
	if color != "" {
		m.Color = &color
	}
	return m
}

func sameLabels(t *testing.T, devices ...*device) string {
	t.Helper()
	want := fmt.Sprint(account.ViewLabels(devices[0].doc))
	for _, d := range devices[1:] {
		if got := fmt.Sprint(account.ViewLabels(d.doc)); got != want {
			t.Fatalf("devices differ:\n%s\n%s", want, got)
		}
	}
	return want
}

func TestLabels(t *testing.T) {
	id := model.LabelID("Family")
	d := world(t, 2)
	d[0].do(label(id, "Family", "red", ""))
	d[1].do(label(id, "Family", "", "V")) // the same label, made while apart
	meet(d...)
	if got := sameLabels(t, d...); got != "[{"+id+" Family red V}]" {
		t.Fatal(got)
	}
	if d[0].do(label(id, "Family", "red", "V")) {
		t.Error("an equal label wrote something")
	}
	d[0].do(model.Edit{Op: model.LabelRemove, ID: id})
	d[1].do(label(id, "", "blue", ""))
	meet(d...)
	if got := sameLabels(t, d...); got != "[{"+id+" Family blue V}]" {
		t.Errorf("a concurrent edit did not revive: %s", got)
	}
	d[1].do(model.Edit{Op: model.LabelRemove, ID: id})
	meet(d...)
	if got := sameLabels(t, d...); got != "[]" {
		t.Errorf("deleted: %s", got)
	}
	d[0].do(label(id, "Family", "", ""))
	meet(d...)
	if got := sameLabels(t, d...); got != "[{"+id+" Family  }]" {
		t.Errorf("made again, it has its old colour: %s", got)
	}
}

// Nobody loses a list that another device was filling.
func TestLabelInUseSurvives(t *testing.T) {
	d := world(t, 2)
	d[0].do(label("l", "Work", "", ""))
	meet(d...)
	fill := model.Edit{Op: model.ChatLabel, ID: "some chat", Label: "l"}
	if ref, ok := account.AlsoTouches(fill); !ok || ref.Kind != account.KindLabels {
		t.Fatalf("%v %v", ref, ok)
	}
	e := d[1].doc.Edit(0)
	if err := account.Touch(e, fill); err != nil {
		t.Fatal(err)
	}
	c, err := e.Commit()
	if err != nil || c == nil {
		t.Fatal(c, err)
	}
	d[1].log = append(d[1].log, *c)
	d[0].do(model.Edit{Op: model.LabelRemove, ID: "l"})
	meet(d...)
	if got := sameLabels(t, d...); got != "[{l Work  }]" {
		t.Error(got)
	}
}

func TestDeviceNames(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	d := world(t, 2)
	rename := func(s string) model.Edit { return model.Edit{Op: model.DeviceRename, ID: id, Name: &s} }
	d[0].do(rename("Phone"))
	d[1].from(d[0])
	d[1].now = 0
	d[1].do(rename("Old phone"))
	meet(d...)
	for _, d := range d {
		if got := account.ViewDevices(d.doc); len(got) != 1 || got[0] != (model.DeviceName{ID: id, Name: "Old phone"}) {
			t.Errorf("%+v", got)
		}
	}
	if d[0].do(rename("Old phone")) {
		t.Error("an equal name wrote something")
	}
}

func TestRefs(t *testing.T) {
	acc := [32]byte{1}
	seen := map[account.DocumentID]account.Ref{}
	for _, r := range []account.Ref{
		{account.KindChat, "a"}, {account.KindContact, "a"}, {account.KindChat, "b"},
		{Kind: account.KindSettings}, {Kind: account.KindLabels}, {Kind: account.KindDevices},
	} {
		if err := r.Check(); err != nil {
			t.Error(err)
		}
		id := r.ID(acc)
		if o, twice := seen[id]; twice {
			t.Errorf("%s and %s have one id", r, o)
		}
		if seen[id] = r; r.ID([32]byte{2}) == id {
			t.Errorf("%s has the same id in another account", r)
		}
	}
	for _, r := range []account.Ref{{}, {Kind: 9}, {Kind: account.KindChat}, {account.KindSettings, "a"}, {account.KindChat, "a\n"}} {
		if r.Check() == nil {
			t.Errorf("%+v is a reference", r)
		}
	}
	for _, o := range model.Ops() {
		if r, err := account.RefOf(model.Edit{Op: o}); err == nil {
			t.Errorf("%s without arguments is performed on %s", o, r)
		}
	}
	if r, err := account.RefOf(model.Edit{Op: model.ChatUnread, ID: "x"}); err != nil || r != (account.Ref{Kind: account.KindChat, Entity: "x"}) {
		t.Errorf("%v %v", r, err)
	}
	if r, err := account.RefOf(setting("account", "k", "1")); err != nil || r != (account.Ref{Kind: account.KindSettings}) {
		t.Errorf("%v %v", r, err)
	}
}

func TestDocumentVectors(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "testdata", "vectors", "document-*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		v := map[string]string{}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			v[name] = value
		}
		key, err := hex.DecodeString(v["account"])
		if err != nil {
			t.Fatal(err)
		}
		kind, err := strconv.Atoi(v["kind"])
		if err != nil {
			t.Fatal(err)
		}
		r := account.Ref{Kind: account.Kind(kind), Entity: v["entity"]}
		if got := r.ID([32]byte(key)).String(); got != v["id"] || r.Check() != nil {
			t.Errorf("%s: the id is %s", path, got)
		}
	}
}
