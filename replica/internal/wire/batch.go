package wire

import (
	"fmt"
	"unicode/utf8"

	"github.com/starling-sync/starling/crdt/change"
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

	parsed *change.Change // nil until somebody has parsed it
}

// Parse returns the change that Raw holds. Errors as of change.Parse.
func (c *BatchChange) Parse() (change.Change, error) {
	if c.parsed != nil {
		return *c.parsed, nil
	}
	return change.Parse(c.Raw)
}

// The codecs of a batch, its first byte. 3 was never used.
const (
	codecPlain      = 1 // CBOR
	codecZstd       = 2 // CBOR in one zstd frame
	codecElided     = 4 // CBOR of elidedBatch
	codecElidedZstd = 5 // the same in one zstd frame
)

// elidedBatch is a batch without what its reader can make again.
type elidedBatch struct {
	_    struct{} `cbor:",toarray"`
	Docs []Document
	Run  []byte // of package change, of the documents in their order
}

// minCompress is the size below which compression only adds bytes.
const minCompress = 128

// Encode returns b without what a reader who knows c can make again, or as it is
// if that cannot be left out or makes it no shorter. A reader of the former gets the
// changes of one document together, in their order. It returns an error that wraps
// ErrMalformed for a batch that DecodeBatch would refuse.
func (b *Batch) Encode(c change.Context) ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	elided, elidedErr := b.encodeElided(c)
	if elidedErr == nil && len(elided) < b.size() {
		return elided, nil
	}
	plain, err := pack(b, MaxEnvelope, codecPlain, codecZstd)
	if elidedErr == nil && (err != nil || len(elided) < len(plain)) {
		return elided, nil
	}
	return plain, err
}

func (b *Batch) encodeElided(c change.Context) ([]byte, error) {
	run, err := b.elide(c)
	if err != nil {
		return nil, err
	}
	return pack(&elidedBatch{Docs: b.Docs, Run: run}, MaxEnvelope, codecElided, codecElidedZstd)
}

// size returns the bytes of the changes.
func (b *Batch) size() (n int) {
	for i := range b.Changes {
		n += len(b.Changes[i].Raw)
	}
	return n
}

// pack returns the shorter one of v as it is and compressed, of at most limit bytes.
func pack(v any, limit int, codec, zstd byte) ([]byte, error) {
	plain, err := encMode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("wire: encode batch: %w", err)
	}
	if len(plain) > MaxBatch {
		return nil, malformed("batch of %d bytes", len(plain))
	}
	out := append([]byte{codec}, plain...)
	if len(plain) >= minCompress {
		if packed := encoder.EncodeAll(plain, []byte{zstd}); len(packed) < len(out) {
			out = packed
		}
	}
	if len(out) > limit {
		return nil, malformed("batch of %d bytes after compression", len(out))
	}
	return out, nil
}

func (b *Batch) elide(c change.Context) ([]byte, error) {
	documents := make([][]change.Change, len(b.Docs))
	for i := range b.Changes {
		parsed, err := b.Changes[i].Parse()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", change.ErrNotElidable, err)
		}
		at := b.Changes[i].Doc
		documents[at] = append(documents[at], parsed)
	}
	return change.Elide(c, documents)
}

// restore makes the changes again.
func (e *elidedBatch) restore(c change.Context) (*Batch, error) {
	documents, err := change.Restore(c, e.Run, MaxBatch)
	if err != nil {
		return nil, malformed("%v", err)
	}
	b := &Batch{Docs: e.Docs}
	for i, changes := range documents {
		for j := range changes {
			b.Changes = append(b.Changes, BatchChange{Doc: uint32(i), Raw: changes[j].Raw, parsed: &changes[j]})
		}
	}
	return b, nil
}

// DecodeBatch reads what Encode wrote, with the same c. The error wraps
// ErrMalformed or ErrUnsupported.
func DecodeBatch(c change.Context, data []byte) (*Batch, error) {
	if len(data) == 0 || len(data) > MaxEnvelope {
		return nil, malformed("batch of %d bytes", len(data))
	}
	plain := data[1:]
	switch data[0] {
	case codecPlain, codecElided:
	case codecZstd, codecElidedZstd:
		var err error
		if plain, err = inflate(plain); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("wire: %w: batch with codec %d", ErrUnsupported, data[0])
	}
	b, err := decodePlain(c, plain, data[0] >= codecElided)
	if err != nil {
		return nil, err
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	return b, nil
}

func decodePlain(c change.Context, plain []byte, elided bool) (*Batch, error) {
	if elided {
		e := &elidedBatch{}
		if err := decodeCBOR(decBatch, plain, e); err != nil {
			return nil, err
		}
		return e.restore(c)
	}
	b := &Batch{}
	return b, decodeCBOR(decBatch, plain, b)
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
