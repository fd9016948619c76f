package wire

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/starling-sync/starling/crdt/change"
)

// Batch is a run of changes of one writer in causal order.
type Batch struct {
	_       struct{}      `cbor:",toarray"`
	Docs    []Document    // each touched by at least one change, in order of first use
	Changes []BatchChange // in causal order; none of a batch that was read and whose changes follow from others: see Of

	parts []part // of each document, once it was read
}

// part is what a batch has of one document.
type part struct {
	run     change.Run
	changes []change.Change // if there is no run
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

	// After is what the dependencies of the change are called by number, in their
	// order, which is shorter than their hashes; nil if it is not known.
	After []change.Place `cbor:"-"`
}

// Of returns the changes of document i of a batch that was read, in their order. Known
// returns the hash of a change of this document that was made before. Errors wrap
// change.ErrUnknownChange if it does not know one, or ErrMalformed.
func (b *Batch) Of(i int, known func(change.Place) (change.Hash, bool)) ([]change.Change, error) {
	if err := b.parse(); err != nil {
		return nil, err
	}
	if all := b.parts[i].changes; all != nil {
		return all, nil
	}
	all, err := b.parts[i].run.Changes(known)
	if errors.Is(err, change.ErrMalformed) {
		err = malformed("%v", err)
	}
	return all, err
}

// Last returns the number of the last change of document i of a batch that was read.
// Errors wrap ErrMalformed.
func (b *Batch) Last(i int) (uint64, error) {
	if err := b.parse(); err != nil {
		return 0, err
	}
	if all := b.parts[i].changes; all != nil {
		return all[len(all)-1].Seq, nil
	}
	return b.parts[i].run.Last(), nil
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
	places := map[change.Hash]change.Place{}
	for i := range b.Changes {
		parsed, err := change.Parse(b.Changes[i].Raw)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", change.ErrNotElidable, err)
		}
		if after := b.Changes[i].After; len(after) == len(parsed.Deps) {
			for k, dep := range parsed.Deps {
				places[dep] = after[k]
			}
		}
		at := b.Changes[i].Doc
		documents[at] = append(documents[at], parsed)
	}
	return change.Elide(c, documents, places)
}

// open reads the changes of each document.
func (e *elidedBatch) open(c change.Context) (*Batch, error) {
	runs, err := change.Open(c, e.Run, MaxBatch)
	if err != nil {
		return nil, malformed("%v", err)
	}
	b := &Batch{Docs: e.Docs, parts: make([]part, len(runs))}
	n, placed := 0, false
	for i, run := range runs {
		n += run.Len()
		placed = placed || run.Placed()
		b.parts[i].run = run
	}
	if len(runs) != len(b.Docs) || n > MaxChanges {
		return nil, malformed("%d changes to %d documents in a batch of %d", n, len(runs), len(b.Docs))
	}
	if err := b.checkDocs(); err != nil || placed {
		return b, err
	}
	for i := range b.parts {
		all, err := b.parts[i].run.Changes(nil)
		if err != nil {
			return nil, malformed("%v", err)
		}
		b.parts[i].changes = all
		for _, c := range all {
			b.Changes = append(b.Changes, BatchChange{Doc: uint32(i), Raw: c.Raw})
		}
	}
	return b, nil
}

// parse reads the changes of a batch that came whole.
func (b *Batch) parse() error {
	if b.parts != nil {
		return nil
	}
	parts := make([]part, len(b.Docs))
	for i, c := range b.Changes {
		parsed, err := change.Parse(c.Raw)
		if err != nil {
			return malformed("change %d of a batch: %v", i, err)
		}
		parts[c.Doc].changes = append(parts[c.Doc].changes, parsed)
	}
	b.parts = parts
	return nil
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
	if data[0] >= codecElided {
		e := &elidedBatch{}
		if err := decodeCBOR(decBatch, plain, e); err != nil {
			return nil, err
		}
		return e.open(c)
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
	if len(b.Changes) == 0 || len(b.Changes) > MaxChanges {
		return malformed("batch of %d changes", len(b.Changes))
	}
	if err := b.checkDocs(); err != nil {
		return err
	}
	return b.checkChanges()
}

func (b *Batch) checkDocs() error {
	if len(b.Docs) == 0 || len(b.Docs) > MaxBatchDocs {
		return malformed("batch of %d documents", len(b.Docs))
	}
	seen := make(map[Document]bool, len(b.Docs))
	for i, d := range b.Docs {
		if d.Kind == 0 || len(d.Entity) > MaxEntity || !utf8.ValidString(d.Entity) {
			return malformed("document %d of a batch", i)
		}
		if seen[d] {
			return malformed("batch names a document twice")
		}
		seen[d] = true
	}
	return nil
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
	return nil
}
