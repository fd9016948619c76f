package replica

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/replica/store"
)

// A fingerprint says in 32 bytes which documents a replica holds and at
// which heads. Each document has a leaf, the hash of its id and heads. The
// leaves whose document id begins with the same byte are added up, as
// numbers of 256 bits, in one of 256 buckets, so that a change costs one
// subtraction and one addition; the fingerprint is the hash of the buckets.
// Two replicas with equal frontiers and different fingerprints compare
// buckets to find the document.
type fingerprint struct {
	buckets [256][32]byte
	changed [256]bool // since the last flush
}

// leafOf returns the leaf of a document at the given sorted heads.
func leafOf(id account.DocumentID, heads []crdt.Hash) [32]byte {
	h := sha256.New()
	h.Write([]byte("starling/leaf/v1\x00"))
	h.Write(id[:])
	for _, head := range heads {
		h.Write(head[:])
	}
	return [32]byte(h.Sum(nil))
}

// replace takes a document's old leaf out (zero: there was none) and puts
// the new one in.
func (f *fingerprint) replace(id account.DocumentID, old, new [32]byte) {
	b := &f.buckets[id[0]]
	*b = sub(*b, old)
	*b = add(*b, new)
	f.changed[id[0]] = true
}

// root returns the fingerprint.
func (f *fingerprint) root() [32]byte {
	h := sha256.New()
	h.Write([]byte("starling/fingerprint/v1\x00"))
	for i := range f.buckets {
		h.Write(f.buckets[i][:])
	}
	return [32]byte(h.Sum(nil))
}

// flush adds the changed buckets to b.
func (f *fingerprint) flush(b *store.Batch) {
	for i := range f.buckets {
		if f.changed[i] {
			b.Put(tablePrints, []byte{byte(i)}, f.buckets[i][:])
			f.changed[i] = false
		}
	}
}

func loadFingerprint(s store.Store) (*fingerprint, error) {
	f := &fingerprint{}
	err := s.Scan(tablePrints, nil, nil, func(key, value []byte) error {
		if len(key) != 1 || len(value) != 32 {
			return &store.DamagedError{Table: tablePrints, Key: append([]byte(nil), key...)}
		}
		f.buckets[key[0]] = [32]byte(value)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load fingerprint: %w", err)
	}
	return f, nil
}

// openFingerprint loads the fingerprint, and makes it from the documents if a
// record of it is damaged.
func openFingerprint(s store.Store, log *slog.Logger) (*fingerprint, error) {
	f, err := loadFingerprint(s)
	if !errors.Is(err, store.ErrDamaged) {
		return f, err
	}
	log.Warn("the fingerprint is damaged; it is made anew from the documents", "err", err)
	f, scan := sumDocuments(s)
	if scan != nil {
		return nil, fmt.Errorf("%w; make it anew: %w", err, scan)
	}
	return f, nil
}

// sumDocuments makes the fingerprint from the documents, to be stored as a whole.
func sumDocuments(s store.Store) (*fingerprint, error) {
	f := &fingerprint{}
	err := eachDocument(s, nil, nil, func(id account.DocumentID, doc *docStored) error {
		f.replace(id, [32]byte{}, doc.Leaf)
		return nil
	}, refuseMalformed)
	if err != nil {
		return nil, err
	}
	for i := range f.changed {
		f.changed[i] = true
	}
	return f, nil
}

func add(a, b [32]byte) [32]byte { return combine(a, b, bits.Add64) }
func sub(a, b [32]byte) [32]byte { return combine(a, b, bits.Sub64) }

func combine(a, b [32]byte, op func(x, y, carry uint64) (uint64, uint64)) (sum [32]byte) {
	var carry, word uint64
	for i := 24; i >= 0; i -= 8 {
		word, carry = op(binary.BigEndian.Uint64(a[i:]), binary.BigEndian.Uint64(b[i:]), carry)
		binary.BigEndian.PutUint64(sum[i:], word)
	}
	return sum
}
