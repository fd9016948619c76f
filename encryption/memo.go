package encryption

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
)

// memo is what a process remembers of public-key operations, which in a simulation
// cost more than all else: what one device has signed, some others of the same
// process verify, and again after each restart. It answers only for the very bytes
// that were signed or sealed here, so that nothing holds that would not hold anyway.
type memo struct {
	signed *lru.Cache[[32]byte, struct{}]    // key, signature and message
	sealed *lru.Cache[[32]byte, wrapped]     // HPKE info and ciphertext
	keys   *lru.Cache[[64]byte, *deviceKeys] // by both seeds
}

// wrapped is what was sealed for whom.
type wrapped struct {
	public [32]byte // hash of the key
	plain  []byte
}

// remembered is nil where nobody has called Remember.
var remembered atomic.Pointer[memo]

// memoSize is how many entries of each kind are kept, some hundred bytes each.
const memoSize = 1 << 14

// Remember makes this process remember which signatures it has made, what it has
// sealed by HPKE for whom, and which keys belong to which seeds, for as long as it
// runs. It is for simulations: secrets stay in memory. Results are the same.
func Remember() {
	remembered.CompareAndSwap(nil, &memo{
		signed: must(lru.New[[32]byte, struct{}](memoSize)),
		sealed: must(lru.New[[32]byte, wrapped](memoSize)),
		keys:   must(lru.New[[64]byte, *deviceKeys](memoSize)),
	})
}

// noteSigned notes a signature that holds.
func (m *memo) noteSigned(key, message, signature []byte) {
	if m != nil {
		m.signed.Add(signedName(key, message, signature), struct{}{})
	}
}

// holds says whether a signature is known to hold.
func (m *memo) holds(key, message, signature []byte) bool {
	if m == nil || len(signature) != ed25519.SignatureSize {
		return false
	}
	_, known := m.signed.Get(signedName(key, message, signature))
	return known
}

// signedName is unambiguous: a key and a signature each have one length.
func signedName(key, message, signature []byte) (name [32]byte) {
	h := sha256.New()
	h.Write(key)
	h.Write(signature)
	h.Write(message)
	h.Sum(name[:0])
	return name
}

// noteSealed notes what was sealed for a key.
func (m *memo) noteSealed(public, info, sealed, plain []byte) {
	if m != nil {
		m.sealed.Add(sealedName(info, sealed), wrapped{sha256.Sum256(public), plain})
	}
}

// open returns what was sealed; nil if it was for another key. Known is false when
// nothing is known of it.
func (m *memo) open(key hpkeKey, info, sealed []byte) (plain []byte, known bool) {
	if m == nil {
		return nil, false
	}
	w, known := m.sealed.Get(sealedName(info, sealed))
	if !known || w.public != sha256.Sum256(key().PublicKey().Bytes()) {
		return nil, known
	}
	return w.plain, true
}

func sealedName(info, sealed []byte) (name [32]byte) {
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(info)))
	h.Write(n[:])
	h.Write(info)
	h.Write(sealed)
	h.Sum(name[:0])
	return name
}

// keysOf returns keys that were made from these seeds, nil if none were.
func (m *memo) keysOf(signing, box Secret) *deviceKeys {
	if m == nil {
		return nil
	}
	k, _ := m.keys.Get(seedsName(signing, box))
	return k
}

func (m *memo) noteKeys(k *deviceKeys) {
	if m != nil {
		m.keys.Add(seedsName(k.signingSeed, k.hpkeSeed), k)
	}
}

func seedsName(signing, box Secret) (name [64]byte) {
	copy(name[:], signing.slice())
	copy(name[32:], box.slice())
	return name
}
