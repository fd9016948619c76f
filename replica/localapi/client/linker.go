package client

import (
	"context"
	"net/http"

	"github.com/starling-sync/starling/crdt/model"
)

// Invite implements Linker.
func (c *Client) Invite(ctx context.Context) (Invitation, error) {
	var inv Invitation
	err := c.call(ctx, http.MethodPost, "/v1/invites", nil, &inv)
	return inv, err
}

// Await implements Linker.
func (c *Client) Await(ctx context.Context, invitation string) (string, error) {
	var joining struct{ Name string }
	err := c.get(ctx, "/v1/invites/"+segment(invitation), &joining)
	return joining.Name, err
}

// Confirm implements Linker.
func (c *Client) Confirm(ctx context.Context, invitation, digits string) (model.Device, error) {
	var device Device
	body := struct {
		Digits string `json:"digits"`
	}{digits}
	err := c.call(ctx, http.MethodPost, "/v1/invites/"+segment(invitation)+"/confirm", body, &device)
	return device.View(), err
}

// Cancel implements Linker.
func (c *Client) Cancel(ctx context.Context, invitation string) error {
	return c.call(ctx, http.MethodDelete, "/v1/invites/"+segment(invitation), nil, nil)
}
