package main

import (
	"context"
	"errors"
	"iter"
	"log/slog"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// engineConfig says how to open the replica of a directory in this process.
type engineConfig struct {
	Identity *encryption.Identity // required
	Offline  bool                 // no network at all; the rest is for a network
	Listen   string               // IP:PORT; default: any port on every interface
	// NoDiscovery leaves multicast DNS out. Default: it is used.
	NoDiscovery bool
	Peers       []string     // multiaddrs to keep dialling
	Known       []p2p.Entry  // addresses to begin with, beside those remembered
	Log         *slog.Logger // default: nothing is logged
}

// of is c for an identity.
func (c *engineConfig) of(id *encryption.Identity) *engineConfig {
	own := *c
	own.Identity = id
	return &own
}

// engine is a replica in this process, with its network if it has one. It is
// the client.API that a daemon serves and that a command without a daemon uses.
type engine struct {
	replica *replica.Replica
	host    *p2p.Host // nil when offline
	*linker           // nil when offline
}

var _ client.API = (*engine)(nil)

func openEngine(ctx context.Context, dir string, c *engineConfig) (*engine, error) {
	rc := &replica.Config{Identity: c.Identity, Log: c.Log, Generation: generationOf(dir)}
	if c.Offline {
		r, err := replica.Open(dir, rc)
		if err != nil {
			return nil, err
		}
		return &engine{replica: r}, nil
	}
	late := newLateReplica(c.Known)
	host, err := p2p.Listen(ctx, &p2p.Config{
		Identity: c.Identity, Listen: c.Listen, NoDiscovery: c.NoDiscovery, Peers: c.Peers,
		Book: late, Admit: late.admit, Log: c.Log,
	})
	if err != nil {
		return nil, err
	}
	rc.Network = host
	r, err := replica.Open(dir, rc)
	late.opened(r)
	if err != nil {
		return nil, errors.Join(err, host.Close())
	}
	return &engine{replica: r, host: host, linker: newLinker(host, r, c.Identity)}, nil
}

// Close also closes the network.
func (e *engine) Close() error { return e.replica.Close() }

// Apply implements client.API, as do the methods below.
func (e *engine) Apply(ctx context.Context, edits []model.Edit) error {
	if len(edits) > client.MaxEdits { // as a daemon takes them
		return client.Errorf(client.CodeTooLarge, "apply %d edits: at most %d are taken", len(edits), client.MaxEdits)
	}
	return coded(e.replica.Apply(ctx, edits))
}

// GetChat returns one chat.
func (e *engine) GetChat(ctx context.Context, id string) (model.Chat, error) {
	v, err := e.replica.GetChat(ctx, id)
	return v, coded(err)
}

// ListChats returns all chats.
func (e *engine) ListChats(ctx context.Context) ([]model.Chat, error) {
	v, err := e.replica.ListChats(ctx)
	return v, coded(err)
}

// GetContact returns one contact.
func (e *engine) GetContact(ctx context.Context, id string) (model.Contact, error) {
	v, err := e.replica.GetContact(ctx, id)
	return v, coded(err)
}

// ListContacts returns all contacts.
func (e *engine) ListContacts(ctx context.Context) ([]model.Contact, error) {
	v, err := e.replica.ListContacts(ctx)
	return v, coded(err)
}

// ListSettings returns all settings.
func (e *engine) ListSettings(ctx context.Context) ([]model.Setting, error) {
	v, err := e.replica.ListSettings(ctx)
	return v, coded(err)
}

// ListLabels returns all labels.
func (e *engine) ListLabels(ctx context.Context) ([]model.Label, error) {
	v, err := e.replica.ListLabels(ctx)
	return v, coded(err)
}

// ListDevices returns the members.
func (e *engine) ListDevices(ctx context.Context) ([]model.Device, error) {
	v, err := e.replica.ListDevices(ctx)
	return v, coded(err)
}

// State returns everything.
func (e *engine) State(ctx context.Context) (model.State, error) {
	v, err := e.replica.State(ctx)
	return v, coded(err)
}

// Status adds how this device can be reached to what the replica knows.
func (e *engine) Status(ctx context.Context) (model.Status, error) {
	s, err := e.replica.Status(ctx)
	if err == nil && e.host != nil {
		s.PeerID, s.Addrs = e.host.PeerID(), e.host.Addrs()
	}
	return s, coded(err)
}

// Verify checks the store and compares the connected devices.
func (e *engine) Verify(ctx context.Context) (model.Verification, error) {
	v, err := e.replica.Verify(ctx)
	return v, coded(err)
}

// Events yields what changes.
func (e *engine) Events(ctx context.Context, after uint64) iter.Seq2[model.Event, error] {
	return e.replica.Events(ctx, after)
}
