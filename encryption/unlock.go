package encryption

import (
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/argon2"
)

// Unlock is what opens the identity file: a passphrase, the content of a key
// file, or a key that the system's keychain holds. It prints redacted. The zero
// value opens nothing.
type Unlock struct {
	passphrase func() []byte // nil unless a passphrase; a function for the reason Secret has one
	key        func() []byte // nil unless a key
	keychain   bool          // where the key is kept
}

// UnlockMethod says what an identity file opens with.
type UnlockMethod uint64

// The methods are the key derivations in the header of the identity file.
const (
	MethodPassphrase UnlockMethod = kdfPassphrase
	MethodKeyFile    UnlockMethod = kdfKey
	MethodKeychain   UnlockMethod = kdfKeychain
)

// String names the method for people.
func (m UnlockMethod) String() string {
	switch m {
	case MethodPassphrase:
		return "passphrase"
	case MethodKeyFile:
		return "key file"
	case MethodKeychain:
		return "key in the keychain"
	}
	return fmt.Sprintf("method %d", uint64(m))
}

// UnlockPassphrase unlocks with a passphrase, of any bytes but not empty: every
// use of an empty one fails with ErrEmptyPassphrase. It copies p.
func UnlockPassphrase(p []byte) Unlock {
	p = slices.Clone(p)
	return Unlock{passphrase: func() []byte { return p }}
}

// UnlockKey unlocks with 32 random bytes, as ReadKeyFile gets them from a key
// file. Every use of another length fails. It copies key.
func UnlockKey(key []byte) Unlock {
	key = slices.Clone(key)
	return Unlock{key: func() []byte { return key }}
}

// UnlockKeychain is UnlockKey for a key that the system's keychain holds. The
// identity file tells the two apart so that whoever opens it knows where to look.
func UnlockKeychain(key []byte) Unlock {
	u := UnlockKey(key)
	u.keychain = true
	return u
}

// Format keeps the passphrase out of whatever prints an Unlock.
func (Unlock) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText keeps it out of encoders.
func (Unlock) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Kinds of key derivation in the header of the identity file.
const (
	kdfPassphrase = 1 // Argon2id (RFC 9106), then HKDF
	kdfKey        = 2 // HKDF
	kdfKeychain   = 3 // HKDF, of a key that the system's keychain holds
)

// argonCost are the parameters of Argon2id.
type argonCost struct {
	_       struct{} `cbor:",toarray"`
	Passes  uint32
	Memory  uint32 // KiB
	Threads uint8
}

// defaultCost takes about 0.3 s and 128 MiB. The memory is garbage afterwards; a
// caller that stays resident calls debug.FreeOSMemory.
var defaultCost = argonCost{Passes: 3, Memory: 128 << 10, Threads: 2}

// check bounds what a header can make this process spend.
func (c argonCost) check() error {
	if c.Passes < 1 || c.Passes > 10 || c.Threads < 1 || c.Threads > 16 ||
		c.Memory < 8*uint32(c.Threads) || c.Memory > 1<<20 {
		return fmt.Errorf("%w: Argon2id with %d passes, %d KiB, %d threads", ErrDamaged, c.Passes, c.Memory, c.Threads)
	}
	return nil
}

// kind returns the key derivation that u calls for.
func (u Unlock) kind() (uint64, error) {
	switch {
	case u.passphrase != nil && len(u.passphrase()) == 0:
		return 0, ErrEmptyPassphrase
	case u.passphrase != nil:
		return kdfPassphrase, nil
	case u.key != nil && len(u.key()) == 32 && u.keychain:
		return kdfKeychain, nil
	case u.key != nil && len(u.key()) == 32:
		return kdfKey, nil
	}
	return 0, fmt.Errorf("unlock: want a passphrase or a key of 32 bytes")
}

// wrappingKey derives the key of the identity file from u and its header.
func (u Unlock) wrappingKey(h *boxHeader) (Secret, error) {
	kind, err := u.kind()
	if err != nil {
		return Secret{}, err
	}
	if kind != h.KDF {
		return Secret{}, fmt.Errorf("%w: it wants a %s", ErrWrongUnlock, UnlockMethod(h.KDF))
	}
	if kind != kdfPassphrase {
		return labelSecretsFileKey.derive(NewSecret([32]byte(u.key())), h.Salt[:]), nil
	}
	c := h.Cost
	stretched := argon2.IDKey(u.passphrase(), h.Salt[:], c.Passes, c.Memory, c.Threads, 32)
	return labelSecretsFilePassphrase.derive(NewSecret([32]byte(stretched)), h.Salt[:]), nil
}
