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
)

// Operation is an admitted operation of the membership log.
type Operation struct {
	Hash   Hash
	Raw    []byte // as received; do not modify
	Kind   OperationKind
	Author DeviceID // zero for the genesis
	Target DeviceID // the device it adds
	Name   string   // of the target
	At     int64    // unix milliseconds by the author's clock; informative only
}

// signedOperation is the stored and sent form.
type signedOperation struct {
	_          struct{} `cbor:",toarray"`
	Body       []byte
	Signatures [][]byte // genesis: first device, recovery key; else: author
}

type operationBody struct {
	_        struct{} `cbor:",toarray"`
	Version  uint64
	Suite    uint64
	Account  AccountID // zero in the genesis
	Kind     OperationKind
	Author   DeviceID // zero in the genesis
	Seq      uint64   // zero in the genesis, then 1, 2, … per author
	Previous Hash     // the author's operation Seq-1; for Seq 1 the operation that added it
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

// operation is a parsed one. Everything but index and past is a function of the
// received bytes.
type operation struct {
	operationBody
	raw        []byte
	body       []byte // the signed bytes within raw
	signatures [][]byte
	hash       Hash
	member     Member         // the device it adds
	genesis    *genesisAction // nil unless the genesis
	add        *addAction     // nil unless an add

	index int    // position in the log that admitted it
	past  bitset // indexes of all operations before it, and its own
}

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
	if at < 0 {
		return fmt.Errorf("%w: time before 1970", ErrMalformed)
	}
	op.member = Member{
		ID: deviceID(op.raw), Name: name, AddedBy: op.Author, AddedAt: at,
		SigningKey: signing, HPKEKey: box,
	}
	return nil
}

// checkShape checks the fields that depend on the kind.
func (op *operation) checkShape() error {
	if op.genesis != nil {
		return op.checkGenesis()
	}
	switch {
	case len(op.signatures) != 1:
		return fmt.Errorf("%w: %d signatures, want 1", ErrMalformed, len(op.signatures))
	case len(op.Parents) == 0 || len(op.Parents) > MaxParents:
		return fmt.Errorf("%w: %d parents, want 1 to %d", ErrMalformed, len(op.Parents), MaxParents)
	case op.Author.IsZero():
		return fmt.Errorf("%w: add by the recovery key", ErrUnsupported)
	case op.Seq == 0:
		return fmt.Errorf("%w: sequence 0", ErrMalformed)
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

// public is the exported view.
func (op *operation) public() Operation {
	return Operation{
		Hash: op.hash, Raw: op.raw, Kind: op.Kind, Author: op.Author,
		Target: op.member.ID, Name: op.member.Name, At: op.member.AddedAt,
	}
}
