package encryption

import (
	"bytes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// EpochTag names an epoch and commits to its secret: two secrets with one tag
// would be a collision of 128 bits of HKDF-SHA256.
type EpochTag [16]byte

func (t EpochTag) String() string { return hex.EncodeToString(t[:]) }

// epoch is one content epoch: its secret and what is derived from it.
type epoch struct {
	secret    Secret
	tag       EpochTag
	data      Secret // envelopes
	control   Secret // bodies of epoch records
	previous  Secret // secrets of earlier epochs, carried by this one
	discovery Secret // host keys, service names, and the next one
	hello     Secret // frames of the hello
	mailbox   Secret // tokens of a mailbox
}

func newEpoch(secret Secret, account AccountID) *epoch {
	discovery := labelEpochDiscovery.derive(secret, account[:])
	return &epoch{
		secret:    secret,
		tag:       epochTag(secret, account),
		data:      labelEpochData.derive(secret, account[:]),
		control:   labelEpochControl.derive(secret, account[:]),
		previous:  labelEpochPrevious.derive(secret, account[:]),
		discovery: discovery,
		hello:     labelHelloKey.derive(discovery, account[:]),
		mailbox:   labelEpochMailbox.derive(secret, account[:]),
	}
}

func epochTag(secret Secret, account AccountID) EpochTag {
	tag := labelEpochTag.derive(secret, account[:]).Reveal()
	return EpochTag(tag[:16])
}

func compareTag(a, b EpochTag) int { return bytes.Compare(a[:], b[:]) }

// nonceSize is that of XChaCha20-Poly1305: long enough to be drawn at random for
// every message of a key.
const (
	nonceSize = chacha20poly1305.NonceSizeX
	aeadSize  = chacha20poly1305.Overhead
)

func aead(key Secret) cipher.AEAD { return must(chacha20poly1305.NewX(key.slice())) }

func newNonce(random io.Reader) ([]byte, error) {
	nonce := make([]byte, nonceSize)
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("draw a nonce: %w", err)
	}
	return nonce, nil
}
