package replica_test

import (
	"errors"
	"testing"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica"
)

// Handles are edits by another name: each has the effect that its name says, and its
// counterpart takes that back.
func TestHandlesOfChats(t *testing.T) {
	d := single(t)
	ctx := t.Context()
	c, other := d.Chat("one"), d.Chat("two")
	seen := account.Position{Time: 5, ID: "m5"}
	for _, step := range []struct {
		name string
		do   func() error
		is   func(model.Chat) bool
	}{
		{"mark read", func() error { return c.MarkRead(ctx, seen) }, func(c model.Chat) bool { return c.Read != nil && *c.Read == seen && !c.MarkedUnread }},
		{"mark unread", func() error { return c.MarkUnread(ctx) }, func(c model.Chat) bool { return c.MarkedUnread }},
		{"mute", func() error { return c.Mute(ctx, model.Forever) }, func(c model.Chat) bool { return c.MutedUntil == model.Forever }},
		{"unmute", func() error { return c.Unmute(ctx) }, func(c model.Chat) bool { return c.MutedUntil == 0 }},
		{"archive", func() error { return c.Archive(ctx, &seen) }, func(c model.Chat) bool { return c.Archived }},
		{"unarchive", func() error { return c.Unarchive(ctx) }, func(c model.Chat) bool { return !c.Archived }},
		{"pin", func() error { return errors.Join(other.Pin(ctx), c.PinBefore(ctx, "two")) }, func(c model.Chat) bool { return c.Pinned }},
		{"unpin", func() error { return c.Unpin(ctx) }, func(c model.Chat) bool { return !c.Pinned }},
		{"label", func() error { return c.Label(ctx, "work") }, func(c model.Chat) bool { return len(c.Labels) == 1 && c.Labels[0] == "work" }},
		{"unlabel", func() error { return c.Unlabel(ctx, "work") }, func(c model.Chat) bool { return len(c.Labels) == 0 }},
		{"draft", func() error { return c.Draft(ctx, "", "hello") }, func(c model.Chat) bool { return len(c.Drafts) == 1 && c.Drafts[0].Text == "hello" }},
		{"clear draft", func() error { return c.ClearDraft(ctx, "") }, func(c model.Chat) bool { return len(c.Drafts) == 0 }},
	} {
		try(t, step.do())
		got, err := d.GetChat(ctx, "one")
		if err != nil || !step.is(got) {
			t.Errorf("%s: %+v, %v", step.name, got, err)
		}
	}
}

func TestHandlesOfContactsAndSettings(t *testing.T) {
	d := single(t)
	ctx := t.Context()
	ada := d.Contact("ada")
	if _, err := ada.Get(ctx); !errors.Is(err, replica.ErrNotFound) {
		t.Errorf("a contact that is not there: %v", err)
	}
	try(t, ada.Set(ctx, model.ContactPatch{Fields: map[string]string{"nickname": "Ada"}}))
	if c, err := ada.Get(ctx); err != nil || c.Fields["nickname"] != "Ada" {
		t.Errorf("%+v, %v", c, err)
	}
	try(t, ada.Remove(ctx))
	if c, err := ada.Get(ctx); !errors.Is(err, replica.ErrNotFound) {
		t.Errorf("a contact that was removed: %+v, %v", c, err)
	}
	s := d.Settings("account")
	var size int
	try(t, s.Set(ctx, "font.size", 12))
	if err := s.Get(ctx, "font.size", &size); err != nil || size != 12 {
		t.Errorf("%d, %v", size, err)
	}
	if err := s.Set(ctx, "font.size", func() {}); !errors.Is(err, replica.ErrBadEdit) {
		t.Errorf("what is no JSON: %v", err)
	}
	try(t, s.Reset(ctx, "font.size"))
	if err := s.Get(ctx, "font.size", &size); !errors.Is(err, replica.ErrNotFound) {
		t.Errorf("a setting that was reset: %d, %v", size, err)
	}
}
