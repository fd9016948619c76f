package replica

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/store"
)

// The roster is what makes the account: the membership operations, the epoch
// records, and the keys that this device made since it was linked. It comes
// first in order everywhere: it is durable before anything that depends on it,
// and sent before it.

// loadRoster gives the identity what the store holds, and the store what only
// the identity holds: the founding operations and the first epoch.
func (l *loop) loadRoster() error {
	ops, err := l.loadTable(tableMembers)
	if err != nil {
		return fmt.Errorf("load membership: %w", err)
	}
	keys, err := l.loadTable(tableKeys)
	if err != nil {
		return fmt.Errorf("load keys: %w", err)
	}
	records, err := l.loadTable(tableEpochs)
	if err != nil {
		return fmt.Errorf("load epochs: %w", err)
	}
	if err := l.checkRoster(); err != nil {
		return err
	}
	if _, err := l.r.id.Admit(ops...); err != nil {
		return fmt.Errorf("stored membership: %w", errors.Join(ErrDamaged, err))
	}
	l.r.id.Adopt()
	if err := l.r.id.ImportKeys(keys...); err != nil {
		return fmt.Errorf("stored keys: %w", errors.Join(ErrDamaged, err))
	}
	if _, err := l.r.id.AdmitEpochs(records...); err != nil {
		return fmt.Errorf("stored epochs: %w", errors.Join(ErrDamaged, err))
	}
	if err := l.saveRoster(); err != nil {
		return err
	}
	l.standing = l.r.id.Standing()
	return nil
}

// loadTable returns the values of a table of the roster by their keys.
func (l *loop) loadTable(t store.Table) (values [][]byte, err error) {
	err = l.config.Store.Scan(t, nil, nil, func(key, value []byte) error {
		values = append(values, slices.Clone(value))
		if t == tableKeys && len(key) == 8 {
			l.nextKey = binary.BigEndian.Uint64(key) + 1
		}
		l.saved[sha256.Sum256(value)] = true
		return nil
	})
	return values, err
}

// checkRoster notices that a record of the roster is missing. Without it, a
// removal that is deleted from the disk would never have been.
func (l *loop) checkRoster() error {
	var stored [32]byte
	found, err := get(l.config.Store, tableMeta, keyRoster, &stored)
	if err != nil {
		return err
	}
	if found && stored == rosterSum(l.saved) || !found && len(l.saved) == 0 {
		return nil
	}
	return fmt.Errorf("stored membership: records are missing: %w", ErrDamaged)
}

// rosterSum combines names so that the order is of no importance.
func rosterSum(names map[[32]byte]bool) (sum [32]byte) {
	for name := range names { // order-free: exclusive or
		for i, b := range name {
			sum[i] ^= b
		}
	}
	return sum
}

// saveRoster makes everything that was admitted durable, in a transaction of
// its own, which the loop waits for.
func (l *loop) saveRoster() error {
	records := l.r.id.EpochRecords()
	now := rosterMark{l.r.id.MembershipDigest(), len(records)}
	if now == l.mark {
		return nil
	}
	if err := l.writeRoster(roster{ops: l.r.id.Ops(), records: records}); err != nil {
		return err
	}
	l.mark = now
	return nil
}

// rosterMark tells whether anything was admitted since: nothing is ever taken out.
type rosterMark struct {
	members encryption.Hash
	records int
}

// roster is a part of the roster that was admitted or is about to be.
type roster struct {
	ops, records [][]byte
	key          []byte // exported; nil for none
}

// writeRoster writes those of p that the store does not have, in one step.
func (l *loop) writeRoster(p roster) error {
	b := &store.Batch{}
	var names [][32]byte
	put := func(t store.Table, values [][]byte) {
		for _, v := range values {
			if name := sha256.Sum256(v); !l.saved[name] {
				b.Put(t, name[:], v)
				names = append(names, name)
			}
		}
	}
	put(tableMembers, p.ops)
	put(tableEpochs, p.records)
	if p.key != nil {
		b.Put(tableKeys, numberKey(l.nextKey), p.key)
		names = append(names, sha256.Sum256(p.key))
	}
	if b.Len() == 0 {
		return nil
	}
	all := maps.Clone(l.saved)
	for _, name := range names {
		all[name] = true
	}
	b.Put(tableMeta, keyRoster, encode(rosterSum(all)))
	if err := l.config.Store.Commit(b); err != nil {
		return fmt.Errorf("write membership: %w", err)
	}
	l.saved = all
	if p.key != nil {
		l.nextKey++
	}
	return nil
}

// AdmitMembers verifies membership operations that another device sent,
// makes those that are new durable and tells the other devices.
func (r *Replica) AdmitMembers(ctx context.Context, ops [][]byte) error {
	if err := r.ask(ctx, func(l *loop) error { return l.addRoster(roster{ops: ops}) }); err != nil {
		return fmt.Errorf("admit members: %w", err)
	}
	return nil
}

// AddDevice admits the device that a completed pairing asks for, durably,
// and returns the welcome for it. The other devices are told. After an error
// the device is not a member, and the same request can be tried again; only
// an error of the disk itself leaves open, until the next Open, whether it is.
func (r *Replica) AddDevice(ctx context.Context, req *encryption.JoinRequest) (welcome []byte, err error) {
	err = r.ask(ctx, func(l *loop) (err error) {
		welcome, err = l.addDevice(req)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("add device %q: %w", req.Name, err)
	}
	return welcome, nil
}

func (l *loop) addDevice(req *encryption.JoinRequest) ([]byte, error) {
	err := l.asked(func(id *encryption.Identity, now time.Time) (roster, error) {
		op, err := id.PrepareAdd(req, now)
		return roster{ops: [][]byte{op}}, err
	})
	if err != nil {
		return nil, err
	}
	return l.r.id.Welcome(req)
}

// asked is prepare for what somebody asked for. A device makes at most 32
// operations an hour, so that a program that goes wild does not fill the log.
func (l *loop) asked(make func(*encryption.Identity, time.Time) (roster, error)) error {
	if err := l.rate.Allow(l.config.Clock()); err != nil {
		return err
	}
	return l.prepare(make)
}

// prepare makes a part of the roster and writes it before it is admitted: what
// is there in memory only would be told to others, and be there for good, after
// the caller had been told that it failed.
func (l *loop) prepare(make func(*encryption.Identity, time.Time) (roster, error)) error {
	if l.unsure {
		return errUnsure
	}
	if err := l.tellRoster(); err != nil { // what it follows must not be missing
		return err
	}
	p, err := make(l.r.id, l.config.Clock())
	if err != nil {
		return err
	}
	if err := l.writeRoster(p); err != nil {
		return err
	}
	return l.addRoster(p)
}

// admitRoster takes what another device has sent.
func (l *loop) admitRoster(e core.Admit) {
	if err := l.addRoster(roster{ops: e.Ops, records: e.Records}); err != nil {
		device := ""
		if link := l.links[e.Session]; link != nil {
			device = link.peer.Device.String()
		}
		l.fault(device, fmt.Errorf("membership refused: %w", err))
	}
	l.meetSure()
}

// addRoster admits a part of the roster, makes it durable and only then tells.
// If it cannot be written, every session ends, so that nobody learns of it
// from here; it is written before the next session begins.
func (l *loop) addRoster(p roster) error {
	var keyErr error
	if p.key != nil {
		keyErr = l.r.id.ImportKeys(p.key)
	}
	added, admitErr := l.r.id.Admit(p.ops...)
	if l.r.id.Adopt() {
		l.adopt()
	}
	records, epochErr := l.admitEpochs(p.records)
	refused := errors.Join(keyErr, admitErr, epochErr)
	l.untold.added = append(l.untold.added, added...)
	l.untold.records = append(l.untold.records, records...)
	if err := l.tellRoster(); err != nil {
		l.unlinkAll(err)
		return errors.Join(refused, err)
	}
	return refused
}

// untold is what of the roster was admitted and nobody was told of yet, because it
// could not be written.
type untold struct {
	added   []encryption.Operation
	records [][]byte
}

// tellRoster makes everything that was admitted durable and then tells of it.
func (l *loop) tellRoster() error {
	if err := l.saveRoster(); err != nil {
		return err
	}
	u := l.untold
	l.untold = untold{}
	if len(u.added)+len(u.records) > 0 {
		l.announce(u.added, u.records)
		l.confirm()
		l.rewrap()
	}
	return nil
}

// announce tells subscribers and the other devices.
func (l *loop) announce(added []encryption.Operation, records [][]byte) {
	var raws [][]byte
	for _, op := range added {
		raws = append(raws, op.Raw)
		l.config.Log.Info("membership", "operation", op.Kind, "device", op.Target, "author", op.Author)
		if note := l.operationNote(op); note != "" {
			l.r.hub.publish([]model.Event{{Kind: "member", Entity: op.Target.String(), Device: op.Author.String(), Note: note}})
		}
	}
	l.follow()
	l.perform(l.core.Step(core.MembersAdded{Ops: raws, Records: records}))
	l.refreshNetwork()
}

// refreshNetwork tells the network, which then ends the streams of devices that
// are out: after these have had the time to read why.
func (l *loop) refreshNetwork() {
	n, ok := l.config.Network.(Refresher)
	if !ok {
		return
	}
	var wait time.Duration
	if l.leaving = slices.DeleteFunc(l.leaving, isEnded); len(l.leaving) > 0 {
		wait = drainTime
	}
	if l.later == nil {
		l.later = time.AfterFunc(wait, n.Refresh)
		return
	}
	l.later.Reset(wait)
}

func (r *Replica) heard(d encryption.DeviceID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastHeard[d] = r.config.Clock()
}

func (r *Replica) heardAt(d encryption.DeviceID) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.lastHeard[d]
	return t, ok
}

// operationNote says what an operation did, for people; nothing for what
// concerns nobody but the devices.
func (l *loop) operationNote(op encryption.Operation) string {
	by := "the recovery words"
	if m, known := l.r.id.KnownDevice(op.Author); known {
		by = fmt.Sprintf("%q", m.Name)
	}
	switch op.Kind {
	case encryption.OperationGenesis:
		return fmt.Sprintf("account begun on %q", op.Name)
	case encryption.OperationAdd:
		return fmt.Sprintf("device %q added by %s", op.Name, by)
	case encryption.OperationRemove:
		if op.Target == op.Author {
			return fmt.Sprintf("device %q left", op.Name)
		}
		return fmt.Sprintf("device %q removed by %s", op.Name, by)
	case encryption.OperationAck:
		if len(op.Removals) == 0 {
			return ""
		}
		return "removal confirmed by " + by
	case encryption.OperationRotateRecovery:
		return "the recovery words were replaced"
	}
	return ""
}
