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

var (
	errNotOrphaned = errors.New("only a device that was added in vain is added again with its keys")
	errReadded     = errors.New("a member has the keys of this device already")
)

// draft makes operations one after another on a copy of the log.
type draft struct {
	log *membershipLog
	ops [][]byte
}

func (id *Identity) draft() *draft {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return &draft{log: id.log.clone()}
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
		if err := d.sign(id.device, OperationAck, action, id.keys); err != nil {
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
	past := d.log.pastOf(d.log.nextParents(id.device))
	seen := d.log.lastCounting(add, past)
	if err := d.remove(id, id.device, id.keys, target, seen, cut, now); err != nil {
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
	if n == len(cut) || target == id.device { // who leaves vouches for nothing afterwards
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
	if err := d.sign(id.device, OperationRekey, action, id.keys); err != nil {
		return nil, Secret{}, fmt.Errorf("rekey: %w", err)
	}
	return d.ops[0], seed, nil
}

// PrepareReadd adds a device again that was added in vain, with the keys and the
// name that it asked to be added with. It gets a new id: its own Adopt finds it.
// Errors: ErrUnknownDevice, ErrRemoved, ErrTooManyDevices.
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
		return ErrRemoved
	case s.State != StandingOrphaned:
		return errNotOrphaned
	case len(d.log.membersWith(old.member.SigningKey)) > 0:
		return errReadded
	}
	action := *old.add
	action.At = now.UnixMilli()
	return d.sign(id.device, OperationAdd, action, id.keys)
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

// Adopt returns the identity of this device under the id that it has after a
// member added it again. Ok is false when this device is a member, or when no
// member has its keys; then there is nothing to adopt.
//
// The identity file keeps the first id. So a caller calls Adopt after it has
// admitted what it stores, and whenever a membership operation arrives while this
// device is no member. Everything that was made with the old identity ends with
// it: the network, whose host keys depend on the id, and the writer, whose id
// does. What the device wrote before belongs to the old id, and others keep it as
// far as it is vouched for. Both identities are usable; they share no log.
func (id *Identity) Adopt() (adopted *Identity, ok bool) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	if id.log.resolved.find(id.device) != nil {
		return nil, false
	}
	adds := id.log.membersWith(id.keys.signingPublic())
	if len(adds) == 0 {
		return nil, false
	}
	first := slices.MinFunc(adds, func(a, b *operation) int { return compareDevices(a.member.ID, b.member.ID) })
	adopted = &Identity{
		account: id.account, device: first.member.ID, keys: id.keys, badger: id.badger, record: id.record,
		log: id.log.clone(), ring: id.ring.clone(),
	}
	adopted.settle()
	return adopted, true
}
