package encryption

import (
	"bytes"
	"fmt"
)

// Limits on lists within one operation, so that all of them fit its 4 KiB beside
// the parents. What exceeds them goes into further acks.
const (
	maxCut      = 40 // writers
	maxRemovals = 16 // removals that one ack names
)

// recoveryReserve is how many of the places of a log are the recovery key's.
const recoveryReserve = 64

// removeAction ends the membership of a device. What the target signed counts as
// far as the past of Seen, an operation by the target or the one that added it.
type removeAction struct {
	_      struct{} `cbor:",toarray"`
	Target DeviceID
	Seen   Hash
	Cut    []Dep // the target's content that the author had, by writer
	At     int64
}

// ackAction says that the author has stored these removals. Cut is content of
// devices that are not members, for which the author vouches.
type ackAction struct {
	_        struct{} `cbor:",toarray"`
	Removals []Hash   // ascending
	Cut      []Dep    // by writer
	At       int64
}

// rekeyAction replaces the author's HPKE key.
type rekeyAction struct {
	_       struct{} `cbor:",toarray"`
	HPKEKey []byte
	At      int64
}

// epochAction announces a content epoch.
type epochAction struct {
	_          struct{} `cbor:",toarray"`
	Tag        EpochTag
	Generation uint64 // at least 2: no operation announces the first epoch
	Record     Hash   // of the record that carries the epoch
	At         int64
}

// rotateAction replaces both recovery keys.
type rotateAction struct {
	_          struct{} `cbor:",toarray"`
	SigningKey []byte
	HPKEKey    []byte
	At         int64
}

func (op *operation) parseRemove(a *removeAction) error {
	if err := decode(op.Action, MaxOperation, a); err != nil {
		return err
	}
	if a.Target.IsZero() || a.Seen.IsZero() {
		return fmt.Errorf("%w: removal of nothing", ErrMalformed)
	}
	if err := checkCut(a.Cut); err != nil {
		return err
	}
	return op.setTime(a.At)
}

func (op *operation) parseAck(a *ackAction) error {
	if err := decode(op.Action, MaxOperation, a); err != nil {
		return err
	}
	switch {
	case len(a.Removals) == 0 && len(a.Cut) == 0:
		return fmt.Errorf("%w: ack of nothing", ErrMalformed)
	case len(a.Removals) > maxRemovals:
		return fmt.Errorf("%w: ack of %d removals", ErrTooLarge, len(a.Removals))
	}
	if err := checkAscending(a.Removals); err != nil {
		return err
	}
	if err := checkCut(a.Cut); err != nil {
		return err
	}
	return op.setTime(a.At)
}

func (op *operation) parseRekey(a *rekeyAction) error {
	if err := decode(op.Action, MaxOperation, a); err != nil {
		return err
	}
	if err := checkHPKEKey(a.HPKEKey); err != nil {
		return err
	}
	return op.setTime(a.At)
}

func (op *operation) parseEpoch(a *epochAction) error {
	if err := decode(op.Action, MaxOperation, a); err != nil {
		return err
	}
	if a.Generation < 2 {
		return fmt.Errorf("%w: epoch of generation %d announced", ErrMalformed, a.Generation)
	}
	return op.setTime(a.At)
}

func (op *operation) parseRotate(a *rotateAction) error {
	if err := decode(op.Action, MaxOperation, a); err != nil {
		return err
	}
	if err := checkPublicKeys(a.SigningKey, a.HPKEKey); err != nil {
		return err
	}
	return op.setTime(a.At)
}

// checkCut wants each writer once, in ascending order.
func checkCut(cut []Dep) error {
	if len(cut) > maxCut {
		return fmt.Errorf("%w: cut of %d writers", ErrTooLarge, len(cut))
	}
	for i, d := range cut {
		if d.Seq == 0 || d.Head.IsZero() {
			return fmt.Errorf("%w: cut %d names no envelope", ErrMalformed, i)
		}
		if i > 0 && bytes.Compare(cut[i-1].Writer[:], d.Writer[:]) >= 0 {
			return fmt.Errorf("%w: cut not in ascending order", ErrMalformed)
		}
	}
	return nil
}

// checkReferences checks what a removal or an ack names against its past.
func (l *membershipLog) checkReferences(op *operation) error {
	switch {
	case op.remove != nil:
		add, ok := l.adds[op.remove.Target]
		if !ok || !op.past.has(add) {
			return fmt.Errorf("%w: removal of %v", ErrUnknownDevice, op.remove.Target)
		}
		seen := l.byHash[op.remove.Seen]
		if seen == nil || !op.past.has(seen.index) || !seen.of(op.remove.Target) {
			return fmt.Errorf("%w: removal has not seen an operation of its target", ErrMalformed)
		}
		op.target, op.seen = add, seen.index
	case op.ack != nil:
		for _, h := range op.ack.Removals {
			r := l.byHash[h]
			if r == nil || !op.past.has(r.index) || r.remove == nil {
				return fmt.Errorf("%w: ack of %v, which is no removal in its past", ErrMalformed, h)
			}
		}
	}
	return nil
}

// of reports whether d is the author, or the device that the operation adds.
func (op *operation) of(d DeviceID) bool { return op.Author == d || op.adds() && op.member.ID == d }

// public is the exported view of an admitted operation.
func (l *membershipLog) public(op *operation) Operation {
	o := Operation{
		Hash: op.hash, Raw: op.raw, Kind: op.Kind, Author: op.Author, ByRecovery: op.byRecovery(),
		Target: op.member.ID, Name: op.member.Name,
		Previous: op.Previous, At: op.at,
	}
	switch {
	case op.remove != nil:
		o.Target = op.remove.Target
		o.Name = l.ops[l.adds[o.Target]].member.Name
	case op.ack != nil:
		o.Removals = op.ack.Removals
	}
	return o
}
