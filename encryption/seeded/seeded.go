// Package seeded is a source of randomness that comes out the same again, for
// simulations. Nothing that it makes is secret.
//
// A Source also seals by HPKE, because the standard library draws the randomness
// of that by itself: package encryption leaves it to a source that can. What it
// makes opens like any other.
package seeded

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// Source is a source of randomness. It belongs to one goroutine at a time.
type Source struct{ *rand.ChaCha8 }

// New returns the source of a key.
func New(key [32]byte) *Source { return &Source{rand.NewChaCha8(key)} }

// The suite of package encryption, by its numbers in the registry of HPKE:
// MLKEM768-X25519, HKDF-SHA256, ChaCha20-Poly1305.
var suite = []byte{'H', 'P', 'K', 'E', 0x64, 0x7a, 0, 1, 0, 3}

// SealHPKE is hpke.Seal of the standard library (RFC 9180, base mode) with
// randomness from s.
func (s *Source) SealHPKE(public, info, plain []byte) ([]byte, error) {
	var random [64]byte
	_, _ = s.Read(random[:]) // it never fails
	e, err := encapsulate(public, random)
	if err != nil {
		return nil, fmt.Errorf("seal with a seed: %w", err)
	}
	return e.seal(info, plain)
}

// Nobody draws a public key of which it forgets the private one.
func (s *Source) Nobody() ([]byte, error) {
	var seed [32]byte
	_, _ = s.Read(seed[:]) // it never fails
	key, err := hpke.MLKEM768X25519().NewPrivateKey(seed[:])
	if err != nil {
		return nil, fmt.Errorf("key from a seed: %w", err)
	}
	return key.PublicKey().Bytes(), nil
}

// encapsulated is a shared secret, and what tells it to the holder of a key.
type encapsulated struct{ shared, enc []byte }

// seal is the part of HPKE that is left when the secret is shared.
func (e encapsulated) seal(info, plain []byte) ([]byte, error) {
	context := slices.Concat([]byte{0}, extract(nil, "psk_id_hash", nil), extract(nil, "info_hash", info))
	secret := extract(e.shared, "secret", nil)
	key, err := expand(secret, "key", context, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("seal with a seed: %w", err)
	}
	nonce, err := expand(secret, "base_nonce", context, chacha20poly1305.NonceSize)
	if err != nil {
		return nil, fmt.Errorf("seal with a seed: %w", err)
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, fmt.Errorf("seal with a seed: %w", err)
	}
	return aead.Seal(bytes.Clone(e.enc), nonce, plain, nil), nil
}

// encapsulate makes a shared secret for a public key, by the hybrid of
// draft-ietf-hpke-pq that is also called X-Wing.
func encapsulate(public []byte, random [64]byte) (e encapsulated, err error) {
	if len(public) < mlkem.EncapsulationKeySize768 {
		return e, fmt.Errorf("public key of %d bytes", len(public))
	}
	pq, err := mlkem.NewEncapsulationKey768(public[:mlkem.EncapsulationKeySize768])
	if err != nil {
		return e, err
	}
	theirs, err := ecdh.X25519().NewPublicKey(public[mlkem.EncapsulationKeySize768:])
	if err != nil {
		return e, err
	}
	own, err := ecdh.X25519().NewPrivateKey(random[:32])
	if err != nil {
		return e, err
	}
	sharedT, err := own.ECDH(theirs)
	if err != nil {
		return e, err
	}
	sharedPQ, encPQ, err := mlkemtest.Encapsulate768(pq, random[32:])
	if err != nil {
		return e, err
	}
	encT := own.PublicKey().Bytes()
	sum := sha3.Sum256(slices.Concat(sharedPQ, sharedT, encT, theirs.Bytes(), []byte(`\./`+`/^\`)))
	return encapsulated{sum[:], slices.Concat(encPQ, encT)}, nil
}

// extract is LabeledExtract of RFC 9180.
func extract(salt []byte, label string, ikm []byte) []byte {
	prk, err := hkdf.Extract(sha256.New, slices.Concat([]byte("HPKE-v1"), suite, []byte(label), ikm), salt)
	if err != nil {
		panic(err) // unreachable: only a key of a forbidden length fails, and there is none
	}
	return prk
}

// expand is LabeledExpand of RFC 9180.
func expand(prk []byte, label string, info []byte, n uint16) ([]byte, error) {
	labelled := slices.Concat(binary.BigEndian.AppendUint16(nil, n), []byte("HPKE-v1"), suite, []byte(label), info)
	return hkdf.Expand(sha256.New, prk, string(labelled), int(n))
}
