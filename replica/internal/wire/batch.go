package wire

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
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

// Encode returns the smallest encoding of b.
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
	out := append(make([]byte, 0, len(plain)+1), codecPlain)
	if len(plain) >= minCompress {
		packed := encoder().EncodeAll(plain, []byte{codecZstd})
		if len(packed) <= len(plain) {
			return packed, nil
		}
	}
	return append(out, plain...), nil
}

// DecodeBatch reads what Encode wrote.
func DecodeBatch(data []byte) (*Batch, error) {
	if len(data) == 0 {
		return nil, malformed("empty batch")
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
		return nil, malformed("batch with unknown codec %d", data[0])
	}
	b := &Batch{}
	if err := decodeCBOR(plain, b); err != nil {
		return nil, err
	}
	return b, b.check()
}

func inflate(packed []byte) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(packed); err != nil {
		return nil, malformed("zstd: %v", err)
	}
	if h.FrameContentSize > MaxBatch {
		return nil, malformed("batch of %d bytes", h.FrameContentSize)
	}
	plain, err := decoder().DecodeAll(packed, nil)
	if err != nil {
		return nil, malformed("zstd: %v", err)
	}
	return plain, nil
}

func (b *Batch) check() error {
	if len(b.Docs) == 0 || len(b.Docs) > MaxBatchDocs || len(b.Changes) == 0 || len(b.Changes) > MaxChanges {
		return malformed("batch of %d changes to %d documents", len(b.Changes), len(b.Docs))
	}
	for i, d := range b.Docs {
		if d.Kind == 0 || len(d.Entity) > MaxEntity {
			return malformed("document %d of a batch", i)
		}
	}
	return b.checkChanges()
}

// checkChanges makes sure that the table of documents is in order of first
// use, so that equal batches have equal bytes.
func (b *Batch) checkChanges() error {
	used := 0
	for i, c := range b.Changes {
		if int(c.Doc) > used || int(c.Doc) >= len(b.Docs) || len(c.Raw) == 0 || len(c.Raw) > MaxChange {
			return malformed("change %d of a batch", i)
		}
		if int(c.Doc) == used {
			used++
		}
	}
	if used != len(b.Docs) {
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

// The coders hold no state between calls and are safe for concurrent use.
var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // unreachable: the options are constant
	}
	return e
})

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxBatch))
	if err != nil {
		panic(err) // unreachable: the options are constant
	}
	return d
})
