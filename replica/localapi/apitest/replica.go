package apitest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// Config changes what New does. The zero value, and nil, are the defaults.
type Config struct {
	// Keep is how many past events can be resumed over. Default: 4096.
	Keep int
	// Name of the one device that is there at the start. Default: "laptop".
	Name string
	// Now is the clock of additions and of invites. Default: an instant in
	// 2026 that never passes.
	Now func() model.Time
}

// The identity of every Replica, 64 and 32 hexadecimal digits.
const (
	Account = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"
	Device  = "01010101010101010101010101010101"
)

// start is the default of Config.Now: 2026-01-31T09:30:00Z.
const start model.Time = 1769851800000

// Replica is a client.API and a client.Linker in memory.
type Replica struct {
	keep int               // read-only, as is now
	now  func() model.Time //

	mu       sync.Mutex // guards all below
	data     data
	events   []model.Event // the newest, with consecutive ids
	last     uint64        // the id of the newest
	wake     chan struct{} // closed at the next event
	broken   error         // what Apply gives, nil when it works
	invite   *invite       // the newest, nil before the first
	invites  int           // opened so far
	watchers int           // loops over Events that are running
	removals []model.Removal
}

var (
	_ client.API    = (*Replica)(nil)
	_ client.Linker = (*Replica)(nil)
)

// New returns a replica with one device and nothing else.
func New(c *Config) *Replica {
	if c == nil {
		c = &Config{}
	}
	r := &Replica{keep: cmp.Or(c.Keep, 4096), now: c.Now, wake: make(chan struct{})}
	if r.now == nil {
		r.now = func() model.Time { return start }
	}
	r.data = newData()
	r.data.devices[Device] = model.Device{ID: Device, Name: cmp.Or(c.Name, "laptop"), AddedAt: r.now(), Self: true, Connected: true, LastHeard: r.now()}
	return r
}

// Break makes every following Apply fail with err and write nothing, as a full
// disk would; nil repairs it.
func (r *Replica) Break(err *client.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = nil
	if err != nil {
		r.broken = err
	}
}

// Heard publishes an event as if another device had done something. The id is
// given by the replica, and returned.
func (r *Replica) Heard(e model.Event) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.publish(e)
	return r.last
}

// Watchers returns how many loops over Events are running.
func (r *Replica) Watchers() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watchers
}

// Apply implements client.API.
func (r *Replica) Apply(ctx context.Context, edits []model.Edit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(edits) > client.MaxEdits {
		return client.Errorf(client.CodeTooLarge, "apply: %d edits, at most %d are taken at once", len(edits), client.MaxEdits)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	next, events := r.data.clone(), []model.Event(nil)
	for i, e := range edits {
		if err := e.Validate(); err != nil {
			return client.Errorf(client.CodeBadRequest, "edit %d: %w", i, err)
		}
		kind, changed, err := next.apply(&e)
		if err != nil {
			return err
		}
		if changed {
			events = append(events, model.Event{Kind: kind, Entity: e.ID, Device: Device})
		}
	}
	r.data = next
	for _, e := range events {
		r.publish(e)
	}
	return nil
}

// GetChat implements client.API.
func (r *Replica) GetChat(ctx context.Context, id string) (model.Chat, error) {
	return get(ctx, r, "chat", id, func(d *data) map[string]model.Chat { return d.chats })
}

// GetContact implements client.API.
func (r *Replica) GetContact(ctx context.Context, id string) (model.Contact, error) {
	return get(ctx, r, "contact", id, func(d *data) map[string]model.Contact { return d.contacts })
}

// ListChats implements client.API.
func (r *Replica) ListChats(ctx context.Context) ([]model.Chat, error) {
	return list(ctx, r, func(d *data) map[string]model.Chat { return d.chats })
}

// ListContacts implements client.API.
func (r *Replica) ListContacts(ctx context.Context) ([]model.Contact, error) {
	return list(ctx, r, func(d *data) map[string]model.Contact { return d.contacts })
}

// ListSettings implements client.API.
func (r *Replica) ListSettings(ctx context.Context) ([]model.Setting, error) {
	return list(ctx, r, func(d *data) map[string]model.Setting { return d.settings })
}

// ListLabels implements client.API.
func (r *Replica) ListLabels(ctx context.Context) ([]model.Label, error) {
	return list(ctx, r, func(d *data) map[string]model.Label { return d.labels })
}

// ListDevices implements client.API.
func (r *Replica) ListDevices(ctx context.Context) ([]model.Device, error) {
	return list(ctx, r, func(d *data) map[string]model.Device { return d.devices })
}

// State implements client.API.
func (r *Replica) State(ctx context.Context) (model.State, error) {
	if err := ctx.Err(); err != nil {
		return model.State{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := model.State{
		Account:  Account,
		Chats:    inOrder(r.data.chats),
		Contacts: inOrder(r.data.contacts),
		Labels:   inOrder(r.data.labels),
		Settings: inOrder(r.data.settings),
	}
	for _, d := range inOrder(r.data.devices) {
		s.Devices = append(s.Devices, model.DeviceName{ID: d.ID, Name: d.Name})
	}
	return s, nil
}

// Status implements client.API. The digest of the frontier is that of the
// state: there is only one writer.
func (r *Replica) Status(ctx context.Context) (model.Status, error) {
	fingerprint, err := r.fingerprint(ctx)
	if err != nil {
		return model.Status{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d := &r.data
	s := model.Status{
		Account: Account, Device: Device, Name: d.devices[Device].Name, Standing: model.StandingMember,
		Frontier: fingerprint, Fingerprint: fingerprint,
		Counts: model.Counts{
			Chats: len(d.chats), Contacts: len(d.contacts), Labels: len(d.labels),
			Settings: len(d.settings), Devices: len(d.devices), Writers: 1, Envelopes: int(r.last),
		},
	}
	for _, device := range inOrder(d.devices) {
		if !device.Self {
			s.Peers = append(s.Peers, model.Peer{Device: device.ID, Name: device.Name, Connected: device.Connected, LastHeard: device.LastHeard, InSync: true})
		}
	}
	return s, nil
}

// Verify implements client.API. Nothing in memory is ever damaged.
func (r *Replica) Verify(ctx context.Context) (model.Verification, error) {
	status, err := r.Status(ctx)
	v := model.Verification{OK: err == nil, Fingerprint: status.Fingerprint, Documents: status.Counts.Chats + status.Counts.Contacts, Envelopes: status.Counts.Envelopes}
	for _, p := range status.Peers {
		v.Peers = append(v.Peers, model.PeerVerification{Device: p.Device, Result: "equal"})
	}
	return v, err
}

func (r *Replica) fingerprint(ctx context.Context) (string, error) {
	state, err := r.State(ctx)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if err := client.EncodeState(h, state); err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func get[E any](ctx context.Context, r *Replica, kind, id string, of func(*data) map[string]E) (E, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entity, ok := of(&r.data)[id]
	if err := ctx.Err(); err != nil || ok {
		return entity, err
	}
	return entity, client.Errorf(client.CodeNotFound, "no %s %q", kind, id)
}

func list[E any](ctx context.Context, r *Replica, of func(*data) map[string]E) ([]E, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return inOrder(of(&r.data)), ctx.Err()
}

// inOrder returns the values of a map by their keys, not nil.
func inOrder[E any](m map[string]E) []E {
	values := make([]E, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		values = append(values, m[key])
	}
	return values
}
