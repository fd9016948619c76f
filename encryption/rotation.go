package encryption

import (
	"fmt"
	"io"
	"time"
)

// When an epoch has served its time.
const (
	MaxEpochAge       = 30 * 24 * time.Hour
	MaxEpochEnvelopes = 1 << 20 // far below what random nonces of 24 bytes allow
)

// EpochReason says why a new epoch is due, for people.
type EpochReason string

// Why a new epoch is due.
const (
	EpochExposed  EpochReason = "a device that is not a member may know the epoch"
	EpochRekeyed  EpochReason = "a key that the epoch was sealed to has been replaced"
	EpochAged     EpochReason = "the epoch is 30 days old"
	EpochConsumed EpochReason = "the epoch holds 2^20 envelopes"
)

// settle follows the log after it or the keyring changed. Guarded by mu.
func (id *Identity) settle() {
	id.ring.follow(id.log)
	id.epoch, id.rekeyed = nil, false
	if id.chosen = id.ring.choose(id.log); id.chosen != nil {
		id.epoch = id.ring.secrets[id.chosen.tag]
		id.rekeyed = id.log.rekeyedSince(id.chosen.past(id.log))
	}
}

// sealingEpoch returns the epoch to seal in.
func (id *Identity) sealingEpoch() (*epoch, error) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	if id.epoch == nil {
		return nil, ErrNeedsEpoch
	}
	return id.epoch, nil
}

// epochOf returns the epoch of a tag, nil if its secret is not known.
func (id *Identity) epochOf(tag EpochTag) *epoch {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.ring.secrets[tag]
}

// PrepareEpoch makes a new epoch for the current members and the recovery key,
// and the operation that announces it. Nothing is kept: the caller makes both
// durable in one transaction, then calls Admit with the operation and AdmitEpochs
// with the record; and prepares no other operation in between, which would get the
// same number. A crash before that loses an epoch that nothing was sealed in.
//
// Now is recorded, and decides when the epoch is 30 days old. Random nil is the
// system's source. Errors: ErrNotMember, ErrTooManyOperations, ErrTooLarge.
func (id *Identity) PrepareEpoch(now time.Time, random io.Reader) (op, record []byte, err error) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	op, record, err = id.prepareEpoch(now, readerOr(random))
	if err != nil {
		return nil, nil, fmt.Errorf("new epoch: %w", err)
	}
	return op, record, nil
}

func (id *Identity) prepareEpoch(now time.Time, random io.Reader) (op, record []byte, err error) {
	if _, ok := id.log.member(id.device); !ok {
		return nil, nil, fmt.Errorf("%w: %v", ErrNotMember, id.device)
	}
	secret, err := newSecret(random)
	if err != nil {
		return nil, nil, err
	}
	body := id.log.nextBody(id.device)
	d := &epochDraft{
		epoch: newEpoch(secret, id.account), account: id.account, author: id.device, key: id.keys.signing,
		digest: id.log.digest(), to: id.log.recipients(),
	}
	past := id.log.pastOf(body.Parents)
	d.generation, d.previous = id.ring.after(past)
	for _, e := range id.ring.within(past) {
		d.secrets = append(d.secrets, e.secret)
	}
	if record, err = d.seal(random); err != nil {
		return nil, nil, err
	}
	body.Kind = OperationEpoch
	body.Action = encode(epochAction{Tag: d.epoch.tag, Generation: d.generation, Record: recordName(record), At: now.UnixMilli()})
	op = sealOperation(body, id.keys)
	if _, err := id.log.clone().admit([][]byte{op}); err != nil {
		return nil, nil, err
	}
	return op, record, nil
}

// recipients returns the members' current HPKE keys and that of the recovery
// key; those, if it was replaced twice at the same time.
func (l *membershipLog) recipients() []recipient {
	var to []recipient
	for _, m := range l.members() {
		to = append(to, recipient{id: m.ID, key: m.HPKEKey})
	}
	for _, r := range l.recoveryIn(firstOf(len(l.ops))) {
		to = append(to, recipient{key: r.recoveryHPKE()})
	}
	return to
}

// recoveryHPKE is the recovery key that a genesis or a rotation names.
func (op *operation) recoveryHPKE() []byte {
	if op.genesis != nil {
		return op.genesis.RecoveryHPKE
	}
	return op.rotate.HPKEKey
}

// within returns the epochs in a past whose secrets are known, oldest first.
func (k *keyring) within(past bitset) (known []*epoch) {
	seen := map[EpochTag]bool{}
	for _, a := range k.all {
		e := k.secrets[a.tag]
		if e != nil && !seen[a.tag] && (a.op == nil || past.has(a.op.index)) {
			seen[a.tag] = true
			known = append(known, e)
		}
	}
	return known
}

// told returns what a welcome tells of the epochs in a past: all secrets, the
// record of the first epoch, and those of the last ones, which a device must have
// to seal. The other records come beside the operations like everything else.
func (k *keyring) told(past bitset) (secrets [][32]byte, records [][]byte) {
	for _, e := range k.within(past) {
		secrets = append(secrets, e.secret.Reveal())
	}
	records = append(records, k.all[0].raw)
	for _, a := range k.lastIn(past) {
		if a.op != nil && a.body != nil && len(records) < maxToldRecords {
			records = append(records, a.raw)
		}
	}
	return secrets, records
}

// maxToldRecords keeps a welcome below its limit. More than a few last epochs
// take as many devices that rotate at the same time.
const maxToldRecords = 8

// AdmitEpochs keeps epoch records and rewraps, in any order, and opens those that
// this device can open. It returns those that were new; the caller makes them
// durable, next to the operations, and gives them back after OpenIdentity, when
// the operations have been admitted. Records that this device cannot open are kept
// too, for the others and for the day a rewrap comes. The rest is kept whatever
// befalls some, so added can be non-empty beside an error.
//
// Errors wrap ErrMissingOperation: admit the operations first, then offer the
// record again; ErrUnknownEpoch: a rewrap that cannot be checked before its epoch
// is known here; or ErrMalformed, ErrTooLarge, ErrUnsupported, ErrOtherAccount,
// ErrDecrypt, ErrSignature, ErrUnknownDevice for what will never hold.
func (id *Identity) AdmitEpochs(records ...[]byte) (added [][]byte, err error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	added, err = id.ring.admit(id.log, records)
	id.settle()
	return added, err
}

// EpochRecords returns all records that this device keeps, to be stored and sent
// beside the operations: of epochs in causal order, then rewraps. Opaque to
// whoever is not a recipient; do not modify.
func (id *Identity) EpochRecords() [][]byte {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.ring.held()
}

// NeedsEpoch reports whether this device should make a new epoch before it seals
// again, and why. Sealed is the number of envelopes, of all writers, that the
// caller knows of in the current epoch (CurrentEpoch). False for a device that is
// not a member. Only for EpochExposed does SealEnvelope refuse until then; else
// the caller may wait for a better moment.
func (id *Identity) NeedsEpoch(now time.Time, sealed uint64) (reason EpochReason, due bool) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	if _, ok := id.log.member(id.device); !ok {
		return "", false
	}
	switch {
	case id.chosen == nil:
		return EpochExposed, true
	case id.rekeyed:
		return EpochRekeyed, true
	case now.Sub(time.UnixMilli(id.chosen.at(id.log))) >= MaxEpochAge:
		return EpochAged, true
	case sealed >= MaxEpochEnvelopes:
		return EpochConsumed, true
	}
	return "", false
}

// CurrentEpoch returns the epoch that SealEnvelope uses; false if there is none.
func (id *Identity) CurrentEpoch() (EpochTag, bool) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	if id.epoch == nil {
		return EpochTag{}, false
	}
	return id.epoch.tag, true
}

// rekeyedSince reports whether a member's HPKE key, or the recovery key, is from
// an operation outside of past.
func (l *membershipLog) rekeyedSince(past bitset) bool {
	for _, add := range l.resolved.members {
		if op := l.resolved.hpke[add.index]; op != nil && !past.has(op.index) {
			return true
		}
	}
	for _, op := range l.recoveryIn(firstOf(len(l.ops))) {
		if !past.has(op.index) {
			return true
		}
	}
	return false
}

// exposes reports whether a device that is not a member may know a secret that
// was announced after past: whether there is one that no removal in past took
// out, of those removals that count today. Whoever knows the epoch knows its
// past, and what counts today counted then, as it can only stop to count. So
// nobody handed the epoch to a device that such a removal took out.
func (l *membershipLog) exposes(past bitset) bool {
	if len(l.resolved.members) == len(l.adds) {
		return false
	}
	cuts, removed := limits{}, bitset{}
	for _, r := range l.resolved.removals {
		if past.has(r.index) {
			removed.add(r.target)
			cuts.lower(r.target, l.ops[r.seen].past)
		}
	}
	cut := cuts.beyond(l.ops, firstOf(len(l.ops)))
	for d, add := range l.adds { // order-free: any one decides
		if l.resolved.find(d) == nil && !removed.has(add) && !cut.has(add) {
			return true
		}
	}
	return false
}
