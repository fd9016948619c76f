package encryption

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// JoinRequest is what a new device gives to the member that invited it.
type JoinRequest struct {
	SigningKey    []byte // Ed25519 public key, 32 bytes
	HPKEKey       []byte // MLKEM768-X25519 public key, 1,216 bytes
	Name          string // chosen on the new device
	SelfSignature []byte // by SigningKey over all of the above and Transcript
	Transcript    Hash   // of the pairing up to this request
}

// joinStatement is what SelfSignature covers: the new device wants to be added
// with these keys, in this pairing.
type joinStatement struct {
	_          struct{} `cbor:",toarray"`
	Version    uint64
	Suite      uint64
	SigningKey []byte
	HPKEKey    []byte
	Name       string
	Transcript Hash
}

func (r *JoinRequest) statement() []byte {
	return encode(joinStatement{
		Version: formatVersion, Suite: suiteOne,
		SigningKey: r.SigningKey, HPKEKey: r.HPKEKey, Name: r.Name, Transcript: r.Transcript,
	})
}

// Verify checks keys, name and signature. Errors wrap ErrMalformed or ErrSignature.
func (r *JoinRequest) Verify() error {
	if err := checkPublicKeys(r.SigningKey, r.HPKEKey); err != nil {
		return fmt.Errorf("join request: %w", err)
	}
	if err := checkName(r.Name); err != nil {
		return fmt.Errorf("join request: %w", err)
	}
	if !labelJoinSign.verify(r.SigningKey, r.statement(), r.SelfSignature) {
		return fmt.Errorf("join request: %w", ErrSignature)
	}
	return nil
}

// checkName refuses names that are empty, over 256 bytes, not UTF-8, or that
// could change what a terminal shows.
func checkName(name string) error {
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) {
		return fmt.Errorf("%w: device name of %d bytes, want 1 to %d of UTF-8", ErrMalformed, len(name), MaxName)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%w: device name with the unprintable character %U", ErrMalformed, r)
		}
	}
	return nil
}
