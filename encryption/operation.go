package encryption

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// OperationKind says what a membership operation does. Kinds are never reused; a
// kind that this build does not know is refused with ErrUnsupported, and nothing
// that follows it can be admitted either.
type OperationKind uint64

const (
	// OperationGenesis creates the account and its first device.
	OperationGenesis OperationKind = 1
	// OperationAdd makes a device a member.
	OperationAdd OperationKind = 2
	// OperationRemove ends a device's membership for good.
	OperationRemove OperationKind = 3
	// OperationAck says that its author has stored removals, and vouches for
	// content of devices that are not members.
	OperationAck OperationKind = 4
	// OperationRekey replaces its author's HPKE key.
	OperationRekey OperationKind = 5
	// OperationEpoch announces a content epoch, whose record travels beside the log.
	OperationEpoch OperationKind = 6
	// OperationRotateRecovery replaces the recovery key.
	OperationRotateRecovery OperationKind = 7
)

// Operation is an admitted operation of the membership log, as people see it.
type Operation struct {
	Hash       Hash
	Raw        []byte // as received; do not modify
	Kind       OperationKind
	Author     DeviceID // zero for the genesis and for the recovery key
	ByRecovery bool     // signed by the recovery key alone
	Target     DeviceID // the device it adds or removes; else zero
	Name       string   // of the target
	Previous   Hash     // the author's operation before it; zero for the genesis
	Removals   []Hash   // those that an ack acknowledges; do not modify
	At         int64    // unix milliseconds by the author's clock; informative only
}

// signedOperation is the stored and sent form.
type signedOperation struct {
	_          struct{} `cbor:",toarray"`
	Body       []byte
	Signatures [][]byte // genesis: first device, recovery key; rotation: old and new recovery key; else: author
}

type operationBody struct {
	_        struct{} `cbor:",toarray"`
	Version  uint64
	Suite    uint64
	Account  AccountID // zero in the genesis
	Kind     OperationKind
	Author   DeviceID // zero in the genesis, and for the recovery key
	Seq      uint64   // zero in the genesis, then 1, 2, … per author
	Previous Hash     // the author's operation Seq-1; for Seq 1 the operation that added it, or the genesis
	Parents  []Hash   // ascending; none in the genesis
	Action   cbor.RawMessage
}

type genesisAction struct {
	_               struct{} `cbor:",toarray"`
	SigningKey      []byte
	HPKEKey         []byte
	Name            string
	At              int64
	RecoverySigning []byte
	RecoveryHPKE    []byte
}

type addAction struct {
	_             struct{} `cbor:",toarray"`
	SigningKey    []byte
	HPKEKey       []byte
	Name          string
	At            int64
	Transcript    Hash
	SelfSignature []byte
}

// operation is a parsed one. Its first part is a function of the received bytes,
// the last one of its place in a log.
type operation struct {
	operationBody
	raw        []byte
	body       []byte // the signed bytes within raw
	signatures [][]byte
	hash       Hash
	at         int64
	member     Member // the device it adds, zero if it adds none

	// Exactly one of these is set, according to the kind.
	genesis *genesisAction
	add     *addAction
	remove  *removeAction
	ack     *ackAction
	rekey   *rekeyAction
	epoch   *epochAction
	rotate  *rotateAction

	index  int    // position in the log that admitted it
	past   bitset // indexes of all operations before it, and its own
	author int    // index of the operation that added the author, or noAuthor
	target int    // of a removal: index of the operation that added its target
	seen   int    // of a removal: index of the operation that Seen names
}

// noAuthor stands for an author that no operation added: the recovery key, and
// whoever made the genesis.
const noAuthor = -1

// parseOperation checks everything that can be checked about an operation alone,
// except signatures by keys that the operation does not carry.
func parseOperation(raw []byte) (*operation, error) {
	var s signedOperation
	if err := decode(raw, MaxOperation, &s); err != nil {
		return nil, fmt.Errorf("operation: %w", err)
	}
	op := &operation{raw: raw, body: s.Body, signatures: s.Signatures}
	if err := decodeVersioned(s.Body, MaxOperation, &op.operationBody); err != nil {
		return nil, fmt.Errorf("operation body: %w", err)
	}
	op.hash = labelOperationHash.hash(raw)
	if err := op.parseAction(); err != nil {
		return nil, fmt.Errorf("operation %v: %w", op.hash, err)
	}
	if err := op.checkShape(); err != nil {
		return nil, fmt.Errorf("operation %v: %w", op.hash, err)
	}
	return op, nil
}

func (op *operation) parseAction() error {
	switch op.Kind {
	case OperationGenesis:
		op.genesis = new(genesisAction)
		return op.parseGenesis(op.genesis)
	case OperationAdd:
		op.add = new(addAction)
		return op.parseAdd(op.add)
	case OperationRemove:
		op.remove = new(removeAction)
		return op.parseRemove(op.remove)
	case OperationAck:
		op.ack = new(ackAction)
		return op.parseAck(op.ack)
	case OperationRekey:
		op.rekey = new(rekeyAction)
		return op.parseRekey(op.rekey)
	case OperationEpoch:
		op.epoch = new(epochAction)
		return op.parseEpoch(op.epoch)
	case OperationRotateRecovery:
		op.rotate = new(rotateAction)
		return op.parseRotate(op.rotate)
	}
	return fmt.Errorf("%w: operation kind %d", ErrUnsupported, op.Kind)
}

func (op *operation) parseGenesis(g *genesisAction) error {
	if err := decode(op.Action, MaxOperation, g); err != nil {
		return err
	}
	if err := checkPublicKeys(g.RecoverySigning, g.RecoveryHPKE); err != nil {
		return err
	}
	return op.setMember(g.SigningKey, g.HPKEKey, g.Name, g.At)
}

func (op *operation) parseAdd(a *addAction) error {
	if err := decode(op.Action, MaxOperation, a); err != nil {
		return err
	}
	if err := op.setMember(a.SigningKey, a.HPKEKey, a.Name, a.At); err != nil {
		return err
	}
	r := JoinRequest{SigningKey: a.SigningKey, HPKEKey: a.HPKEKey, Name: a.Name, Transcript: a.Transcript}
	if !labelJoinSign.verify(a.SigningKey, r.statement(), a.SelfSignature) {
		return fmt.Errorf("target: %w", ErrSignature)
	}
	return nil
}

func (op *operation) setMember(signing, box []byte, name string, at int64) error {
	if err := checkPublicKeys(signing, box); err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return err
	}
	op.member = Member{
		ID: deviceID(op.raw), Name: name, AddedBy: op.Author, AddedAt: at,
		SigningKey: signing, HPKEKey: box,
	}
	return op.setTime(at)
}

func (op *operation) setTime(at int64) error {
	if at < 0 {
		return fmt.Errorf("%w: time before 1970", ErrMalformed)
	}
	op.at = at
	return nil
}

// adds reports whether the operation makes a device.
func (op *operation) adds() bool { return op.genesis != nil || op.add != nil }

// byRecovery reports whether the recovery key alone is the author.
func (op *operation) byRecovery() bool { return op.genesis == nil && op.Author.IsZero() }

// checkShape checks the fields that depend on the kind.
func (op *operation) checkShape() error {
	if op.genesis != nil {
		return op.checkGenesis()
	}
	want := 1
	if op.rotate != nil {
		want = 2
	}
	switch {
	case len(op.signatures) != want:
		return fmt.Errorf("%w: %d signatures, want %d", ErrMalformed, len(op.signatures), want)
	case len(op.Parents) == 0 || len(op.Parents) > MaxParents:
		return fmt.Errorf("%w: %d parents, want 1 to %d", ErrMalformed, len(op.Parents), MaxParents)
	case op.rotate != nil && !op.Author.IsZero():
		return fmt.Errorf("%w: recovery key replaced by a device", ErrMalformed)
	case op.rotate == nil && op.remove == nil && op.add == nil && op.Author.IsZero():
		return fmt.Errorf("%w: kind %d by the recovery key", ErrMalformed, op.Kind)
	case op.Seq == 0:
		return fmt.Errorf("%w: sequence 0", ErrMalformed)
	case op.rotate != nil && !labelOperationSign.verify(op.rotate.SigningKey, op.body, op.signatures[1]):
		return fmt.Errorf("new recovery key: %w", ErrSignature)
	}
	return checkAscending(op.Parents)
}

func (op *operation) checkGenesis() error {
	switch {
	case op.Account != (AccountID{}) || !op.Author.IsZero() || op.Seq != 0 || !op.Previous.IsZero() || len(op.Parents) != 0:
		return fmt.Errorf("%w: genesis with a past", ErrMalformed)
	case len(op.signatures) != 2:
		return fmt.Errorf("%w: genesis with %d signatures, want 2", ErrMalformed, len(op.signatures))
	case !labelOperationSign.verify(op.genesis.SigningKey, op.body, op.signatures[0]):
		return fmt.Errorf("genesis, first device: %w", ErrSignature)
	case !labelOperationSign.verify(op.genesis.RecoverySigning, op.body, op.signatures[1]):
		return fmt.Errorf("genesis, recovery key: %w", ErrSignature)
	}
	return nil
}

func checkAscending(hashes []Hash) error {
	for i := 1; i < len(hashes); i++ {
		if compareHash(hashes[i-1], hashes[i]) >= 0 {
			return fmt.Errorf("%w: hashes not in ascending order", ErrMalformed)
		}
	}
	return nil
}

func deviceID(operation []byte) DeviceID {
	h := labelDeviceID.hash(operation)
	return DeviceID(h[:16])
}

func accountID(genesis []byte) AccountID { return AccountID(labelAccountID.hash(genesis)) }

// sealOperation signs a body with every key given, in order.
func sealOperation(body *operationBody, keys ...*deviceKeys) []byte {
	raw := encode(body)
	s := signedOperation{Body: raw}
	for _, k := range keys {
		s.Signatures = append(s.Signatures, labelOperationSign.sign(k.signing, raw))
	}
	return encode(s)
}
