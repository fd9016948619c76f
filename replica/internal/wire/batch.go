package wire

import (
	"fmt"
	"unicode/utf8"
)

// Batch is a run of changes of one writer in causal order.
type Batch struct {
	_       struct{}      `cbor:",toarray"`
	Docs    []Document    // each touched by at least one change, in order of first use
	Changes []BatchChange // in causal order
}

// Document names a document by what it is about.
type Document struct {
	_      struct{} `cbor:",toarray"`
	Kind   uint8
	Entity string
}

// BatchChange is one Automerge change as Automerge encodes it.
type BatchChange struct {
	_   struct{} `cbor:",toarray"`
	Doc uint32   // index into Docs
	Raw []byte
}

// The codecs of a batch, its first byte.
const (
	codecPlain = 1 // CBOR
	codecZstd  = 2 // CBOR in one zstd frame
)

// minCompress is the size below which compression only adds bytes.
const minCompress = 128

// Encode returns the smaller encoding of b. It returns an error that wraps
// ErrMalformed for a batch that DecodeBatch would refuse.
func (b *Batch) Encode() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	plain, err := encMode.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("wire: encode batch: %w", err)
	}
	if len(plain) > MaxBatch {
		return nil, malformed("batch of %d bytes", len(plain))
	}
	out := append([]byte{codecPlain}, plain...)
	if len(plain) >= minCompress {
		if packed := encoder.EncodeAll(plain, []byte{codecZstd}); len(packed) < len(out) {
			out = packed
		}
	}
	if len(out) > MaxEnvelope {
		return nil, malformed("batch of %d bytes after compression", len(out))
	}
	return out, nil
}

// DecodeBatch reads what Encode wrote. The error wraps ErrMalformed or
// ErrUnsupported.
func DecodeBatch(data []byte) (*Batch, error) {
	if len(data) == 0 || len(data) > MaxEnvelope {
		return nil, malformed("batch of %d bytes", len(data))
	}
	plain := data[1:]
	switch data[0] {
	case codecPlain:
	case codecZstd:
		var err error
		if plain, err = inflate(plain); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("wire: %w: batch with codec %d", ErrUnsupported, data[0])
	}
	b := &Batch{}
	if err := decodeCBOR(decBatch, plain, b); err != nil {
		return nil, err
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *Batch) check() error {
	if len(b.Docs) == 0 || len(b.Docs) > MaxBatchDocs || len(b.Changes) == 0 || len(b.Changes) > MaxChanges {
		return malformed("batch of %d changes to %d documents", len(b.Changes), len(b.Docs))
	}
	for i, d := range b.Docs {
		if d.Kind == 0 || len(d.Entity) > MaxEntity || !utf8.ValidString(d.Entity) {
			return malformed("document %d of a batch", i)
		}
	}
	return b.checkChanges()
}

// checkChanges makes sure that the table of documents is in order of first
// use, so that equal batches have equal bytes.
func (b *Batch) checkChanges() error {
	used := uint32(0)
	for i, c := range b.Changes {
		if c.Doc > used || len(c.Raw) == 0 || len(c.Raw) > MaxChange {
			return malformed("change %d of a batch", i)
		}
		if c.Doc == used {
			used++
		}
	}
	if int(used) != len(b.Docs) {
		return malformed("batch names %d documents and touches %d", len(b.Docs), used)
	}
	seen := make(map[Document]bool, len(b.Docs))
	for _, d := range b.Docs {
		if seen[d] {
			return malformed("batch names a document twice")
		}
		seen[d] = true
	}
	return nil
}
