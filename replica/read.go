package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/store"
)

// Reads come from the index and see every edit that Apply has returned for.
// They fail with ErrNotFound, ErrClosed, the error of an ended context, or
// ErrDamaged. A list with a damaged entry fails as a whole, so that nobody
// takes it for complete; Verify names the entry, and the next edit of that
// entity writes it anew.

// GetChat returns one chat. It fails with ErrNotFound.
func (r *Replica) GetChat(ctx context.Context, id string) (model.Chat, error) {
	return readOne[model.Chat](ctx, r, account.Ref{Kind: account.KindChat, Entity: id})
}

// ListChats returns all chats by id.
func (r *Replica) ListChats(ctx context.Context) ([]model.Chat, error) {
	return readAll[model.Chat](ctx, r, account.KindChat)
}

// GetContact returns one contact. It fails with ErrNotFound, also when the
// contact was deleted.
func (r *Replica) GetContact(ctx context.Context, id string) (model.Contact, error) {
	return readOne[model.Contact](ctx, r, account.Ref{Kind: account.KindContact, Entity: id})
}

// ListContacts returns all contacts by id.
func (r *Replica) ListContacts(ctx context.Context) ([]model.Contact, error) {
	return readAll[model.Contact](ctx, r, account.KindContact)
}

// ListSettings returns every setting of every scope, by key and scope.
func (r *Replica) ListSettings(ctx context.Context) ([]model.Setting, error) {
	return readList[model.Setting](ctx, r, account.KindSettings)
}

// ListLabels returns all labels by id.
func (r *Replica) ListLabels(ctx context.Context) ([]model.Label, error) {
	return readList[model.Label](ctx, r, account.KindLabels)
}

// State returns the whole effective state, sorted: equal replicas give equal
// bytes in any deterministic encoding.
func (r *Replica) State(ctx context.Context) (model.State, error) {
	s := model.State{Account: r.id.Account().String()}
	var errs [5]error
	s.Chats, errs[0] = r.ListChats(ctx)
	s.Contacts, errs[1] = r.ListContacts(ctx)
	s.Labels, errs[2] = r.ListLabels(ctx)
	s.Settings, errs[3] = r.ListSettings(ctx)
	s.Devices, errs[4] = r.deviceNames(ctx)
	return s, errors.Join(errs[:]...)
}

// deviceNames returns the name of every member: the last chosen, else the
// one that it joined with.
func (r *Replica) deviceNames(ctx context.Context) ([]model.DeviceName, error) {
	chosen, err := readList[model.DeviceName](ctx, r, account.KindDevices)
	if err != nil {
		return nil, err
	}
	byID := map[string]string{}
	for _, d := range chosen {
		byID[d.ID] = d.Name
	}
	names := []model.DeviceName{}
	for _, m := range r.id.Members() {
		d := model.DeviceName{ID: m.ID.String(), Name: m.Name}
		if name := byID[d.ID]; name != "" {
			d.Name = name
		}
		names = append(names, d)
	}
	return names, nil
}

func readOne[T any](ctx context.Context, r *Replica, ref account.Ref) (T, error) {
	var v T
	if err := ctx.Err(); err != nil {
		return v, fmt.Errorf("%s %q: %w", ref.Kind, ref.Entity, err)
	}
	found, err := get(r.config.Store, tableIndex, indexKey(ref), &v)
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return v, fmt.Errorf("%s %q: %w", ref.Kind, ref.Entity, closed(err))
	}
	return v, nil
}

func readAll[T any](ctx context.Context, r *Replica, kind account.Kind) ([]T, error) {
	all := []T{}
	err := eachView(r.config.Store, kind, func(v T) error {
		all = append(all, v)
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", kind, closed(err))
	}
	return all, nil
}

// readList reads a kind that has one document for the whole account.
func readList[T any](ctx context.Context, r *Replica, kind account.Kind) ([]T, error) {
	list := []T{}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list %s: %w", kind, err)
	}
	if _, err := get(r.config.Store, tableIndex, indexKey(account.Ref{Kind: kind}), &list); err != nil {
		return nil, fmt.Errorf("list %s: %w", kind, closed(err))
	}
	return list, nil
}

// closed names the replica, not its store, as what is closed.
func closed(err error) error {
	if errors.Is(err, store.ErrClosed) {
		return ErrClosed
	}
	return err
}
