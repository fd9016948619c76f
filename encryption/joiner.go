package encryption

import (
	"errors"
	"fmt"
	"io"
)

// JoinOptions are the circumstances of a device that wants to join an account.
type JoinOptions struct {
	Name   string    // of this device, as the others see it: 1 to 256 bytes of printable UTF-8
	Random io.Reader // nil: the system's source

	cost argonCost // tests: cheaper Argon2id
}

// Joiner is a new device before it is a member: it has keys and no account. Not
// safe for concurrent use. It prints redacted.
type Joiner struct {
	name   string
	random io.Reader
	cost   argonCost
	keys   *deviceKeys
	stored *storedIdentity // nil until a welcome was verified
}

// NewJoiner makes the keys of a new device. They live in memory only until Save.
func NewJoiner(o *JoinOptions) (*Joiner, error) {
	if err := checkName(o.Name); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	random := readerOr(o.Random)
	keys, err := newDeviceKeys(random)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	return &Joiner{name: o.Name, random: random, cost: costOr(o.cost), keys: keys}, nil
}

// Format keeps the keys out of whatever prints a joiner.
func (*Joiner) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// Request asks a member to add this device, within the pairing that transcript
// stands for so far.
func (j *Joiner) Request(transcript Hash) *JoinRequest {
	r := &JoinRequest{
		SigningKey: j.keys.signingPublic(), HPKEKey: j.keys.hpkePublic(),
		Name: j.name, Transcript: transcript,
	}
	r.SelfSignature = labelJoinSign.sign(j.keys.signing, r.statement())
	return r
}

// OpenWelcome verifies the welcome that answers the request with this transcript:
// that it was sealed to it, that the operations in it add it to an
// account, and that the member who added it wrote the welcome. Errors wrap
// ErrWelcome.
func (j *Joiner) OpenWelcome(transcript Hash, sealed []byte) error {
	w, err := openWelcome(j.keys, transcript, sealed)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWelcome, err)
	}
	s, err := storedFor(j.keys, j.random)
	if err != nil {
		return fmt.Errorf("open welcome: %w", err)
	}
	s.Account, s.Device, s.Epochs = w.Account, w.Device, w.Epochs
	s.Operations, s.EpochRecords = w.Operations, w.EpochRecords
	if _, err := newIdentity(s); err != nil {
		return fmt.Errorf("%w: %w", ErrWelcome, err)
	}
	j.stored = s
	return nil
}

var errNoWelcome = errors.New("no verified welcome yet")

// Save writes the identity that the welcome made into dir, which it creates if
// needed. Errors: ErrExists, then nothing was written; ErrEmptyPassphrase. A
// passphrase costs what it costs in OpenIdentity.
func (j *Joiner) Save(dir string, u Unlock) (*Identity, error) {
	if j.stored == nil {
		return nil, fmt.Errorf("save identity in %s: %w", dir, errNoWelcome)
	}
	if Exists(dir) {
		return nil, fmt.Errorf("save identity in %s: %w", dir, ErrExists)
	}
	id, err := newIdentity(j.stored)
	if err != nil {
		return nil, fmt.Errorf("save identity in %s: %w", dir, err)
	}
	if err := j.stored.save(dir, u, j.cost, j.random); err != nil {
		return nil, fmt.Errorf("save identity: %w", err)
	}
	return id, nil
}
