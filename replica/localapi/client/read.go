package client

import (
	"context"
	"net/http"

	"github.com/starling-sync/starling/crdt/model"
)

// Apply implements API. More than MaxEdits, or MaxEditsBody bytes, give an
// Error with CodeTooLarge.
func (c *Client) Apply(ctx context.Context, edits []model.Edit) error {
	if len(edits) > MaxEdits {
		return Errorf(CodeTooLarge, "apply: %d edits, at most %d are taken at once", len(edits), MaxEdits)
	}
	if edits == nil {
		edits = []model.Edit{}
	}
	return c.call(ctx, http.MethodPost, "/v1/edits", edits, nil)
}

// GetChat implements API.
func (c *Client) GetChat(ctx context.Context, id string) (model.Chat, error) {
	var chat model.Chat
	err := c.get(ctx, "/v1/chats/"+segment(id), &chat)
	return chat, err
}

// ListChats implements API.
func (c *Client) ListChats(ctx context.Context) ([]model.Chat, error) {
	var list struct{ Chats []model.Chat }
	err := c.get(ctx, "/v1/chats", &list)
	return list.Chats, err
}

// GetContact implements API.
func (c *Client) GetContact(ctx context.Context, id string) (model.Contact, error) {
	var contact model.Contact
	err := c.get(ctx, "/v1/contacts/"+segment(id), &contact)
	return contact, err
}

// ListContacts implements API.
func (c *Client) ListContacts(ctx context.Context) ([]model.Contact, error) {
	var list struct{ Contacts []model.Contact }
	err := c.get(ctx, "/v1/contacts", &list)
	return list.Contacts, err
}

// ListSettings implements API.
func (c *Client) ListSettings(ctx context.Context) ([]model.Setting, error) {
	var list struct{ Settings []model.Setting }
	err := c.get(ctx, "/v1/settings", &list)
	return list.Settings, err
}

// ListLabels implements API.
func (c *Client) ListLabels(ctx context.Context) ([]model.Label, error) {
	var list struct{ Labels []model.Label }
	err := c.get(ctx, "/v1/labels", &list)
	return list.Labels, err
}

// ListDevices implements API.
func (c *Client) ListDevices(ctx context.Context) ([]model.Device, error) {
	var list struct{ Devices []Device }
	if err := c.get(ctx, "/v1/devices", &list); err != nil {
		return nil, err
	}
	devices := make([]model.Device, len(list.Devices))
	for i, d := range list.Devices {
		devices[i] = d.View()
	}
	return devices, nil
}

// State implements API.
func (c *Client) State(ctx context.Context) (model.State, error) {
	var state model.State
	err := c.get(ctx, "/v1/state", &state)
	return state, err
}

// Status implements API.
func (c *Client) Status(ctx context.Context) (model.Status, error) {
	var status model.Status
	err := c.get(ctx, "/v1/status", &status)
	return status, err
}

// Verify implements API.
func (c *Client) Verify(ctx context.Context) (model.Verification, error) {
	var v model.Verification
	err := c.call(ctx, http.MethodPost, "/v1/verify", nil, &v)
	return v, err
}
