package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// Subject is what Run tests: a replica that has a device and nothing else.
type Subject struct {
	API    client.API
	Linker client.Linker // nil: linking is not tested
	// Join is the new device: it answers the invite of a ticket and returns
	// the digits that it shows. Needed with a Linker.
	Join func(ticket, name string) (digits string, err error)
}

// HostileIDs are ids that an entity may have and that are easy to lose on the
// way through a path.
var HostileIDs = []string{
	"signal:+4912345", "a/b", "ü %2F", "..", ".", "...", "/", "//", "a//b", "../a", "a/..", "%", "%2F", "%2e%2e",
	" ", "a b", "+", "a+b", "?", "a?after=1", "#", "a#b", ";", "&=", "\\", `"`, "'", "<script>", "{id}", "{id...}", "$", "*",
	"confirm", "e\u0301", "\u2028", "\U0001F426", strings.Repeat("ü", model.MaxID/2),
}

// Run holds open's subjects, a new one for each part, against the contract of
// client.API and client.Linker.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	parts := []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"begins empty", beginsEmpty},
		{"shows edits", showsEdits},
		{"applies all or none", allOrNone},
		{"takes no edits at all", noEdits},
		{"limits edits", limitsEdits},
		{"keeps hostile ids", hostileIDs},
		{"finds nothing", findsNothing},
		{"keeps setting values", settingValues},
		{"writes the state canonically", canonicalState},
		{"verifies", verifies},
		{"ends with its context", cancelled},
		{"sees what follows the call", eventsFromCall},
		{"resumes events", eventsResume},
		{"tells of a gap", eventsGap},
		{"ends events with the context", eventsEnd},
		{"links a device", linking(links)},
		{"burns an invite at wrong digits", linking(wrongDigits)},
		{"burns an invite at the next", linking(nextInvite)},
		{"cancels an invite", linking(cancels)},
		{"knows no other invite", linking(noInvite)},
	}
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) { p.run(t, open(t)) })
	}
}

// linking skips a part where the subject has no linker.
func linking(run func(*testing.T, Subject)) func(*testing.T, Subject) {
	return func(t *testing.T, s Subject) {
		if s.Linker == nil {
			t.Skip("needs a Linker: this subject has none")
		}
		run(t, s)
	}
}

// wantCode fails the test unless err has the code, "" for no error.
func wantCode(t *testing.T, err error, want client.Code) {
	t.Helper()
	if got := client.CodeOf(err); got != want {
		t.Fatalf("code %q (error: %v), want %q", got, err, want)
	}
	if err != nil && err.Error() == "" {
		t.Fatalf("the error with code %q says nothing", want)
	}
}

// wantJSON compares by what a user of the interface sees.
func wantJSON(t *testing.T, got any, want string) {
	t.Helper()
	raw, err := json.Marshal(got)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	a, errA := model.CanonicalJSON(raw)
	b, errB := model.CanonicalJSON([]byte(want))
	if err := errors.Join(errA, errB); err != nil {
		t.Fatalf("%v in\ngot  %s\nwant %s", err, raw, want)
	}
	if !bytes.Equal(a, b) {
		t.Fatalf("\ngot  %s\nwant %s", a, b)
	}
}

func apply(t *testing.T, s Subject, edits string) {
	t.Helper()
	var list []model.Edit
	if err := json.Unmarshal([]byte(edits), &list); err != nil {
		t.Fatalf("edits of the test: %v", err)
	}
	wantCode(t, s.API.Apply(t.Context(), list), "")
}

func state(t *testing.T, s Subject) string {
	t.Helper()
	st, err := s.API.State(t.Context())
	wantCode(t, err, "")
	var buf bytes.Buffer
	if err := client.EncodeState(&buf, st); err != nil {
		t.Fatalf("encode the state: %v", err)
	}
	return buf.String()
}

func beginsEmpty(t *testing.T, s Subject) {
	chats, err := s.API.ListChats(t.Context())
	wantCode(t, err, "")
	contacts, err := s.API.ListContacts(t.Context())
	wantCode(t, err, "")
	settings, err := s.API.ListSettings(t.Context())
	wantCode(t, err, "")
	labels, err := s.API.ListLabels(t.Context())
	wantCode(t, err, "")
	if n := len(chats) + len(contacts) + len(settings) + len(labels); n != 0 {
		t.Fatalf("a new replica has %d entities", n)
	}
	devices, err := s.API.ListDevices(t.Context())
	wantCode(t, err, "")
	status, err := s.API.Status(t.Context())
	wantCode(t, err, "")
	if len(devices) != 1 || !devices[0].Self || devices[0].ID != status.Device || devices[0].Name != status.Name {
		t.Fatalf("devices %+v do not fit the status %+v", devices, status)
	}
	if len(status.Frontier) != 64 || len(status.Fingerprint) != 64 {
		t.Fatalf("frontier %q, fingerprint %q: want 64 digits", status.Frontier, status.Fingerprint)
	}
}

func showsEdits(t *testing.T, s Subject) {
	apply(t, s, `[
		{"op":"chat.read","id":"c","at":{"time":"2026-01-31T09:30:00.123Z","id":"m1"}},
		{"op":"chat.read","id":"c","at":{"time":"2026-01-30T09:30:00Z","id":"m0"}},
		{"op":"chat.unread","id":"c"},
		{"op":"chat.mute","id":"c","until":"forever"},
		{"op":"chat.archive","id":"c","at":{"time":1769851800000,"id":"m1"}},
		{"op":"chat.pin","id":"c","order":"m"},
		{"op":"chat.label","id":"c","label":"work"},
		{"op":"chat.label","id":"c","label":"fun"},
		{"op":"chat.draft","id":"c","text":"Hi <b>&\u2028"},
		{"op":"contact.set","id":"k","contact":{"fields":{"name":"Ada","note":"x"},"add":{"phones":[{"value":"+49","label":"cell"},{"value":"+1"}]}}},
		{"op":"contact.set","id":"k","contact":{"fields":{"note":""},"remove":{"phones":[{"value":"+1"}]}}},
		{"op":"label.set","id":"work","name":"Work","color":"#ff0000","order":"b"},
		{"op":"setting.set","id":"font","scope":"account","value":12}
	]`)
	chat, err := s.API.GetChat(t.Context(), "c")
	wantCode(t, err, "")
	if len(chat.Drafts) != 1 || chat.Drafts[0].ID == "" {
		t.Fatalf("drafts are %+v", chat.Drafts)
	}
	chat.Drafts[0].ID = "d1" // the replica chooses it
	wantJSON(t, chat, `{"id":"c","read":{"time":"2026-01-31T09:30:00.123Z","id":"m1"},"marked_unread":true,
		"muted_until":"forever","archived":true,"archive_seen":{"time":"2026-01-31T09:30:00.000Z","id":"m1"},
		"pinned":true,"pin_order":"m","labels":["fun","work"],"drafts":[{"id":"d1","text":"Hi <b>&\u2028"}]}`)
	contact, err := s.API.GetContact(t.Context(), "k")
	wantCode(t, err, "")
	wantJSON(t, contact, `{"id":"k","fields":{"name":"Ada"},"phones":[{"value":"+49","label":"cell"}]}`)
	labels, err := s.API.ListLabels(t.Context())
	wantCode(t, err, "")
	wantJSON(t, labels, `[{"id":"work","name":"Work","color":"#ff0000","order":"b"}]`)
	apply(t, s, `[
		{"op":"chat.read","id":"c","at":{"time":"2026-01-31T09:30:00.123Z","id":"m1"}},
		{"op":"chat.unmute","id":"c"},{"op":"chat.unarchive","id":"c"},{"op":"chat.unpin","id":"c"},
		{"op":"chat.unlabel","id":"c","label":"work"},{"op":"chat.draftdone","id":"c"},
		{"op":"setting.reset","id":"font","scope":"account"},{"op":"label.remove","id":"work"},{"op":"contact.remove","id":"k"}
	]`)
	chat, err = s.API.GetChat(t.Context(), "c")
	wantCode(t, err, "")
	if chat.MarkedUnread || chat.MutedUntil != 0 || chat.Archived || chat.Pinned || len(chat.Drafts) != 0 || len(chat.Labels) != 1 {
		t.Fatalf("after everything was undone: %+v", chat)
	}
	_, err = s.API.GetContact(t.Context(), "k")
	wantCode(t, err, client.CodeNotFound)
}

func allOrNone(t *testing.T, s Subject) {
	before := state(t, s)
	for _, bad := range []model.Edit{
		{},
		{Op: "chat.paint", ID: "c"},
		{Op: model.ChatUnread},
		{Op: model.ChatUnread, ID: "line\nfeed"},
		{Op: model.ChatUnread, ID: strings.Repeat("x", model.MaxID+1)},
		{Op: model.ChatMute, ID: "c"},
		{Op: model.ChatUnread, ID: "c", Scope: "account"},
		{Op: model.SettingSet, ID: "k", Scope: "galaxy", Value: json.RawMessage("1")},
		{Op: model.DeviceRename, ID: "me"},
	} {
		edits := []model.Edit{{Op: model.ChatUnread, ID: "good"}, bad}
		wantCode(t, s.API.Apply(t.Context(), edits), client.CodeBadRequest)
		if after := state(t, s); after != before {
			t.Fatalf("after a refused %+v the state is\n%s, was\n%s", bad, after, before)
		}
	}
}

func noEdits(t *testing.T, s Subject) {
	wantCode(t, s.API.Apply(t.Context(), nil), "")
	wantCode(t, s.API.Apply(t.Context(), []model.Edit{}), "")
}

func limitsEdits(t *testing.T, s Subject) {
	edits := make([]model.Edit, client.MaxEdits+1)
	for i := range edits {
		edits[i] = model.Edit{Op: model.ChatUnread, ID: "c"}
	}
	wantCode(t, s.API.Apply(t.Context(), edits), client.CodeTooLarge)
	_, err := s.API.GetChat(t.Context(), "c")
	wantCode(t, err, client.CodeNotFound)
}

func hostileIDs(t *testing.T, s Subject) {
	name := "n"
	patch := &model.ContactPatch{Fields: map[string]string{"name": name}}
	for _, id := range HostileIDs {
		edits := []model.Edit{{Op: model.ChatUnread, ID: id}, {Op: model.ContactSet, ID: id, Contact: patch}}
		wantCode(t, s.API.Apply(t.Context(), edits), "")
		chat, err := s.API.GetChat(t.Context(), id)
		if err != nil || chat.ID != id {
			t.Errorf("chat %q came back as %q, error %v", id, chat.ID, err)
		}
		contact, err := s.API.GetContact(t.Context(), id)
		if err != nil || contact.ID != id || contact.Fields["name"] != name {
			t.Errorf("contact %q came back as %+v, error %v", id, contact, err)
		}
	}
	chats, err := s.API.ListChats(t.Context())
	wantCode(t, err, "")
	if len(chats) != len(HostileIDs) {
		t.Errorf("%d chats are listed, want %d", len(chats), len(HostileIDs))
	}
	for i := 1; i < len(chats); i++ {
		if chats[i-1].ID >= chats[i].ID {
			t.Errorf("chats are not sorted: %q before %q", chats[i-1].ID, chats[i].ID)
		}
	}
}

func findsNothing(t *testing.T, s Subject) {
	for _, id := range append([]string{""}, HostileIDs...) {
		_, err := s.API.GetChat(t.Context(), id)
		wantCode(t, err, client.CodeNotFound)
		_, err = s.API.GetContact(t.Context(), id)
		wantCode(t, err, client.CodeNotFound)
	}
}

func settingValues(t *testing.T, s Subject) {
	deep := strings.Repeat("[", 32) + strings.Repeat("]", 32)
	values := []string{`null`, `true`, `0`, `-1.5`, `1e+30`, `9007199254740991`, `""`, `"<&>\u2028\u0007"`, `[]`, `{}`, `{"b":[1,{"a":null}],"a":"ü"}`, deep}
	var want []string
	for i, value := range values {
		edit := model.Edit{Op: model.SettingSet, ID: fmt.Sprintf("key%02d", i), Scope: "class:phone", Value: json.RawMessage(value)}
		wantCode(t, s.API.Apply(t.Context(), []model.Edit{edit}), "")
		canonical, err := model.CanonicalJSON([]byte(value))
		if err != nil {
			t.Fatalf("value of the test: %v", err)
		}
		want = append(want, string(canonical))
	}
	settings, err := s.API.ListSettings(t.Context())
	wantCode(t, err, "")
	if len(settings) != len(values) {
		t.Fatalf("%d settings, want %d", len(settings), len(values))
	}
	for i, setting := range settings {
		got, err := model.CanonicalJSON(setting.Value)
		if err != nil || string(got) != want[i] || setting.Scope != "class:phone" {
			t.Errorf("setting %d is %s (error %v), want %s", i, setting.Value, err, want[i])
		}
	}
	state(t, s) // the deepest value has a canonical form too
}

func canonicalState(t *testing.T, s Subject) {
	apply(t, s, `[{"op":"chat.unread","id":"b"},{"op":"chat.unread","id":"a"},{"op":"chat.unread","id":"<&>"},
		{"op":"setting.set","id":"k","scope":"platform:linux","value":{"z":1,"a":2}},
		{"op":"setting.set","id":"k","scope":"account","value":1},
		{"op":"contact.set","id":"x","contact":{"add":{"emails":[{"value":"a@b"}]}}}]`)
	status, err := s.API.Status(t.Context())
	wantCode(t, err, "")
	chat := `{"archived":false,"drafts":[],"id":"%s","labels":[],"marked_unread":true,"muted_until":null,"pinned":false}`
	want := `{"account":"` + status.Account + `","chats":[` + fmt.Sprintf(chat+","+chat+","+chat, "<&>", "a", "b") + `],` +
		`"contacts":[{"emails":[{"value":"a@b"}],"fields":{},"id":"x"}],"devices":[`
	got := state(t, s)
	if !strings.HasPrefix(got, want) {
		t.Errorf("the state begins\n%s\nwant\n%s", got[:min(len(got), len(want))], want)
	}
	want = `"labels":[],"settings":[{"key":"k","scope":"account","value":1},{"key":"k","scope":"platform:linux","value":{"a":2,"z":1}}]}` + "\n"
	if !strings.HasSuffix(got, want) {
		t.Errorf("the state ends\n%s\nwant\n%s", got[max(0, len(got)-len(want)):], want)
	}
}

func verifies(t *testing.T, s Subject) {
	v, err := s.API.Verify(t.Context())
	wantCode(t, err, "")
	status, err := s.API.Status(t.Context())
	wantCode(t, err, "")
	if !v.OK || len(v.Problems) != 0 || v.Fingerprint != status.Fingerprint {
		t.Fatalf("verification %+v does not fit the status %+v", v, status)
	}
}

func cancelled(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.API.Apply(ctx, []model.Edit{{Op: model.ChatUnread, ID: "c"}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("apply after the end of the context gives %v", err)
	}
	if _, err := s.API.GetChat(t.Context(), "c"); client.CodeOf(err) != client.CodeNotFound {
		t.Errorf("a cancelled edit was applied: %v", err)
	}
}
