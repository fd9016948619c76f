package apitest

import (
	"context"
	"fmt"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// inviteLife is how long an invite is open, in milliseconds.
const inviteLife = 5 * 60 * 1000

// invite is the one that is open, or was open last.
type invite struct {
	client.Invitation
	name   string        // of who joined, "" before
	digits string        // that the new device shows
	joined chan struct{} // closed when a device joins
	ended  chan struct{} // closed when it is used or burnt
	over   bool
}

// end closes the invite. The caller holds the replica's mu.
func (inv *invite) end() {
	if !inv.over {
		inv.over = true
		close(inv.ended)
	}
}

// Invite implements client.Linker.
func (r *Replica) Invite(ctx context.Context) (client.Invitation, error) {
	if err := ctx.Err(); err != nil {
		return client.Invitation{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.invite != nil {
		r.invite.end()
	}
	r.invites++
	r.invite = &invite{joined: make(chan struct{}), ended: make(chan struct{})}
	r.invite.Invitation = client.Invitation{
		ID:      fmt.Sprintf("invite/%d", r.invites),
		Ticket:  fmt.Sprintf("ticket-%d", r.invites),
		Expires: r.now() + inviteLife,
	}
	return r.invite.Invitation, nil
}

// open returns the open invite with an id. The caller holds mu.
func (r *Replica) open(id string) (*invite, error) {
	switch {
	case r.invite == nil || r.invite.ID != id:
		return nil, client.Errorf(client.CodeNotFound, "no invite %q", id)
	case r.invite.over || r.now() > r.invite.Expires:
		return nil, client.Errorf(client.CodeLinkFailed, "invite %q has ended", id)
	}
	return r.invite, nil
}

// Join is the new device: it gives its name to the invite of a ticket and
// returns the six digits that it shows.
func (r *Replica) Join(ticket, name string) (digits string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.invite == nil || r.invite.Ticket != ticket || r.invite.over || r.invite.name != "" {
		return "", client.Errorf(client.CodeLinkFailed, "the ticket is wrong or used")
	}
	r.invite.name, r.invite.digits = name, fmt.Sprintf("%06d", 314159*r.invites%1_000_000)
	close(r.invite.joined)
	return r.invite.digits, nil
}

// Await implements client.Linker.
func (r *Replica) Await(ctx context.Context, id string) (string, error) {
	r.mu.Lock()
	inv, err := r.open(id)
	r.mu.Unlock()
	if err != nil {
		return "", err
	}
	select {
	case <-inv.joined:
		return inv.name, nil
	case <-inv.ended:
		return "", client.Errorf(client.CodeLinkFailed, "invite %q has ended", id)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Confirm implements client.Linker.
func (r *Replica) Confirm(ctx context.Context, id, digits string) (model.Device, error) {
	if err := ctx.Err(); err != nil {
		return model.Device{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	inv, err := r.open(id)
	if err != nil {
		return model.Device{}, err
	}
	inv.end()
	if inv.name == "" || inv.digits != digits {
		return model.Device{}, client.Errorf(client.CodeLinkFailed, "invite %q: the digits are not those of the new device", id)
	}
	device := model.Device{
		ID: fmt.Sprintf("%032x", len(r.data.devices)+1), Name: inv.name, AddedBy: Device,
		AddedAt: r.now(), Connected: true, LastHeard: r.now(),
	}
	next := r.data.clone()
	next.devices[device.ID] = device
	r.data = next
	r.publish(model.Event{Kind: "member", Entity: device.ID, Device: Device, Note: "added by " + Device})
	return device, nil
}

// Cancel implements client.Linker.
func (r *Replica) Cancel(_ context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.invite == nil || r.invite.ID != id {
		return client.Errorf(client.CodeNotFound, "no invite %q", id)
	}
	r.invite.end()
	return nil
}
