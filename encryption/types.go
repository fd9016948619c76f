package encryption

import (
	"encoding/hex"
	"fmt"
	"time"
)

// Limits on everything that comes from outside, in the units named.
const (
	MaxEnvelope   = 1 << 20  // bytes of one envelope, padding included
	MaxOperation  = 4 << 10  // bytes of one signed operation
	MaxOperations = 4096     // operations of one account
	MaxParents    = 16       // parents of one operation
	MaxDevices    = 64       // members of one account
	MaxName       = 256      // bytes of a device name
	MaxHelloFrame = 64 << 10 // bytes of one hello frame
	MaxWelcome    = 8 << 20  // bytes of one welcome
	MaxIdentity   = 16 << 20 // bytes of the secrets file
)

// Hash is a SHA-256 value.
type Hash [32]byte

// AccountID is the hash of the account's genesis. Not secret, but never shown to
// anybody who is not a member.
type AccountID [32]byte

// DeviceID is a hash of the operation that added the device. It is never reused.
type DeviceID [16]byte

// WriterID is a hash of a device id and an instance nonce: one device and one
// lifetime of its database. It is the Automerge actor id of all it writes.
type WriterID [16]byte

func (h Hash) String() string      { return hex.EncodeToString(h[:]) }
func (a AccountID) String() string { return hex.EncodeToString(a[:]) }
func (d DeviceID) String() string  { return hex.EncodeToString(d[:]) }
func (w WriterID) String() string  { return hex.EncodeToString(w[:]) }

// ParseDeviceID reads what DeviceID.String writes. The error wraps ErrMalformed.
func ParseDeviceID(s string) (DeviceID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(DeviceID{}) {
		return DeviceID{}, fmt.Errorf("device id %q: want 32 hexadecimal digits: %w", s, ErrMalformed)
	}
	return DeviceID(b), nil
}

// IsZero reports whether the hash is absent.
func (h Hash) IsZero() bool { return h == Hash{} }

// IsZero reports whether the id is absent. As the author of an operation, the
// zero id stands for the recovery key.
func (d DeviceID) IsZero() bool { return d == DeviceID{} }

// Member is one device of the account as the membership log has it.
type Member struct {
	ID         DeviceID
	Name       string   // as given by the device when it joined; valid UTF-8, 1 to 256 bytes
	AddedBy    DeviceID // zero for the first device
	AddedAt    int64    // unix milliseconds by the sponsor's clock; informative only
	SigningKey []byte   // Ed25519 public key, 32 bytes; do not modify
	HPKEKey    []byte   // MLKEM768-X25519 public key, 1,216 bytes; do not modify
}

// Peer is the authenticated other end of a connection.
type Peer struct {
	Device   DeviceID
	Addr     string // as the transport prints it
	Outbound bool   // this side dialed
	// Skew is its clock minus ours at the hello, give or take the time that
	// the hello took.
	Skew time.Duration
}

// Dep names the last envelope of another writer that an envelope's writer had seen.
type Dep struct {
	_      struct{} `cbor:",toarray"`
	Writer WriterID
	Seq    uint64
	Head   Hash // id of that envelope
}

// Content is what one envelope says.
type Content struct {
	Writer   WriterID
	Seq      uint64   // from 1, contiguous per writer
	Device   DeviceID // signs; when sealing, zero means this device
	Nonce    [16]byte // instance nonce of the writer; sent with sequence 1 only
	Previous Hash     // id of the writer's previous envelope; zero for sequence 1
	Members  Hash     // membership digest of the writer; when sealing, zero means the current one
	Deps     []Dep    // frontier delta since the writer's previous envelope, by writer id
	Batch    []byte   // opaque here
}

// Chain is where a writer's log stands at the receiver.
type Chain struct {
	Device  DeviceID
	Seq     uint64
	Head    Hash // id of envelope Seq
	Members Hash // membership digest that envelope Seq carried or inherited
}
