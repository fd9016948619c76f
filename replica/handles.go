package replica

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
)

// Chat is a handle on one chat. It holds no state; a chat exists from its
// first edit on.
type Chat struct {
	r  *Replica
	id string
}

// Chat returns the handle of a chat. Any string that names it on every
// device will do, such as "signal:+4912345".
func (r *Replica) Chat(id string) Chat { return Chat{r, id} }

func (c Chat) apply(ctx context.Context, e model.Edit) error {
	e.ID = c.id
	return c.r.Apply(ctx, []model.Edit{e})
}

// Get returns the chat's effective metadata, or ErrNotFound.
func (c Chat) Get(ctx context.Context) (model.Chat, error) { return c.r.GetChat(ctx, c.id) }

// MarkRead says that everything up to a message was on the screen.
func (c Chat) MarkRead(ctx context.Context, at account.Position) error {
	return c.apply(ctx, model.Edit{Op: model.ChatRead, At: &at})
}

// MarkUnread sets a reminder that the next MarkRead that knows of it clears.
func (c Chat) MarkUnread(ctx context.Context) error {
	return c.apply(ctx, model.Edit{Op: model.ChatUnread})
}

// Mute silences the chat until an instant, or model.Forever.
func (c Chat) Mute(ctx context.Context, until model.Time) error {
	return c.apply(ctx, model.Edit{Op: model.ChatMute, Until: until})
}

// Unmute ends a mute.
func (c Chat) Unmute(ctx context.Context) error {
	return c.apply(ctx, model.Edit{Op: model.ChatUnmute})
}

// Archive puts the chat away until a message arrives after seen, the newest
// on the screen; nil takes the effective read mark.
func (c Chat) Archive(ctx context.Context, seen *account.Position) error {
	return c.apply(ctx, model.Edit{Op: model.ChatArchive, At: seen})
}

// Unarchive takes the chat out of the archive.
func (c Chat) Unarchive(ctx context.Context) error {
	return c.apply(ctx, model.Edit{Op: model.ChatUnarchive})
}

// Pin pins the chat behind the last pinned one.
func (c Chat) Pin(ctx context.Context) error {
	return c.apply(ctx, model.Edit{Op: model.ChatPin})
}

// PinBefore pins the chat, or moves its pin, before another pinned chat.
func (c Chat) PinBefore(ctx context.Context, other string) error {
	return c.apply(ctx, model.Edit{Op: model.ChatPin, Before: other})
}

// Unpin takes the pin away.
func (c Chat) Unpin(ctx context.Context) error {
	return c.apply(ctx, model.Edit{Op: model.ChatUnpin})
}

// Label puts the chat on a list.
func (c Chat) Label(ctx context.Context, label string) error {
	return c.apply(ctx, model.Edit{Op: model.ChatLabel, Label: label})
}

// Unlabel takes the chat off a list.
func (c Chat) Unlabel(ctx context.Context, label string) error {
	return c.apply(ctx, model.Edit{Op: model.ChatUnlabel, Label: label})
}

// Draft sets the text of the draft on the screen, "" for a new one.
func (c Chat) Draft(ctx context.Context, draft, text string) error {
	return c.apply(ctx, model.Edit{Op: model.ChatDraft, Draft: draft, Text: &text})
}

// ClearDraft says that a draft was sent or thrown away, "" for all of them.
func (c Chat) ClearDraft(ctx context.Context, draft string) error {
	return c.apply(ctx, model.Edit{Op: model.ChatDraftDone, Draft: draft})
}

// Contact is a handle on one contact.
type Contact struct {
	r  *Replica
	id string
}

// Contact returns the handle of a contact.
func (r *Replica) Contact(id string) Contact { return Contact{r, id} }

// Get returns the contact's effective card, or ErrNotFound.
func (c Contact) Get(ctx context.Context) (model.Contact, error) { return c.r.GetContact(ctx, c.id) }

// Set changes what patch names and leaves the rest alone.
func (c Contact) Set(ctx context.Context, patch model.ContactPatch) error {
	return c.r.Apply(ctx, []model.Edit{{Op: model.ContactSet, ID: c.id, Contact: &patch}})
}

// Remove deletes the contact; an edit that did not know of it revives it.
func (c Contact) Remove(ctx context.Context) error {
	return c.r.Apply(ctx, []model.Edit{{Op: model.ContactRemove, ID: c.id}})
}

// Settings is a handle on the settings of one scope.
type Settings struct {
	r     *Replica
	scope string
}

// Settings returns the handle of a scope, such as "account" or
// "platform:android"; see model.ParseScope.
func (r *Replica) Settings(scope string) Settings { return Settings{r, scope} }

// Set sets a setting to any value that encodes to JSON.
func (s Settings) Set(ctx context.Context, key string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%w: setting %q: %w", ErrBadEdit, key, err)
	}
	return s.r.Apply(ctx, []model.Edit{{Op: model.SettingSet, ID: key, Scope: s.scope, Value: b}})
}

// Reset takes the setting of this scope away, so that a less specific one shows.
func (s Settings) Reset(ctx context.Context, key string) error {
	return s.r.Apply(ctx, []model.Edit{{Op: model.SettingReset, ID: key, Scope: s.scope}})
}

// Get decodes the setting of exactly this scope into value, or fails with
// ErrNotFound.
func (s Settings) Get(ctx context.Context, key string, value any) error {
	all, err := s.r.ListSettings(ctx)
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.Key == key && e.Scope == s.scope {
			return json.Unmarshal(e.Value, value)
		}
	}
	return fmt.Errorf("setting %q in scope %s: %w", key, s.scope, ErrNotFound)
}
