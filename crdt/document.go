package crdt

import (
	"errors"
	"fmt"
	"slices"

	"github.com/automerge/automerge-go"

	"github.com/starling-sync/starling/crdt/change"
)

// Hash names a change.
type Hash = change.Hash

// Change is one change of one document, as devices exchange it.
type Change = change.Change

// Errors of Document.Apply that a caller branches on. After either of them
// nothing reached Automerge and the document is still good.
var (
	// ErrMissing says that a dependency or an earlier change of the same
	// writer is not there yet.
	ErrMissing = errors.New("an earlier change is missing")
	// ErrConflict says that the writer has another change with this number.
	ErrConflict = errors.New("the writer has another change with this number")
)

// ErrBroken is wrapped by every error after the core did not do as it should:
// the document must be dropped.
var ErrBroken = errors.New("document is in an unknown state")

// Document is the replicated state of one entity on this device. It belongs
// to one goroutine at a time.
type Document struct {
	doc     *automerge.Doc
	writer  Writer
	heads   []Hash
	content *content
	lastN   uint64              // highest n of writer
	actors  map[Writer]struct{} // of all changes
	history *history            // nil until it is needed
	saved   []byte              // what was loaded, until the history is needed
	since   []Change            // what was made after that
	edits   uint64              // grows with everything that changes the document
	broken  error
}

// NewDocument returns an empty document in which w will write. A writer must
// not write into two copies of one document.
func NewDocument(w Writer) (*Document, error) {
	d := &Document{
		doc: automerge.New(), writer: w, content: newContent(),
		actors: map[Writer]struct{}{}, history: newHistory(nil),
	}
	if err := d.doc.SetActorID(w.hex()); err != nil {
		return nil, fmt.Errorf("new document: set actor %s: %w", w.hex(), err)
	}
	return d, nil
}

// LoadDocument reads what Save returned, and keeps it. The bytes must come from this
// device or from someone it trusts like itself: beyond their frame and
// checksum they are not checked before they reach the Automerge core.
func LoadDocument(saved []byte, w Writer) (*Document, error) {
	header, err := readSaved(saved)
	if err != nil {
		return nil, fmt.Errorf("load document: %w", err)
	}
	doc, err := automerge.Load(saved)
	if err != nil {
		return nil, fmt.Errorf("load document: %w", err)
	}
	if err := doc.SetActorID(w.hex()); err != nil {
		return nil, fmt.Errorf("load document: set actor %s: %w", w.hex(), err)
	}
	d := &Document{doc: doc, writer: w, heads: header.heads, actors: header.actors, saved: saved}
	if err := d.checkHeads(); err != nil {
		return nil, fmt.Errorf("load document: %w", err)
	}
	if err := d.refresh(); err != nil {
		return nil, fmt.Errorf("load document: %w", err)
	}
	return d, nil
}

// Save returns the document in Automerge's format, after it loaded again
// with the same heads.
func (d *Document) Save() ([]byte, error) {
	if d.broken != nil {
		return nil, d.broken
	}
	saved := d.doc.Save()
	header, err := readSaved(saved)
	if err != nil {
		return nil, d.fail("save document", err)
	}
	if !slices.Equal(header.heads, d.heads) {
		return nil, d.fail("save document", errors.New("the saved heads differ"))
	}
	again, err := automerge.Load(saved)
	if err != nil {
		return nil, d.fail("save document", fmt.Errorf("does not load again: %w", err))
	}
	if !slices.Equal(headsOf(again), d.heads) {
		return nil, d.fail("save document", errors.New("loads again with other heads"))
	}
	return saved, nil
}

// Heads returns the hashes of the changes that no other change depends on,
// sorted. The caller owns the slice.
func (d *Document) Heads() []Hash { return slices.Clone(d.heads) }

// Writer returns the writer of this copy.
func (d *Document) Writer() Writer { return d.writer }

// fail marks the document as broken.
func (d *Document) fail(operation string, err error) error {
	d.broken = fmt.Errorf("%s: %w: %w", operation, ErrBroken, err)
	return d.broken
}

// checkHeads compares the heads that the core has with those computed here.
func (d *Document) checkHeads() error {
	if got := headsOf(d.doc); !slices.Equal(got, d.heads) {
		return fmt.Errorf("heads are %v, want %v", got, d.heads)
	}
	return nil
}

func headsOf(doc *automerge.Doc) []Hash {
	heads := doc.Heads()
	out := make([]Hash, len(heads))
	for i, h := range heads {
		out[i] = Hash(h)
	}
	slices.SortFunc(out, Hash.Compare)
	return out
}

// refresh decodes the content anew.
func (d *Document) refresh() error {
	c, err := readContent(d.doc, d.actors)
	if err != nil {
		return err
	}
	d.content, d.lastN = c, c.lastN(d.writer)
	d.edits++
	return nil
}

// Register implements Source.
func (d *Document) Register(field, element string) []Entry {
	return d.content.registers[field][element]
}

// Elements implements Source.
func (d *Document) Elements(field string) []string {
	return sortedKeys(d.content.registers[field])
}
