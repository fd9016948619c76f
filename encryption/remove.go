package encryption

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// The Prepare functions sign operations after everything that is known here, and
// admit nothing: the caller makes all that one call returned durable in one step,
// then calls Admit, and prepares nothing in between. Now is recorded and
// informative only. They fail with ErrNotMember where this device signs and is no
// member, and with ErrTooManyOperations when the log is full.

// ErrNotOrphaned means that a device was not added in vain, or was added again
// already.
var ErrNotOrphaned = errors.New("only a device that was added in vain, and not again since, is added again with its keys")

// draft makes operations one after another on a copy of the log.
type draft struct {
	self DeviceID
	log  *membershipLog
	ops  [][]byte
}

func (id *Identity) draft() *draft {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return &draft{self: id.device, log: id.log.clone()}
}

func (d *draft) sign(author DeviceID, kind OperationKind, action any, keys ...*deviceKeys) error {
	body := d.log.nextBody(author)
	body.Kind, body.Action = kind, encode(action)
	op := sealOperation(body, keys...)
	if _, err := d.log.admit([][]byte{op}); err != nil {
		return err
	}
	d.ops = append(d.ops, op)
	return nil
}

// ack signs as many acks as the lists need.
func (d *draft) ack(id *Identity, removals []Hash, cut []Dep, now time.Time) error {
	for len(removals) > 0 || len(cut) > 0 {
		r, c := min(len(removals), maxRemovals), min(len(cut), maxCut)
		action := ackAction{Removals: removals[:r], Cut: cut[:c], At: now.UnixMilli()}
		if err := d.sign(d.self, OperationAck, action, id.keys); err != nil {
			return err
		}
		removals, cut = removals[r:], cut[c:]
	}
	return nil
}

// PrepareRemove removes a device, possibly this one. Cut is the content of the
// target that this device has, one entry for each of its writers, in any order:
// what it leaves out is lost unless another member vouches for it. The first 40
// are part of the removal, the others of acks that follow it. Errors:
// ErrUnknownDevice; ErrRemoved if the target is removed already; ErrMalformed.
func (id *Identity) PrepareRemove(target DeviceID, cut []Dep, now time.Time) (ops [][]byte, err error) {
	d := id.draft()
	add, known := d.log.adds[target]
	switch {
	case !known:
		return nil, fmt.Errorf("remove device: %w: %v", ErrUnknownDevice, target)
	case d.log.removalOf(add) != nil:
		return nil, fmt.Errorf("remove device %v: %w", target, ErrRemoved)
	}
	past := d.log.pastOf(d.log.nextParents(d.self))
	seen := d.log.lastCounting(add, past)
	if err := d.remove(id, d.self, id.keys, target, seen, cut, now); err != nil {
		return nil, fmt.Errorf("remove device %v: %w", target, err)
	}
	return d.ops, nil
}

// remove signs a removal, and this device's acks with what its cut does not hold.
func (d *draft) remove(id *Identity, author DeviceID, keys *deviceKeys, target DeviceID, seen Hash, cut []Dep, now time.Time) error {
	cut = sortedCut(cut)
	n := min(len(cut), maxCut)
	action := removeAction{Target: target, Seen: seen, Cut: cut[:n], At: now.UnixMilli()}
	if err := d.sign(author, OperationRemove, action, keys); err != nil {
		return err
	}
	if n == len(cut) || target == d.self { // who leaves vouches for nothing afterwards
		return nil
	}
	return d.ack(id, nil, cut[n:], now)
}

// lastCounting returns the last operation of a device in a past that no removal
// cuts off there; the one that added it, if there is none.
func (l *membershipLog) lastCounting(add int, past bitset) Hash {
	cut := resolve(l.ops, past).cut
	for _, op := range l.newestFirst(add, past) {
		if !cut.has(op.index) {
			return op.hash
		}
	}
	return l.ops[add].hash
}

// newestFirst returns a device's own operations in a past.
func (l *membershipLog) newestFirst(add int, past bitset) (own []*operation) {
	for _, op := range l.within(past) {
		if op.author == add {
			own = append(own, op)
		}
	}
	slices.SortFunc(own, func(a, b *operation) int {
		return cmp.Or(cmp.Compare(b.Seq, a.Seq), compareHash(a.hash, b.hash))
	})
	return own
}

func sortedCut(cut []Dep) []Dep {
	return slices.SortedFunc(slices.Values(cut), func(a, b Dep) int { return bytes.Compare(a.Writer[:], b.Writer[:]) })
}

// PrepareAck says that this device has stored removals, and vouches for the
// content that it has of devices that are not members, in any order; writers of
// members may be among them and mean nothing. One ack holds 16 removals and 40
// writers; for more there are several. Errors: ErrMalformed.
func (id *Identity) PrepareAck(removals []Hash, cut []Dep, now time.Time) (ops [][]byte, err error) {
	d := id.draft()
	removals = slices.SortedFunc(slices.Values(removals), compareHash)
	if err := d.ack(id, removals, sortedCut(cut), now); err != nil {
		return nil, fmt.Errorf("acknowledge removals: %w", err)
	}
	return d.ops, nil
}

// PrepareRekey replaces this device's HPKE key. Seed is the new private key: the
// caller keeps it, encrypted, in the same step as the operation. The old key is
// needed as long as there is something sealed to it. Random nil is the system's
// source.
func (id *Identity) PrepareRekey(now time.Time, random io.Reader) (op []byte, seed Secret, err error) {
	seed, err = newSecret(readerOr(random))
	if err != nil {
		return nil, Secret{}, fmt.Errorf("rekey: %w", err)
	}
	keys, err := keysFromSeeds(id.keys.signingSeed, seed)
	if err != nil {
		return nil, Secret{}, fmt.Errorf("rekey: %w", err)
	}
	d := id.draft()
	action := rekeyAction{HPKEKey: keys.hpkePublic(), At: now.UnixMilli()}
	if err := d.sign(d.self, OperationRekey, action, id.keys); err != nil {
		return nil, Secret{}, fmt.Errorf("rekey: %w", err)
	}
	return d.ops[0], seed, nil
}

// PrepareReadd adds a device again that was added in vain, with the keys and the
// name that it asked to be added with. It gets a new id: its own Adopt finds it.
// Errors: ErrUnknownDevice, ErrRemoved, ErrNotOrphaned, ErrTooManyDevices.
func (id *Identity) PrepareReadd(device DeviceID, now time.Time) (op []byte, err error) {
	d := id.draft()
	if err := d.readd(id, device, now); err != nil {
		return nil, fmt.Errorf("add device %v again: %w", device, err)
	}
	return d.ops[0], nil
}

func (d *draft) readd(id *Identity, device DeviceID, now time.Time) error {
	i, known := d.log.adds[device]
	if !known {
		return ErrUnknownDevice
	}
	old := d.log.ops[i]
	switch s := d.log.standing(device); {
	case s.State == StandingRemoved:
		return fmt.Errorf("%w: link it anew", ErrRemoved)
	case s.State != StandingOrphaned || len(d.log.membersWith(old.member.SigningKey)) > 0:
		return ErrNotOrphaned
	}
	action := *old.add
	action.At = now.UnixMilli()
	return d.sign(d.self, OperationAdd, action, id.keys)
}

// membersWith returns the adds of the members with a signing key.
func (l *membershipLog) membersWith(signing []byte) (adds []*operation) {
	for _, op := range l.resolved.members {
		if bytes.Equal(op.member.SigningKey, signing) {
			adds = append(adds, op)
		}
	}
	return adds
}

// Adopt makes this device go by the id that it has since a member added it again,
// and reports whether it did. It does nothing for a device that is a member, and
// when no member has its keys.
//
// The identity file keeps the first id, and the log has the operation, so a caller
// calls Adopt after it has admitted what it stores, and after every Admit that may
// have brought the operation. What depends on the id is another from then on: host
// keys, and the ids of writers, so that the caller draws a new nonce. What the
// device wrote before belongs to the old id, and counts as far as somebody vouches
// for it, which the device itself can do now.
func (id *Identity) Adopt() bool {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.log.resolved.find(id.device) != nil {
		return false
	}
	adds := id.log.membersWith(id.keys.signingPublic())
	if len(adds) == 0 {
		return false
	}
	first := slices.MinFunc(adds, func(a, b *operation) int { return compareDevices(a.member.ID, b.member.ID) })
	id.device = first.member.ID
	return true
}

// Was reports whether this device went by another id before, or does now.
func (id *Identity) Was(d DeviceID) bool {
	id.mu.RLock()
	defer id.mu.RUnlock()
	m, known := id.log.device(d)
	return known && bytes.Equal(m.SigningKey, id.keys.signingPublic())
}
