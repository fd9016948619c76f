package encryption

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"
)

// sealedWelcome is the sent form. The account id stands outside because the HPKE
// info needs it; the channel that carries a welcome is encrypted already.
type sealedWelcome struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Suite   uint64
	Account AccountID
	Sealed  []byte // signedWelcome, by HPKE to the new device
}

type signedWelcome struct {
	_         struct{} `cbor:",toarray"`
	Body      []byte
	Signature []byte // by the device that authored the add
}

// welcome makes a member of a device that the log has just added.
type welcome struct {
	_            struct{} `cbor:",toarray"`
	Version      uint64
	Suite        uint64
	Account      AccountID
	Device       DeviceID   // the new device
	Transcript   Hash       // of the join request
	Operations   [][]byte   // causal order; the operations in the past of the add, and the add
	Epochs       [][32]byte // secrets of all epochs in the past of the add
	EpochRecords [][]byte   // of the first epoch, and of the last ones
}

// PrepareAdd signs the operation that adds the device of a request, after
// checking the request. Nothing is admitted: the caller makes the operation
// durable, then calls Admit, and only then Welcome; and prepares no other one in
// between, which would get the same number. Now is recorded and informative
// only. Errors: ErrMalformed, ErrSignature, ErrTooManyDevices,
// ErrTooManyOperations.
func (id *Identity) PrepareAdd(r *JoinRequest, now time.Time) (op []byte, err error) {
	if err := r.Verify(); err != nil {
		return nil, fmt.Errorf("add device: %w", err)
	}
	id.mu.RLock()
	defer id.mu.RUnlock()
	body := id.log.nextBody(id.device)
	body.Kind = OperationAdd
	body.Action = encode(addAction{
		SigningKey: r.SigningKey, HPKEKey: r.HPKEKey, Name: r.Name, At: now.UnixMilli(),
		Transcript: r.Transcript, SelfSignature: r.SelfSignature,
	})
	op = sealOperation(body, id.keys)
	if _, err := id.log.clone().admit([][]byte{op}); err != nil {
		return nil, fmt.Errorf("add device: %w", err)
	}
	return op, nil
}

// nextBody starts the author's next operation, after all that is known.
func (l *membershipLog) nextBody(author DeviceID) *operationBody {
	parents := l.nextParents(author)
	seq, previous := l.lastOf(author, l.pastOf(parents))
	return &operationBody{
		Version: formatVersion, Suite: suiteOne, Account: l.account,
		Author: author, Seq: seq + 1, Previous: previous, Parents: parents,
	}
}

// nextParents returns the heads, at most 16 of them, those first whose past
// holds most of the author's own operations. More heads than that take as many
// concurrent operations; the ones left out stay heads for the next operation.
func (l *membershipLog) nextParents(author DeviceID) []Hash {
	heads := l.sortedHeads()
	if len(heads) > MaxParents {
		slices.SortStableFunc(heads, func(a, b Hash) int {
			return int(l.seqAt(b, author)) - int(l.seqAt(a, author))
		})
		heads = heads[:MaxParents]
		slices.SortFunc(heads, compareHash)
	}
	return heads
}

// seqAt ranks a head: one more than the author's last number in its past, and 0
// when it does not even hold the operation that added the author.
func (l *membershipLog) seqAt(head Hash, author DeviceID) uint64 {
	past := l.byHash[head].past
	if !past.has(l.adds[author]) {
		return 0
	}
	seq, _ := l.lastOf(author, past)
	return seq + 1
}

var errNotAdded = errors.New("the request's add operation is not admitted")

// Welcome seals to the device of a request all that it needs to be a member. Its
// add operation must have been made by this device and admitted. The welcome is
// bound to the request's transcript. Two calls give different bytes for the same
// meaning, as HPKE draws its randomness itself.
func (id *Identity) Welcome(r *JoinRequest) (sealed []byte, err error) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	add := id.log.addOf(r, id.device)
	if add == nil {
		return nil, fmt.Errorf("welcome: %w", errNotAdded)
	}
	secrets, records := id.ring.told(add.past)
	body := encode(welcome{
		Version: formatVersion, Suite: suiteOne, Account: id.account, Device: add.member.ID,
		Transcript: r.Transcript, Operations: rawOperations(id.log.within(add.past)),
		Epochs: secrets, EpochRecords: records,
	})
	plain := encode(signedWelcome{Body: body, Signature: labelWelcomeSign.sign(id.keys.signing, body)})
	box, err := hpkeSeal(r.HPKEKey, hpkeInfo(labelWelcomeSeal, id.account, r.Transcript[:]), plain)
	if err != nil {
		return nil, fmt.Errorf("welcome: %w", err)
	}
	sealed = encode(sealedWelcome{Version: formatVersion, Suite: suiteOne, Account: id.account, Sealed: box})
	if len(sealed) > MaxWelcome {
		return nil, fmt.Errorf("welcome: %w", ErrTooLarge)
	}
	return sealed, nil
}

// addOf finds the operation by which author added the device of a request.
func (l *membershipLog) addOf(r *JoinRequest, author DeviceID) *operation {
	for _, op := range l.resolved.members {
		if op.add != nil && op.Author == author && op.add.Transcript == r.Transcript &&
			bytes.Equal(op.add.SigningKey, r.SigningKey) && bytes.Equal(op.add.HPKEKey, r.HPKEKey) {
			return op
		}
	}
	return nil
}

// within returns the operations of a past, in causal order.
func (l *membershipLog) within(past bitset) (ops []*operation) {
	past.each(func(i int) { ops = append(ops, l.ops[i]) })
	return ops
}

// openWelcome decrypts and checks a welcome up to the consistency of the identity
// that it makes, which newIdentity checks.
func openWelcome(keys *deviceKeys, transcript Hash, sealed []byte) (*welcome, error) {
	var outer sealedWelcome
	if err := decodeVersioned(sealed, MaxWelcome, &outer); err != nil {
		return nil, err
	}
	plain, err := hpkeOpen(keys.hpke, hpkeInfo(labelWelcomeSeal, outer.Account, transcript[:]), outer.Sealed)
	if err != nil {
		return nil, ErrDecrypt
	}
	var s signedWelcome
	if err := decode(plain, MaxWelcome, &s); err != nil {
		return nil, err
	}
	w := new(welcome)
	if err := decodeVersioned(s.Body, MaxWelcome, w); err != nil {
		return nil, err
	}
	if w.Account != outer.Account || w.Transcript != transcript {
		return nil, ErrOtherAccount
	}
	return w, w.checkSponsor(&s)
}

// checkSponsor verifies that the member who added the device wrote the welcome.
func (w *welcome) checkSponsor(s *signedWelcome) error {
	log := newLog(w.Account)
	if _, err := log.admit(w.Operations); err != nil {
		return err
	}
	own, ok := log.member(w.Device)
	if !ok {
		return fmt.Errorf("%w: %v", ErrUnknownDevice, w.Device)
	}
	sponsor, ok := log.member(own.AddedBy)
	if !ok {
		return fmt.Errorf("sponsor: %w: %v", ErrUnknownDevice, own.AddedBy)
	}
	if !labelWelcomeSign.verify(sponsor.SigningKey, s.Body, s.Signature) {
		return fmt.Errorf("sponsor: %w", ErrSignature)
	}
	return nil
}
