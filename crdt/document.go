package crdt

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starling-sync/starling/crdt/change"
)

// Hash names a change.
type Hash = change.Hash

// Change is one change of one document, as devices exchange it.
type Change = change.Change

// Errors of Document.Apply that a caller branches on. After either of them
// the document is as it was.
var (
	// ErrMissing says that a dependency or an earlier change of the same
	// writer is not there yet.
	ErrMissing = errors.New("an earlier change is missing")
	// ErrConflict says that the writer has another change with this number.
	ErrConflict = errors.New("the writer has another change with this number")
)

// ErrBroken is wrapped by the error of a Commit that made half a change: the
// document must be dropped.
var ErrBroken = errors.New("document is in an unknown state")

// Document is the replicated state of one entity on this device. It belongs
// to one goroutine at a time.
type Document struct {
	writer  Writer
	heads   []Hash // sorted
	values  *values
	content *content            // what values say, decoded
	lastN   uint64              // highest n of writer
	lastOp  uint64              // highest number of an operation
	ops     uint64              // how many operations there are
	actors  map[Writer]struct{} // of all changes
	history *history
	saved   []byte   // what Automerge saved; empty for nothing
	packs   [][]byte // what came after that, as it was stored
	fresh   []Change // and what came after that
	edits   uint64   // grows with everything that changes the document
	broken  error
}

// NewDocument returns an empty document in which w will write. A writer must
// not write into two copies of one document.
func NewDocument(w Writer) *Document {
	return &Document{
		writer: w, values: newValues(), content: newContent(),
		actors: map[Writer]struct{}{}, history: newHistory(nil),
	}
}

// LoadDocument reads what Save or Stored returned, and keeps it; nothing at all is an
// empty document. The bytes must come from this device or from someone it trusts like
// itself: that what operations refer to is there is not checked again.
func LoadDocument(saved []byte, w Writer, packs ...[]byte) (*Document, error) {
	d := NewDocument(w)
	if err := d.history.eachStored(saved, packs, func(c *Change) { d.take(c, sitesOf(c)) }); err != nil {
		return nil, fmt.Errorf("load document: %w", err)
	}
	d.saved, d.packs = saved, packs
	d.heads = d.history.heads()
	d.content = d.decode()
	d.lastN = d.content.lastN(w)
	return d, nil
}

// take makes a change part of the document, but for its heads and what is decoded. It
// returns the keys that the change has to do with, with repetitions.
func (d *Document) take(c *Change, sites []site) (keys []string) {
	for o := range c.Ops() {
		if key := d.values.apply(&o); len(keys) == 0 || keys[len(keys)-1] != key {
			keys = append(keys, key)
		}
	}
	d.note(c, sites)
	return keys
}

// note is take after the operations were performed.
func (d *Document) note(c *Change, sites []site) {
	d.history.add(c, sites)
	d.actors[c.Actor] = struct{}{}
	d.lastOp = max(d.lastOp, c.LastOp())
	d.ops += c.LastOp() + 1 - c.StartOp
}

// What a document takes in memory, about, as measured of chats and of texts.
const (
	emptyWeight = 4 << 10
	partWeight  = 180 // of a change, and of an operation
)

// Weight estimates how many bytes of memory the document takes.
func (d *Document) Weight() int {
	return emptyWeight + partWeight*(len(d.history.known)+int(d.ops)) + len(d.saved) + d.Since()
}

// Heads returns the hashes of the changes that no other change depends on,
// sorted. The caller owns the slice.
func (d *Document) Heads() []Hash { return slices.Clone(d.heads) }

// Writer returns the writer of this copy.
func (d *Document) Writer() Writer { return d.writer }

// Has says whether the document holds a change. A document that is broken
// has none.
func (d *Document) Has(h Hash) bool {
	_, ok := d.history.known[h]
	return ok && d.broken == nil
}

// At returns the hash of a writer's change by its number.
func (d *Document) At(p change.Place) (Hash, bool) {
	if d.broken != nil {
		return Hash{}, false
	}
	return d.history.at(p)
}

// Places returns what the dependencies of a change are called by number, in their
// order, of a change that the document has.
func (d *Document) Places(c *Change) []change.Place {
	places := make([]change.Place, len(c.Deps))
	for i, dep := range c.Deps {
		p := d.history.known[dep]
		places[i] = change.Place{Actor: p.writer, Seq: p.seq}
	}
	return places
}

// fail marks the document as broken.
func (d *Document) fail(operation string, err error) error {
	d.broken = fmt.Errorf("%s: %w: %w", operation, ErrBroken, err)
	return d.broken
}

// decode reads everything under all keys.
func (d *Document) decode() *content {
	c := newContent()
	for name := range d.values.keys { // order-free: each key is read apart
		d.read(c, name)
	}
	return c
}

// read brings into c what is under a key. What is not an entry of one of the actors, a
// text or a counter under a well-formed key counts as nothing.
func (d *Document) read(c *content, name string) {
	k, ok := parseKey(name)
	if _, known := d.actors[k.writer]; !ok || !known {
		return
	}
	v, _ := d.values.winner(name)
	c.put(k, &v)
}

// refresh brings the content up to date with what is under some keys.
func (d *Document) refresh(keys []string) {
	slices.Sort(keys)
	for _, name := range slices.Compact(keys) {
		d.read(d.content, name)
	}
}

// Register implements Source.
func (d *Document) Register(field, element string) []Entry {
	return d.content.registers[field][element]
}

// Elements implements Source.
func (d *Document) Elements(field string) []string {
	return sortedKeys(d.content.registers[field])
}

// Changes returns all changes in causal order.
func (d *Document) Changes() ([]Change, error) {
	if d.broken != nil {
		return nil, d.broken
	}
	all, err := StoredChanges(d.saved, d.packs)
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	return append(all, d.fresh...), nil
}

// ChangesBy returns all changes of a writer that the document has, in their order.
func (d *Document) ChangesBy(w Writer) ([]Change, error) {
	all, err := d.Changes()
	return slices.DeleteFunc(all, func(c Change) bool { return c.Actor != w }), err
}
