package replica_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
)

// A hundred thousand edits in one Apply are all or none, and arrive whole on
// another device.
func TestHugeApply(t *testing.T) {
	a, b := pair(t)
	var edits []model.Edit
	for i := range 100_000 {
		edits = append(edits, model.Edit{Op: model.ChatMute, ID: fmt.Sprint("chat", i/1000), Until: model.Time(i + 1)})
	}
	bad := append(edits[:len(edits):len(edits)], model.Edit{Op: model.ChatPin, ID: "x", After: "nobody"})
	if err := a.Apply(t.Context(), bad); !errors.Is(err, replica.ErrNotFound) {
		t.Fatalf("with one edit that cannot be made: %v", err)
	}
	if got := chats(t, a.Replica); got != "" {
		t.Fatalf("chats are %q", got)
	}
	bad[len(edits)].ID = ""
	if err := a.Apply(t.Context(), bad); !errors.Is(err, replica.ErrBadEdit) || !strings.Contains(err.Error(), "number 100001 of 100001") {
		t.Fatalf("with one malformed edit: %v", err)
	}
	try(t, a.Apply(t.Context(), edits))
	connect(a, b)
	inSync(t, a, b)
	list, err := b.ListChats(t.Context())
	try(t, err)
	for _, c := range list {
		n, err := strconv.Atoi(strings.TrimPrefix(c.ID, "chat"))
		if err != nil || c.MutedUntil != edits[1000*n+999].Until {
			t.Errorf("chat %s is muted until %d", c.ID, c.MutedUntil)
		}
	}
	if got, want := stateOf(t, b.Replica), stateOf(t, a.Replica); len(list) != 100 || got != want {
		t.Errorf("%d chats, want 100 and equal states", len(list))
	}
}

// Edits of one document that are too large for one change become several, and
// each is small enough for an envelope.
func TestApplyTooLargeForOneChange(t *testing.T) {
	a, b := pair(t)
	random := rand.New(rand.NewPCG(1, 2))
	var edits []model.Edit
	for i := range 100 {
		value := make([]byte, model.MaxValue-2)
		for j := range value {
			value[j] = byte('0' + random.IntN(64))
			if value[j] == '\\' {
				value[j] = '0'
			}
		}
		edits = append(edits, model.Edit{Op: model.SettingSet, ID: fmt.Sprint("key", i), Scope: "account", Value: fmt.Appendf(nil, `"%s"`, value)})
	}
	try(t, a.Apply(t.Context(), edits))
	connect(a, b)
	inSync(t, a, b)
	list, err := b.ListSettings(t.Context())
	if err != nil || len(list) != len(edits) {
		t.Fatalf("%d settings arrived of %d: %v", len(list), len(edits), err)
	}
	verified(t, b.Replica)
}

// atLimits returns edits whose every part is as large as it may be, and which
// are too large when one byte more is asked for.
func atLimits(more int) []model.Edit {
	long := func(n int) string { return strings.Repeat("x", n+more) }
	id, field := long(model.MaxID), long(model.MaxField)
	return []model.Edit{
		unread(id),
		{Op: model.ChatLabel, ID: "c", Label: id},
		{Op: model.ChatRead, ID: "c", At: &model.Position{Time: 1, ID: id}},
		{Op: model.ChatDraft, ID: "c", Draft: id, Text: new("x")},
		{Op: model.ChatDraft, ID: "c", Draft: "d", Text: new(long(model.MaxDraft))},
		{Op: model.LabelSet, ID: id, Name: new("n")},
		{Op: model.LabelSet, ID: "l", Name: new(long(model.MaxLabelName))},
		{Op: model.SettingSet, ID: long(model.MaxSettingKey), Scope: "account", Value: []byte("1")},
		{Op: model.SettingSet, ID: "k", Scope: "account", Value: []byte(`"` + long(model.MaxValue-2) + `"`)},
		{Op: model.ContactSet, ID: id, Contact: &model.ContactPatch{Fields: map[string]string{"name": field}}},
		{Op: model.ContactSet, ID: "k", Contact: &model.ContactPatch{Add: model.ContactItems{Phones: []model.Labelled{{Value: field}}}}},
		{Op: model.DeviceRename, ID: strings.Repeat("0", 32), Name: &field},
	}
}

// At the limits everything is stored, found under its name and exchanged;
// one byte above nothing of the call is.
func TestLimitsOfEdits(t *testing.T) {
	a, b := pair(t)
	for _, e := range atLimits(1) {
		err := a.Apply(t.Context(), []model.Edit{unread("good"), e})
		if !errors.Is(err, replica.ErrBadEdit) || !strings.Contains(err.Error(), "number 2 of 2: "+string(e.Op)) {
			t.Errorf("%s one byte over its limit: %v", e.Op, err)
		}
	}
	if got := chats(t, a.Replica); got != "" {
		t.Fatalf("chats are %q", got)
	}
	for _, e := range atLimits(0) {
		if err := a.Apply(t.Context(), []model.Edit{e}); err != nil {
			t.Errorf("%s at its limit: %v", e.Op, err)
		}
	}
	connect(a, b)
	inSync(t, a, b)
	if got, want := stateOf(t, b.Replica), stateOf(t, a.Replica); got != want {
		t.Errorf("the states differ:\n%.300s\n%.300s", got, want)
	}
	id := strings.Repeat("x", model.MaxID)
	c, err := b.GetChat(t.Context(), id)
	if err != nil || c.ID != id {
		t.Errorf("the chat with the longest id: %v", err)
	}
	b = reopen(t, b)
	verified(t, b.Replica)
}

// A directory is open once, and the second opening leaves the first alone.
func TestSecondOpen(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	id, _, err := encryption.Create(home, key(), &encryption.CreateOptions{Name: "a", Now: start})
	try(t, err)
	o := onDisk{home: home, dir: dir}
	r, err := o.open(t)
	try(t, err)
	try(t, r.Apply(t.Context(), []model.Edit{unread("a")}))
	if _, err := replica.Open(dir, &replica.Config{Identity: id}); !errors.Is(err, replica.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("the second opening gives %v", err)
	}
	try(t, r.Apply(t.Context(), []model.Edit{unread("b")}))
	try(t, r.Close())
	other := create(t)
	if _, err := replica.Open(dir, &replica.Config{Identity: other}); err == nil {
		t.Error("the store opens for another account")
	}
	r, err = o.open(t)
	try(t, err)
	if got := chats(t, r); got != "a b" {
		t.Errorf("chats are %q", got)
	}
}

// A store of another account or device is refused and left as it is.
func TestStoreOfAnotherAccount(t *testing.T) {
	d := single(t)
	try(t, d.Apply(t.Context(), []model.Edit{unread("a")}))
	try(t, d.Close())
	config := &replica.Config{Identity: create(t), Store: newFaulty(d.store.left.Snapshot())}
	if _, err := replica.Open("here", config); !errors.Is(err, replica.ErrWrongAccount) || !strings.Contains(err.Error(), "here") {
		t.Errorf("another account gives %v", err)
	}
	d = openOn(t, d.id, newFaulty(d.store.left))
	if got := chats(t, d.Replica); got != "a" {
		t.Errorf("chats are %q", got)
	}
}

// TestBacklogOfLongNames has changes that are small against the names of their
// documents, which do not compress: they have to fit into envelopes all the same.
func TestBacklogOfLongNames(t *testing.T) {
	a, b := pair(t)
	random := rand.New(rand.NewPCG(1, 2))
	var edits []model.Edit
	for range 3000 {
		id := make([]byte, model.MaxID)
		for i := range id {
			id[i] = byte('0' + random.IntN(64))
		}
		edits = append(edits, model.Edit{Op: model.ChatUnread, ID: string(id)})
	}
	try(t, a.Apply(t.Context(), edits))
	connect(a, b)
	inSync(t, a, b)
	if chats, err := b.ListChats(t.Context()); err != nil || len(chats) != len(edits) {
		t.Fatalf("%d chats arrived of %d: %v", len(chats), len(edits), err)
	}
}
