package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/store"
)

// RemoveDevice takes a device out of the account, durably; this one too, which
// then leaves. The others are told at once or when they are met. What is written
// afterwards by a device that knows of the removal is sealed so that the removed
// one cannot read it. Errors: ErrNotFound for a device that is not a member,
// ErrNotMember when this one is not.
func (r *Replica) RemoveDevice(ctx context.Context, device encryption.DeviceID) (removal model.Removal, err error) {
	err = r.ask(ctx, func(l *loop) error {
		if _, member := r.id.Member(device); !member {
			return ErrNotFound
		}
		return l.asked(func(id *encryption.Identity, now time.Time) (roster, error) {
			ops, err := id.PrepareRemove(device, l.core.Cut(device), now)
			return roster{ops: ops}, err
		})
	})
	if err != nil {
		return removal, fmt.Errorf("remove device %s: %w", device, err)
	}
	all := r.Removals()
	i := slices.IndexFunc(all, func(m model.Removal) bool { return m.Device == device.String() })
	if i < 0 {
		return removal, fmt.Errorf("remove device %s: the removal does not count: %w", device, ErrNotMember)
	}
	return all[i], nil
}

// Recover removes devices in the name of the recovery words, which overrule what
// those devices did. Without devices it ends a freeze: the devices that removed
// this one are removed. Errors: encryption.ErrWords for words of another account;
// ErrNotFound for a device that was never there, and when there is nothing to
// recover from.
func (r *Replica) Recover(ctx context.Context, words encryption.RecoveryWords, devices ...encryption.DeviceID) ([]model.Removal, error) {
	before := r.Removals()
	if err := r.ask(ctx, func(l *loop) error { return l.recover(words, devices) }); err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	return slices.DeleteFunc(r.Removals(), func(m model.Removal) bool {
		return slices.ContainsFunc(before, func(o model.Removal) bool { return o.ID == m.ID })
	}), nil
}

func (l *loop) recover(words encryption.RecoveryWords, devices []encryption.DeviceID) error {
	for _, d := range devices {
		if err := l.recoveryRemove(words, d); err != nil {
			return err
		}
	}
	if len(devices) > 0 {
		return nil
	}
	for round := range encryption.MaxDevices { // each takes out one more that stands against this device
		s := l.r.id.Standing()
		if s.State == encryption.StandingMember && round > 0 {
			return nil
		}
		if s.Removal.Author.IsZero() || s.Removal.Author == l.r.id.Device() {
			break
		}
		if err := l.recoveryRemove(words, s.Removal.Author); err != nil {
			return err
		}
	}
	return fmt.Errorf("nothing to overrule: %w", ErrNotFound)
}

func (l *loop) recoveryRemove(words encryption.RecoveryWords, d encryption.DeviceID) error {
	err := l.prepare(func(id *encryption.Identity, now time.Time) (roster, error) {
		ops, err := id.PrepareRecoveryRemove(words, d, encryption.Hash{}, l.core.Cut(d), now)
		return roster{ops: ops}, err
	})
	if errors.Is(err, encryption.ErrUnknownDevice) {
		err = errors.Join(ErrNotFound, err)
	}
	if err != nil {
		return fmt.Errorf("remove device %s: %w", d, err)
	}
	return nil
}

// ReplaceWords makes next the recovery words of the account. Errors:
// encryption.ErrWords when old are not the ones that count.
func (r *Replica) ReplaceWords(ctx context.Context, old, next encryption.RecoveryWords) error {
	return r.keep(ctx, "replace the recovery words", func(id *encryption.Identity, now time.Time) (roster, error) {
		op, err := id.PrepareRotateRecovery(old, next, now)
		return roster{ops: [][]byte{op}}, err
	})
}

// ReaddDevice adds a device again whose add had become void because a removed
// device had made it. It has a new id, which is returned, and goes by it when it
// hears of it. Errors: encryption.ErrUnknownDevice, encryption.ErrNotOrphaned,
// encryption.ErrRemoved for a device that was removed itself.
func (r *Replica) ReaddDevice(ctx context.Context, device encryption.DeviceID) (encryption.DeviceID, error) {
	old, _ := r.id.KnownDevice(device)
	err := r.keep(ctx, "readd", func(id *encryption.Identity, now time.Time) (roster, error) {
		op, err := id.PrepareReadd(device, now)
		return roster{ops: [][]byte{op}}, err
	})
	if err != nil {
		return device, err
	}
	for _, m := range r.id.Members() {
		if slices.Equal(m.SigningKey, old.SigningKey) {
			device = m.ID
		}
	}
	return device, nil
}

// keep prepares a part of the roster in the loop.
func (r *Replica) keep(ctx context.Context, what string, make func(*encryption.Identity, time.Time) (roster, error)) error {
	if err := r.ask(ctx, func(l *loop) error { return l.asked(make) }); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Removals returns the removals that count, with who has confirmed them.
func (r *Replica) Removals() []model.Removal {
	members := r.id.Members()
	all := []model.Removal{}
	for _, removal := range r.id.Removals() {
		target, _ := r.id.KnownDevice(removal.Target)
		m := model.Removal{
			ID: removal.Hash.String(), Device: removal.Target.String(), Name: target.Name, At: model.Time(removal.At),
			ConfirmedBy: []string{}, Unconfirmed: []string{},
		}
		if !removal.ByRecovery {
			m.By = removal.Author.String()
		}
		for _, d := range members {
			if slices.Contains(removal.Acked, d.ID) {
				m.ConfirmedBy = append(m.ConfirmedBy, d.ID.String())
			} else {
				m.Unconfirmed = append(m.Unconfirmed, d.ID.String())
			}
		}
		all = append(all, m)
	}
	return all
}

// Standing returns how this device stands in the account.
func (r *Replica) Standing() model.Standing { return standing(r.id.Standing()) }

func standing(s encryption.Standing) model.Standing {
	switch {
	case s.State == encryption.StandingMember:
		return model.StandingMember
	case s.Frozen:
		return model.StandingFrozen
	case s.State == encryption.StandingOrphaned:
		return model.StandingOrphaned
	}
	return model.StandingRemoved
}

// follow tells the person when this device's standing has changed.
func (l *loop) follow() {
	before := l.standing
	l.standing = l.r.id.Standing()
	if now := standing(l.standing); now != standing(before) {
		self := l.r.id.Device().String()
		l.config.Log.Warn("the standing of this device has changed", "standing", now)
		l.r.hub.publish([]model.Event{{Kind: "standing", Entity: string(now), Device: self, Note: l.standingNote()}})
	}
}

func (l *loop) standingNote() string {
	by := "the recovery words"
	if m, known := l.r.id.KnownDevice(l.standing.Removal.Author); known {
		by = fmt.Sprintf("%q", m.Name)
	}
	switch standing(l.standing) {
	case model.StandingRemoved:
		return "this device was removed by " + by
	case model.StandingOrphaned:
		return "the device that added this one had been removed by " + by
	case model.StandingFrozen:
		return "no device is left in the account: only the recovery words bring one back"
	}
	return "this device is a member"
}

// outside is the error of a write on a device that is not a member.
func (l *loop) outside() error {
	if l.standing.State == encryption.StandingMember {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrNotMember, l.standingNote())
}

// confirm says that removals are stored here, and vouches for what is held of
// devices that are out. Others only take what somebody vouches for.
func (l *loop) confirm() {
	if l.r.id.Standing().State != encryption.StandingMember { // which may not have been told yet
		return
	}
	var hashes []encryption.Hash
	for _, removal := range l.r.id.Removals() {
		if !slices.Contains(removal.Acked, l.r.id.Device()) {
			hashes = append(hashes, removal.Hash)
		}
	}
	cut := l.core.Unvouched()
	if len(hashes)+len(cut) == 0 {
		return
	}
	err := l.prepare(func(id *encryption.Identity, now time.Time) (roster, error) {
		ops, err := id.PrepareAck(hashes, cut, now)
		return roster{ops: ops}, err
	})
	if err != nil && !errors.Is(err, store.ErrDiskFull) {
		l.fault("", fmt.Errorf("confirm removals: %w", err))
	}
}
