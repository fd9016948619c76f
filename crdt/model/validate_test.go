package model

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

const someDevice = "0123456789abcdef0123456789abcdef"

// validEdits has every Op with what it needs and may have.
func validEdits() map[Op]Edit {
	p := &Position{Time: 1, ID: "m"}
	return map[Op]Edit{
		ChatRead:      {ID: "c", At: p},
		ChatUnread:    {ID: "c"},
		ChatMute:      {ID: "c", Until: Forever},
		ChatUnmute:    {ID: "c"},
		ChatArchive:   {ID: "c", At: p},
		ChatUnarchive: {ID: "c"},
		ChatPin:       {ID: "c", Before: "d"},
		ChatUnpin:     {ID: "c"},
		ChatLabel:     {ID: "c", Label: "l"},
		ChatUnlabel:   {ID: "c", Label: "l"},
		ChatDraft:     {ID: "c", Text: new("two\nlines"), Draft: "d"},
		ChatDraftDone: {ID: "c", Draft: "d"},
		ContactSet:    {ID: "c", Contact: &ContactPatch{Fields: map[string]string{"name": "Ada"}}},
		ContactRemove: {ID: "c"},
		SettingSet:    {ID: "k", Scope: "account", Value: json.RawMessage("1")},
		SettingReset:  {ID: "k", Scope: "class:phone"},
		LabelSet:      {ID: "l", Name: new("n"), Color: new(""), Order: "V"},
		LabelRemove:   {ID: "l"},
		DeviceRename:  {ID: someDevice, Name: new("Phone")},
	}
}

func TestValidEdits(t *testing.T) {
	edits := validEdits()
	if len(edits) != len(Ops()) {
		t.Errorf("%d operations, %d tried", len(Ops()), len(edits))
	}
	for op, e := range edits {
		e.Op = op
		if err := e.Validate(); err != nil {
			t.Errorf("%s: %v", op, err)
		}
	}
}

// TestMissingArguments takes away everything but the id.
func TestMissingArguments(t *testing.T) {
	for _, op := range Ops() {
		r, id := rules[op], validEdits()[op].ID
		err := Edit{Op: op, ID: id}.Validate()
		if needs := r.needs != "" || r.atLeastOne != ""; needs != (err != nil) {
			t.Errorf("%s with an id alone: %v", op, err)
		}
		if err != nil && !strings.Contains(err.Error(), "missing") {
			t.Errorf("%s: %v", op, err)
		}
		if err := (Edit{Op: op}).Validate(); err == nil || !strings.Contains(err.Error(), string(op)+": id ") {
			t.Errorf("%s without an id: %v", op, err)
		}
	}
}

// TestForeignArguments adds to every Op every argument that is not its own.
func TestForeignArguments(t *testing.T) {
	all := Edit{
		At: &Position{1, "m"}, Until: 1, Order: "V", Before: "b", After: "a", Label: "l", Draft: "d", Text: new("t"),
		Scope: "account", Value: json.RawMessage("1"), Name: new("n"), Color: new("c"), Contact: &ContactPatch{},
	}
	for _, op := range Ops() {
		r := rules[op]
		own := strings.Fields(strings.Join([]string{r.needs, r.may, r.atLeastOne, r.atMostOne}, " "))
		for _, a := range arguments {
			if !a.given(&all) {
				t.Fatalf("%s is not tried", a.name)
			}
			if slices.Contains(own, a.name) {
				continue
			}
			e := validEdits()[op]
			e.Op = op
			give(&e, &all, a.name)
			if err := e.Validate(); err == nil || !strings.Contains(err.Error(), a.name+" does not belong") {
				t.Errorf("%s with %s: %v", op, a.name, err)
			}
		}
	}
}

// give copies one argument by its JSON name.
func give(to, from *Edit, name string) {
	b, _ := json.Marshal(from)
	var all map[string]json.RawMessage
	_ = json.Unmarshal(b, &all)
	one, _ := json.Marshal(map[string]json.RawMessage{name: all[name]})
	_ = json.Unmarshal(one, to)
}

func TestLimits(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	many := make([]Labelled, MaxItems+1)
	for i := range many {
		many[i].Value = "v"
	}
	for name, c := range map[string]struct {
		e    Edit
		want string
	}{
		"unknown op":        {Edit{Op: "chat.explode", ID: "c"}, "no such operation"},
		"id too long":       {Edit{Op: ChatUnread, ID: long(513)}, "chat.unread: id has 513 bytes, the limit is 512"},
		"id not UTF-8":      {Edit{Op: ChatUnread, ID: "\xff"}, "id is not valid UTF-8"},
		"id with control":   {Edit{Op: ChatUnread, ID: "a\x00"}, "control character at byte 1"},
		"id with C1":        {Edit{Op: ChatUnread, ID: "a\u0085"}, "control character"},
		"message id":        {Edit{Op: ChatRead, ID: "c", At: &Position{1, long(513)}}, "at message id has 513"},
		"no message id":     {Edit{Op: ChatRead, ID: "c", At: &Position{1, ""}}, "at message id is empty"},
		"message before":    {Edit{Op: ChatRead, ID: "c", At: &Position{-1, "m"}}, "at time is outside"},
		"message forever":   {Edit{Op: ChatRead, ID: "c", At: &Position{Forever, "m"}}, "at time is outside"},
		"mute in the past":  {Edit{Op: ChatMute, ID: "c", Until: -1}, "until is neither"},
		"mute too far":      {Edit{Op: ChatMute, ID: "c", Until: Forever - 1}, "until is neither"},
		"two places":        {Edit{Op: ChatPin, ID: "c", Before: "a", After: "b"}, "only one of order, before, after"},
		"order too long":    {Edit{Op: ChatPin, ID: "c", Order: long(1025)}, "order has 1025"},
		"label too long":    {Edit{Op: ChatLabel, ID: "c", Label: long(513)}, "label has 513"},
		"draft too long":    {Edit{Op: ChatDraft, ID: "c", Text: new(long(65537))}, "text has 65537 bytes, the limit is 65536"},
		"draft not UTF-8":   {Edit{Op: ChatDraft, ID: "c", Text: new("\xff")}, "text is not valid UTF-8"},
		"draft id":          {Edit{Op: ChatDraftDone, ID: "c", Draft: "\n"}, "draft has a control"},
		"key too long":      {Edit{Op: SettingReset, ID: long(129), Scope: "account"}, "id has 129 bytes, the limit is 128"},
		"scope":             {Edit{Op: SettingReset, ID: "k", Scope: "world"}, "scope \"world\" is none of"},
		"value too long":    {Edit{Op: SettingSet, ID: "k", Scope: "account", Value: json.RawMessage(`"` + long(16383) + `"`)}, "value has 16385 bytes, the limit is 16384"},
		"value no JSON":     {Edit{Op: SettingSet, ID: "k", Scope: "account", Value: json.RawMessage(`{`)}, "value JSON"},
		"label name":        {Edit{Op: LabelSet, ID: "l", Name: new(long(257))}, "name has 257 bytes, the limit is 256"},
		"empty label name":  {Edit{Op: LabelSet, ID: "l", Name: new("")}, "name is empty"},
		"color":             {Edit{Op: LabelSet, ID: "l", Color: new(long(65))}, "color has 65"},
		"device id":         {Edit{Op: DeviceRename, ID: strings.ToUpper(someDevice), Name: new("n")}, "32 hexadecimal digits in lower case"},
		"device name":       {Edit{Op: DeviceRename, ID: someDevice, Name: new(long(4097))}, "name has 4097"},
		"empty patch":       {Edit{Op: ContactSet, ID: "c", Contact: &ContactPatch{}}, "contact changes nothing"},
		"unknown field":     {Edit{Op: ContactSet, ID: "c", Contact: &ContactPatch{Fields: map[string]string{"shoe": "9"}}}, `field "shoe" is none of`},
		"field too long":    {Edit{Op: ContactSet, ID: "c", Contact: &ContactPatch{Fields: map[string]string{"note": long(4097)}}}, "field note has 4097"},
		"photo":             {Edit{Op: ContactSet, ID: "c", Contact: &ContactPatch{Fields: map[string]string{"photo": "cat.jpg"}}}, "field photo"},
		"too many items":    {Edit{Op: ContactSet, ID: "c", Contact: &ContactPatch{Add: ContactItems{Links: many}}}, "add.links has 257 elements, the limit is 256"},
		"too many removals": {Edit{Op: ContactSet, ID: "c", Contact: &ContactPatch{Remove: ContactItems{Emails: many}}}, "remove.emails has 257"},
		"empty item":        {Edit{Op: ContactSet, ID: "c", Contact: &ContactPatch{Add: ContactItems{Phones: many[:0:0], Emails: []Labelled{{}}}}}, "add.emails element 0 value is empty"},
		"item label":        {Edit{Op: ContactSet, ID: "c", Contact: &ContactPatch{Add: ContactItems{Phones: []Labelled{{"1", long(4097)}}}}}, "label has 4097"},
	} {
		if err := c.e.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	at := []Edit{
		{Op: ChatUnread, ID: long(512)},
		{Op: ChatDraft, ID: "c", Text: new(long(65536))},
		{Op: SettingSet, ID: long(128), Scope: "account", Value: json.RawMessage(`"` + long(16382) + `"`)},
		{Op: LabelSet, ID: "l", Name: new(long(256))},
		{Op: ContactSet, ID: "c", Contact: &ContactPatch{Add: ContactItems{Links: many[1:]}, Fields: map[string]string{"note": long(4096), "photo": "sha256:" + strings.Repeat("ab", 32)}}},
	}
	for _, e := range at {
		if err := e.Validate(); err != nil {
			t.Errorf("at the limit: %v", err)
		}
	}
}

func TestScopes(t *testing.T) {
	for _, s := range []string{"account", "platform:linux", "class:phone", "device:" + someDevice, "platform:a-b_c.9"} {
		if got, err := ParseScope(s); err != nil || got.String() != s {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "Account", "account:", "platform:", "platform:Linux", "platform:a b", "platform:a/b", "class:" + strings.Repeat("x", 65),
		"device:", "device:abc", "device:" + strings.ToUpper(someDevice), "device:" + someDevice + "00", " account", "class:é",
	} {
		if got, err := ParseScope(s); err == nil {
			t.Errorf("%q is taken for %q", s, got)
		}
	}
}

func TestEffectiveSetting(t *testing.T) {
	settings := []Setting{
		{"font", "device:" + someDevice, json.RawMessage("4")}, {"font", "account", json.RawMessage("1")},
		{"font", "class:phone", json.RawMessage("3")}, {"font", "platform:linux", json.RawMessage("2")},
		{"other", "device:" + someDevice, json.RawMessage("9")}, {"font", "nonsense", json.RawMessage("8")},
	}
	for _, c := range []struct {
		on   DeviceContext
		want string
	}{
		{DeviceContext{}, "1"},
		{DeviceContext{Platform: "linux"}, "2"},
		{DeviceContext{Platform: "linux", Class: "phone"}, "3"},
		{DeviceContext{Platform: "linux", Class: "phone", Device: someDevice}, "4"},
		{DeviceContext{Platform: "ios", Class: "tablet", Device: strings.Repeat("0", 32)}, "1"},
	} {
		if got, ok := EffectiveSetting(settings, "font", c.on); !ok || string(got.Value) != c.want {
			t.Errorf("%+v: %s, want %s", c.on, got.Value, c.want)
		}
	}
	if got, ok := EffectiveSetting(settings, "colour", DeviceContext{}); ok {
		t.Errorf("an unset key has %+v", got)
	}
}

func TestLabelID(t *testing.T) {
	if got := LabelID("Family"); got != "f3387c04bd41dee343e8985b31c9429b" {
		t.Errorf("the id of Family is %s", got)
	}
	if LabelID("Family") == LabelID("family") {
		t.Error("two names have one id")
	}
}
