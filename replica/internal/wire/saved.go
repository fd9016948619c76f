package wire

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/starling-sync/starling/crdt/change"
)

// A saved document is little smaller than the changes in it, one by one elided, if
// there are few, and it cannot share anything with the next one. So what a Part
// carries is mostly the changes, as an envelope would have them: a run for each
// writer, over all documents.

// ErrNotWhole says that a document has to be saved before it can be packed.
var ErrNotWhole = errors.New("a document that is not saved")

// Naming returns what both ends know of a writer's runs.
type Naming func(writer [16]byte) change.Context

// elidedSaved is documents as the runs of their writers.
type elidedSaved struct {
	_    struct{} `cbor:",toarray"`
	Docs []Document
	Runs []writerRun // ascending by writer
}

// writerRun is one writer's changes in several documents, all from the first on.
type writerRun struct {
	_      struct{} `cbor:",toarray"`
	Writer [16]byte
	Docs   []uint32 // ascending
	Run    []byte   // of package change, of these documents
}

// Parse returns the changes of the document in causal order. Errors as of
// change.ParseSaved.
func (d *Saved) Parse() ([]change.Change, error) {
	if d.Changes != nil {
		return d.Changes, nil
	}
	return change.ParseSaved(d.Doc)
}

// ElideSaved packs documents for a Part: without what a reader who knows the naming
// can make again, or as EncodeSaved does if that is shorter or nothing can be left
// out. The error wraps ErrMalformed for what DecodeSaved would refuse, and
// ErrNotWhole if nothing can be left out of a document without Doc.
func ElideSaved(docs []Saved, naming Naming) ([]byte, error) {
	if slices.ContainsFunc(docs, func(d Saved) bool { return d.Changes != nil }) {
		e, err := elideSaved(docs, naming)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotWhole, err)
		}
		return pack(e, MaxPart, codecElided, codecElidedZstd)
	}
	plain, err := EncodeSaved(docs)
	if err != nil {
		return nil, err
	}
	e, err := elideSaved(docs, naming)
	if err != nil {
		return plain, nil // a document of other forms, which goes as it is
	}
	elided, err := pack(e, MaxPart, codecElided, codecElidedZstd)
	if err != nil || len(elided) >= len(plain) {
		return plain, nil
	}
	return elided, nil
}

func elideSaved(docs []Saved, naming Naming) (*elidedSaved, error) {
	e := &elidedSaved{}
	runs := map[[16]byte]*elidedRun{}
	room := MaxBatch
	for i := range docs {
		changes, err := docs[i].Parse()
		if err != nil {
			return nil, err
		}
		e.Docs = append(e.Docs, Document{Kind: docs[i].Kind, Entity: docs[i].Entity})
		for _, c := range changes {
			if room -= restoredSize(&c); room < 0 {
				return nil, malformed("documents whose changes take more than %d bytes", MaxBatch)
			}
			run := runs[c.Actor]
			if run == nil {
				run = &elidedRun{}
				runs[c.Actor] = run
			}
			run.add(uint32(i), c)
		}
	}
	for _, w := range slices.SortedFunc(maps.Keys(runs), func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) }) {
		run, err := change.Elide(naming(w), runs[w].changes, nil)
		if err != nil {
			return nil, err
		}
		e.Runs = append(e.Runs, writerRun{Writer: w, Docs: runs[w].docs, Run: run})
	}
	return e, nil
}

// restoredSize bounds what change.Restore counts for a change.
func restoredSize(c *change.Change) int { return 2*len(c.Plain()) + 64 + 32*len(c.Deps) }

// elidedRun is a writerRun in the making.
type elidedRun struct {
	docs    []uint32
	changes [][]change.Change
}

func (r *elidedRun) add(doc uint32, c change.Change) {
	if n := len(r.docs); n == 0 || r.docs[n-1] != doc {
		r.docs, r.changes = append(r.docs, doc), append(r.changes, nil)
	}
	last := len(r.changes) - 1
	r.changes[last] = append(r.changes[last], c)
}

// decodeElidedSaved reads the documents of an elidedSaved.
func decodeElidedSaved(plain []byte, naming Naming) ([]Saved, error) {
	e := &elidedSaved{}
	if err := decodeCBOR(decBatch, plain, e); err != nil {
		return nil, err
	}
	if len(e.Docs) > MaxBatchDocs || len(e.Runs) > MaxWriters {
		return nil, malformed("part of %d documents of %d writers", len(e.Docs), len(e.Runs))
	}
	docs := make([]Saved, len(e.Docs))
	for i, d := range e.Docs {
		docs[i] = Saved{Kind: d.Kind, Entity: d.Entity}
	}
	room := MaxBatch
	for i, run := range e.Runs {
		if i > 0 && bytes.Compare(e.Runs[i-1].Writer[:], run.Writer[:]) >= 0 {
			return nil, malformed("runs that are not in the order of writers")
		}
		var err error
		if room, err = run.restore(docs, naming, room); err != nil {
			return nil, err
		}
	}
	for i := range docs {
		if err := docs[i].order(); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

// restore adds the changes of one writer to the documents. It returns what is left of
// the bytes that they may take.
func (r *writerRun) restore(docs []Saved, naming Naming, room int) (int, error) {
	changes, err := change.Restore(naming(r.Writer), r.Run, room)
	if err != nil {
		return 0, malformed("%v", err)
	}
	if len(changes) != len(r.Docs) {
		return 0, malformed("run of %d documents for %d", len(changes), len(r.Docs))
	}
	for i, at := range r.Docs {
		if int(at) >= len(docs) || i > 0 && r.Docs[i-1] >= at {
			return 0, malformed("documents of a run that are not there, or not in order")
		}
		for _, c := range changes[i] {
			room -= len(c.Raw)
		}
		docs[at].Changes = append(docs[at].Changes, changes[i]...)
	}
	return max(room, 0), nil
}

// order brings the changes of a document into a causal order: each as soon as all
// that it depends on stands before it, those of one writer as they follow.
func (d *Saved) order() error {
	waiting := make(map[change.Hash][]int) // by a dependency that is missing
	placed := make(map[change.Hash]bool, len(d.Changes))
	ordered := make([]change.Change, 0, len(d.Changes))
	var place func(i int)
	ready := make([]int, 0, 8)
	place = func(i int) {
		for _, dep := range d.Changes[i].Deps {
			if !placed[dep] {
				waiting[dep] = append(waiting[dep], i)
				return
			}
		}
		c := d.Changes[i]
		placed[c.Hash] = true
		ordered = append(ordered, c)
		ready = append(ready, waiting[c.Hash]...)
		delete(waiting, c.Hash)
	}
	for i := range d.Changes {
		place(i)
		for len(ready) > 0 {
			next := ready[0]
			ready = ready[1:]
			place(next)
		}
	}
	if len(ordered) != len(d.Changes) {
		return malformed("changes of %q without what they depend on", d.Entity)
	}
	d.Changes = ordered
	return nil
}
