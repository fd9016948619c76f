package apitest

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

var _ client.Keeper = (*Replica)(nil)

// Word is the only recovery word of every Replica, Orphan the id of a device
// that ReaddDevice adds.
const (
	Word   = "abandon"
	Orphan = "0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e"
)

// RemoveDevice implements client.Keeper.
func (r *Replica) RemoveDevice(_ context.Context, id string) (model.Removal, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.remove(id, Device)
}

// remove is called under mu.
func (r *Replica) remove(id, by string) (model.Removal, error) {
	d, ok := r.data.devices[id]
	if !ok {
		return model.Removal{}, client.Errorf(client.CodeNotFound, "no device %.40q in the account", id)
	}
	delete(r.data.devices, id)
	removal := model.Removal{
		ID: strings.Repeat("0a", 32), Device: id, Name: d.Name, By: by, At: r.now(),
		ConfirmedBy: []string{Device}, Unconfirmed: []string{},
	}
	r.removals = append(r.removals, removal)
	r.publish(model.Event{Kind: "member", Entity: id, Device: by, Note: "removed"})
	return removal, nil
}

// ListRemovals implements client.Keeper.
func (r *Replica) ListRemovals(context.Context) ([]model.Removal, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.removals), nil
}

// ReaddDevice implements client.Keeper.
func (r *Replica) ReaddDevice(_ context.Context, id string) (model.Device, error) {
	if id != Orphan {
		return model.Device{}, client.Errorf(client.CodeNotFound, "no orphan %.40q", id)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d := model.Device{ID: Orphan, Name: "orphan", AddedBy: Device, AddedAt: r.now()}
	r.data.devices[d.ID] = d
	return d, nil
}

// Recover implements client.Keeper.
func (r *Replica) Recover(_ context.Context, words, ids []string) ([]model.Removal, error) {
	if err := checkWords(words); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []model.Removal
	for _, id := range ids {
		removal, err := r.remove(id, "")
		if err != nil {
			return nil, err
		}
		all = append(all, removal)
	}
	return all, nil
}

func checkWords(words []string) error {
	if !slices.Equal(words, []string{Word}) {
		return client.Errorf(client.CodeUnlock, "not the recovery words of this account")
	}
	return nil
}

// ReplaceWords implements client.Keeper.
func (r *Replica) ReplaceWords(_ context.Context, old, next []string) ([]string, error) {
	if next == nil {
		next = []string{"zoo"}
	}
	return next, checkWords(old)
}

// Rotate implements client.Keeper.
func (r *Replica) Rotate(context.Context) error { return nil }

// Backup implements client.Keeper. It fails, after it has begun, when the
// replica is broken.
func (r *Replica) Backup(_ context.Context, w io.Writer) error {
	r.mu.Lock()
	broken := r.broken
	r.mu.Unlock()
	if _, err := io.WriteString(w, strings.Repeat("age ", 20_000)); err != nil {
		return err
	}
	return broken
}
