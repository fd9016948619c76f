package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// linker opens invites on the network and adds who joins to the replica. It
// implements client.Linker. One invite is open at a time.
type linker struct {
	host    *p2p.Host
	replica *replica.Replica
	device  *encryption.Identity

	mu     sync.Mutex
	id     string      // guarded by mu, as is what follows
	invite *p2p.Invite // nil before the first
}

var _ client.Linker = (*linker)(nil)

func newLinker(h *p2p.Host, r *replica.Replica, id *encryption.Identity) *linker {
	return &linker{host: h, replica: r, device: id}
}

// The device-local record of when invites were opened, so that a restart
// does not lift the limit of five an hour.
const (
	limitsMap     = "limits"
	invitesRecord = "invites"
)

// Invite implements client.Linker.
func (l *linker) Invite(ctx context.Context) (client.Invitation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, err := l.limiter()
	if err != nil {
		return client.Invitation{}, coded(err)
	}
	invite, err := l.host.Invite(ctx, limiter, l.replica.AddDevice)
	if err != nil {
		return client.Invitation{}, coded(fmt.Errorf("open an invite: %w", err))
	}
	if err := l.remember(ctx, limiter); err != nil {
		invite.Cancel()
		return client.Invitation{}, coded(err)
	}
	l.id, l.invite = rand.Text(), invite
	return client.Invitation{ID: l.id, Ticket: invite.Ticket(), Expires: model.TimeOf(invite.Expires())}, nil
}

func (l *linker) limiter() (*encryption.InviteLimiter, error) {
	var opened []time.Time
	raw, err := l.replica.Local(limitsMap).Get(invitesRecord)
	switch {
	case errors.Is(err, replica.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("limit of invites: %w", err)
	default:
		if err := json.Unmarshal(raw, &opened); err != nil {
			return nil, fmt.Errorf("limit of invites: %w", err)
		}
	}
	return encryption.NewInviteLimiter(opened), nil
}

func (l *linker) remember(ctx context.Context, limiter *encryption.InviteLimiter) error {
	raw, err := json.Marshal(limiter.Times())
	if err != nil {
		return err
	}
	return l.replica.Local(limitsMap).Put(ctx, invitesRecord, raw)
}

func (l *linker) open(id string) (*p2p.Invite, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.invite == nil || l.id != id {
		return nil, client.Errorf(client.CodeNotFound, "no invite %.40q is open", id)
	}
	return l.invite, nil
}

// Await implements client.Linker.
func (l *linker) Await(ctx context.Context, id string) (string, error) {
	invite, err := l.open(id)
	if err != nil {
		return "", err
	}
	name, err := invite.Await(ctx)
	return name, coded(err)
}

// Confirm implements client.Linker. A device that was added without saying
// that it knows counts as linked: it is a member.
func (l *linker) Confirm(ctx context.Context, id, digits string) (model.Device, error) {
	invite, err := l.open(id)
	if err != nil {
		return model.Device{}, err
	}
	request, err := invite.Confirm(ctx, digits)
	if err != nil && !errors.Is(err, p2p.ErrUnconfirmed) {
		return model.Device{}, coded(err)
	}
	return l.added(ctx, request)
}

// added finds the device that was a request before.
func (l *linker) added(ctx context.Context, request *encryption.JoinRequest) (model.Device, error) {
	devices, err := l.replica.ListDevices(ctx)
	if err != nil {
		return model.Device{}, coded(err)
	}
	for _, m := range l.device.Members() {
		if !bytes.Equal(m.SigningKey, request.SigningKey) {
			continue
		}
		for _, d := range devices {
			if d.ID == m.ID.String() {
				return d, nil
			}
		}
	}
	return model.Device{}, client.Errorf(client.CodeInternal, "device %q was added but is not listed", request.Name)
}

// Cancel implements client.Linker.
func (l *linker) Cancel(_ context.Context, id string) error {
	invite, err := l.open(id)
	if err != nil {
		return err
	}
	invite.Cancel()
	return nil
}
