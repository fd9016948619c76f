package encryption

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// PrepareRecoveryRemove removes a device in the name of the recovery words. It
// takes effect whatever the target has signed, and is final.
//
// Seen says how far the target's own operations count, and so which of its
// removals are overruled: those beyond it. It is one of the target's operations
// or the one that added it. Zero is the newest one after which this device is a
// member: if the target had removed it, directly or through a device that it had
// added, that is the one before; otherwise the newest one known. Cut is as in
// PrepareRemove; what does not fit is in acks of this device, which must be a
// member then.
//
// Errors: ErrWords for words of another account or replaced ones;
// ErrUnknownDevice; ErrMalformed for a seen that is not the target's.
func (id *Identity) PrepareRecoveryRemove(words RecoveryWords, target DeviceID, seen Hash, cut []Dep, now time.Time) (ops [][]byte, err error) {
	d := id.draft()
	if err := d.recoveryRemove(id, words, target, seen, cut, now); err != nil {
		return nil, fmt.Errorf("remove device %v by recovery: %w", target, err)
	}
	return d.ops, nil
}

func (d *draft) recoveryRemove(id *Identity, words RecoveryWords, target DeviceID, seen Hash, cut []Dep, now time.Time) error {
	add, known := d.log.adds[target]
	if !known {
		return ErrUnknownDevice
	}
	keys, err := d.recoveryKeys(words)
	if err != nil {
		return err
	}
	if seen.IsZero() {
		past := d.log.pastOf(d.log.nextParents(DeviceID{}))
		seen = d.log.lastHarmless(add, d.self, past)
	}
	return d.remove(id, DeviceID{}, keys, target, seen, cut, now)
}

// recoveryKeys derives the keys of the words, and checks that they are the ones
// that count after what the next operation follows.
func (d *draft) recoveryKeys(words RecoveryWords) (*deviceKeys, error) {
	keys, err := recoveryKeys(words.Seed())
	if err != nil {
		return nil, err
	}
	past := d.log.pastOf(d.log.nextParents(DeviceID{}))
	for _, op := range d.log.recoveryIn(past) {
		if bytes.Equal(op.recoverySigning(), keys.signingPublic()) {
			return keys, nil
		}
	}
	return nil, ErrWords
}

// lastHarmless returns the last operation of a device such that a recovery
// removal that has seen it leaves keep a member. If none does, the last that
// counts.
func (l *membershipLog) lastHarmless(add int, keep DeviceID, past bitset) Hash {
	for _, op := range append(l.newestFirst(add, past), l.ops[add]) {
		trial := &operation{
			operationBody: operationBody{Kind: OperationRemove}, remove: &removeAction{},
			index: len(l.ops), author: noAuthor, target: add, seen: op.index,
		}
		set := slices.Clone(past)
		set.add(trial.index)
		if resolve(append(slices.Clip(l.ops), trial), set).find(keep) != nil {
			return op.hash
		}
	}
	return l.lastCounting(add, past)
}

// PrepareRotateRecovery replaces the recovery key. The old words sign nothing that
// follows the operation; but whoever holds them can still sign as if they had not
// heard of it, and that counts: they can remove devices, and add their own. So it
// is for words that may get lost, not for words that were stolen. Errors: ErrWords
// if old are not the words that count.
func (id *Identity) PrepareRotateRecovery(old, next RecoveryWords, now time.Time) (op []byte, err error) {
	d := id.draft()
	keys, err := d.recoveryKeys(old)
	if err != nil {
		return nil, fmt.Errorf("replace recovery words: %w", err)
	}
	fresh, err := recoveryKeys(next.Seed())
	if err != nil {
		return nil, fmt.Errorf("replace recovery words: %w", err)
	}
	action := rotateAction{SigningKey: fresh.signingPublic(), HPKEKey: fresh.hpkePublic(), At: now.UnixMilli()}
	if err := d.sign(DeviceID{}, OperationRotateRecovery, action, keys, fresh); err != nil {
		return nil, fmt.Errorf("replace recovery words: %w", err)
	}
	return d.ops[0], nil
}
