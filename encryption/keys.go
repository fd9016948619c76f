package encryption

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand" //lint:allow crypto/rand the default where no reader was given, so that the zero value is safe
	"crypto/sha256"
	"fmt"
	"io"
)

const (
	signingKeySize = ed25519.PublicKeySize
	hpkeKeySize    = 1216 // ML-KEM-768 encapsulation key and X25519 public key
	hpkeOverhead   = 1120 + 16
)

// readerOr returns random, or the system's source for nil.
func readerOr(random io.Reader) io.Reader {
	if random == nil {
		return rand.Reader
	}
	return random
}

// derive is HKDF-SHA256: 32 bytes from secret, for one label, bound to context
// by being its salt. Context is the account id wherever there is one.
func (l label) derive(secret Secret, context []byte) Secret {
	key := must(hkdf.Key(sha256.New, secret.slice(), context, string(l), 32))
	return NewSecret([32]byte(key))
}

// deviceKeys are the private keys of a device, both made from 32-byte seeds.
type deviceKeys struct {
	signingSeed Secret
	hpkeSeed    Secret
	signing     signingKey
	hpke        hpkeKey
}

// Private keys stand behind functions for the reason that a Secret does.
type (
	signingKey func() ed25519.PrivateKey
	hpkeKey    func() hpke.PrivateKey
)

func newDeviceKeys(random io.Reader) (*deviceKeys, error) {
	signing, err := newSecret(random)
	if err != nil {
		return nil, err
	}
	box, err := newSecret(random)
	if err != nil {
		return nil, err
	}
	return keysFromSeeds(signing, box)
}

func keysFromSeeds(signing, box Secret) (*deviceKeys, error) {
	if known := remembered.Load().keysOf(signing, box); known != nil {
		return known, nil
	}
	k, err := hpke.MLKEM768X25519().NewPrivateKey(box.slice())
	if err != nil {
		return nil, fmt.Errorf("hpke key: %w", err)
	}
	private := ed25519.NewKeyFromSeed(signing.slice())
	keys := &deviceKeys{
		signingSeed: signing, hpkeSeed: box,
		signing: func() ed25519.PrivateKey { return private },
		hpke:    func() hpke.PrivateKey { return k },
	}
	remembered.Load().noteKeys(keys)
	return keys, nil
}

func (k *deviceKeys) signingPublic() []byte {
	return k.signing().Public().(ed25519.PublicKey)
}

func (k *deviceKeys) hpkePublic() []byte { return k.hpke().PublicKey().Bytes() }

// Format keeps the keys out of anything that prints a struct which holds them.
func (*deviceKeys) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// recoveryKeys derives both keys of the recovery phrase from its 32-byte seed.
// They are in no account's context, because the seed precedes the account.
func recoveryKeys(seed Secret) (*deviceKeys, error) {
	return keysFromSeeds(labelRecoverySigning.derive(seed, nil), labelRecoveryHPKE.derive(seed, nil))
}

// sign signs label ‖ 0 ‖ body.
func (l label) sign(key signingKey, body []byte) []byte {
	private, message := key(), l.message(body)
	signature := ed25519.Sign(private, message)
	remembered.Load().noteSigned(private[ed25519.SeedSize:], message, signature)
	return signature
}

// verify checks a signature over label ‖ 0 ‖ body.
func (l label) verify(key, body, signature []byte) bool {
	if len(key) != signingKeySize {
		return false
	}
	message := l.message(body)
	return remembered.Load().holds(key, message, signature) || ed25519.Verify(key, message, signature)
}

// hpkeInfo binds an HPKE message to its use, account and context. It is the one
// place for context: the one-shot calls take no associated data.
func hpkeInfo(l label, account AccountID, context []byte) []byte {
	return l.message(encode(hpkeContext{Version: formatVersion, Suite: suiteOne, Account: account, Context: context}))
}

type hpkeContext struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Suite   uint64
	Account AccountID
	Context []byte
}

func hpkeSeal(public, info, plain []byte) ([]byte, error) {
	key, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("hpke key: %w", err)
	}
	sealed, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, plain)
	if err == nil {
		remembered.Load().noteSealed(public, info, sealed, plain)
	}
	return sealed, err
}

func hpkeOpen(key hpkeKey, info, sealed []byte) ([]byte, error) {
	if plain, known := remembered.Load().open(key, info, sealed); known && plain == nil {
		return nil, ErrDecrypt
	} else if known {
		return bytes.Clone(plain), nil
	}
	return hpke.Open(key(), hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, sealed)
}

// checkPublicKeys refuses keys that could not be used later.
func checkPublicKeys(signing, box []byte) error {
	if len(signing) != signingKeySize {
		return fmt.Errorf("%w: key of the wrong length", ErrMalformed)
	}
	return checkHPKEKey(box)
}

func checkHPKEKey(box []byte) error {
	if len(box) != hpkeKeySize {
		return fmt.Errorf("%w: key of the wrong length", ErrMalformed)
	}
	if _, err := hpke.MLKEM768X25519().NewPublicKey(box); err != nil {
		return fmt.Errorf("%w: hpke key: %v", ErrMalformed, err)
	}
	return nil
}
