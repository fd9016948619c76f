package disk

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/starling-sync/starling/replica/store"
	"golang.org/x/crypto/chacha20poly1305"
)

// schemaVersion is the version of everything SPEC.md describes. It is the
// first byte of every value and part of its associated data.
const schemaVersion = 1

// The first byte of a key in Badger says what the rest is.
const (
	spaceData    = 'd' // then table and key of a record
	spaceJournal = 'j' // then the number of a chunk; see journal.go
	spaceMeta    = 'm' // then the name of one of the store's own values
)

const (
	adLabel        = "starling/store/v1\x00"
	recordOverhead = 1 + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

var errSeal = errors.New("the seal does not match: changed, moved, or sealed under another key")

// dataKey returns the key in Badger of a record.
func dataKey(t store.Table, key []byte) []byte {
	k := make([]byte, 0, 2+len(key))
	return append(append(k, spaceData, byte(t)), key...)
}

func metaKey(name string) []byte { return append([]byte{spaceMeta}, name...) }

// sealer seals values and opens them again. It is safe for concurrent use.
type sealer struct{ aead cipher.AEAD }

func newSealer(key *[32]byte) (*sealer, error) {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return nil, fmt.Errorf("record key: %w", err)
	}
	return &sealer{aead}, nil
}

func associatedData(key []byte) []byte {
	ad := make([]byte, 0, len(adLabel)+1+len(key))
	ad = append(append(ad, adLabel...), schemaVersion)
	return append(ad, key...)
}

// seal returns version ‖ nonce ‖ ciphertext ‖ tag for the value at key, which
// is the whole key in Badger.
func (s *sealer) seal(key, value []byte) []byte {
	out := make([]byte, 1+chacha20poly1305.NonceSizeX, recordOverhead+len(value))
	out[0] = schemaVersion
	rand.Read(out[1:]) // never fails: the process ends instead
	return s.aead.Seal(out, out[1:], value, associatedData(key))
}

// open appends the value to buf.
func (s *sealer) open(buf, key, sealed []byte) ([]byte, error) {
	if len(sealed) < recordOverhead {
		return nil, fmt.Errorf("%d bytes: shorter than an empty record", len(sealed))
	}
	if sealed[0] != schemaVersion {
		return nil, fmt.Errorf("version %d of the record is unknown", sealed[0])
	}
	nonce, ciphertext := sealed[1:1+chacha20poly1305.NonceSizeX], sealed[1+chacha20poly1305.NonceSizeX:]
	out, err := s.aead.Open(buf, nonce, ciphertext, associatedData(key))
	if err != nil {
		return nil, errSeal
	}
	return out, nil
}
