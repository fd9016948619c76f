package encryption

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// Identity is this device's part in an account: its keys, the membership log as
// far as it is known here, and the content epochs. Safe for concurrent use. It
// prints as the short form of its device id.
//
// Admit, AdmitEpochs and ImportKeys change the identity in memory only. The caller
// stores what Admit and AdmitEpochs returned, and gives it back after OpenIdentity.
type Identity struct {
	// Read-only after creation.
	account AccountID
	keys    *deviceKeys
	badger  Secret
	record  Secret

	mu      sync.RWMutex
	device  DeviceID       // guarded by mu
	log     *membershipLog // guarded by mu
	ring    *keyring       // guarded by mu
	epoch   *epoch         // to seal in; nil if there is none; guarded by mu
	chosen  *announcement  // of epoch; guarded by mu
	rekeyed bool           // a key that epoch was sealed to was replaced; guarded by mu
}

// OpenIdentity reads the identity of dir. With a passphrase it takes about 0.3 s
// and 128 MiB, which are garbage afterwards: a caller that stays resident calls
// debug.FreeOSMemory.
//
// Errors: ErrNoIdentity; ErrWrongUnlock for a wrong passphrase, a wrong key or a
// flipped bit in the sealed part, which cannot be told apart; ErrDamaged for a
// header or contents that cannot be right; ErrEmptyPassphrase.
func OpenIdentity(dir string, u Unlock) (*Identity, error) {
	raw, err := readIdentity(dir)
	if err != nil {
		return nil, fmt.Errorf("open identity: %w", err)
	}
	id, err := parseIdentity(u, raw)
	if err != nil {
		return nil, fmt.Errorf("open identity in %s: %w", dir, err)
	}
	return id, nil
}

func parseIdentity(u Unlock, raw []byte) (*Identity, error) {
	plain, err := openBox(u, raw)
	if err != nil {
		return nil, err
	}
	var s storedIdentity
	if err := decodeVersioned(plain, MaxIdentity, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return newIdentity(&s)
}

// Account returns the account id.
func (id *Identity) Account() AccountID { return id.account }

// Device returns this device's id. Only Adopt changes it.
func (id *Identity) Device() DeviceID {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.device
}

// BadgerKey encrypts the store's files.
func (id *Identity) BadgerKey() Secret { return id.badger }

// RecordKey authenticates the store's records.
func (id *Identity) RecordKey() Secret { return id.record }

// Ops returns every admitted operation in causal order, as received. Do not
// modify them.
func (id *Identity) Ops() [][]byte {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return rawOperations(id.log.ops)
}

func rawOperations(ops []*operation) [][]byte {
	raws := make([][]byte, len(ops))
	for i, op := range ops {
		raws[i] = op.raw
	}
	return raws
}

// Admit adds operations, in any order, to the membership log and returns the new
// ones in causal order; the caller makes them durable. Known ones are skipped.
// What does not hold is not admitted, and neither is what follows it; the rest
// is, so added can be non-empty beside an error. Errors wrap ErrMissingParents,
// ErrMalformed, ErrTooLarge, ErrUnsupported, ErrSignature, ErrOtherAccount,
// ErrNotMember, ErrSequence, ErrTooManyDevices or ErrTooManyOperations, possibly
// several.
func (id *Identity) Admit(raw ...[]byte) (added []Operation, err error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	ops, err := id.log.admit(raw)
	for _, op := range ops {
		added = append(added, id.log.public(op))
	}
	if len(ops) > 0 {
		id.settle()
	}
	return added, err
}

// MembershipDigest names the set of admitted operations.
func (id *Identity) MembershipDigest() Hash {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.log.digest()
}

// Members returns the current members, by id.
func (id *Identity) Members() []Member {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.log.members()
}

// Member returns one current member.
func (id *Identity) Member(d DeviceID) (Member, bool) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.log.member(d)
}

func (l *membershipLog) members() []Member {
	all := make([]Member, len(l.resolved.members))
	for i, op := range l.resolved.members {
		all[i] = l.resolved.member(op)
	}
	slices.SortFunc(all, func(a, b Member) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return all
}

type writerInput struct {
	_      struct{} `cbor:",toarray"`
	Device DeviceID
	Nonce  [16]byte
}

// WriterFor returns the writer id of a device and one lifetime of its database,
// which the nonce stands for: 16 random bytes, drawn once for each.
func WriterFor(d DeviceID, nonce [16]byte) WriterID {
	h := labelWriterID.hash(encode(writerInput{Device: d, Nonce: nonce}))
	return WriterID(h[:16])
}

// Format keeps the keys out of whatever prints an identity.
func (id *Identity) Format(f fmt.State, _ rune) {
	d := id.Device()
	fmt.Fprintf(f, "device %x", d[:4])
}

// LogValue does the same for slog.
func (id *Identity) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(id)) }

// MarshalText does the same for encoders.
func (id *Identity) MarshalText() ([]byte, error) { return fmt.Append(nil, id), nil }
