package crdt

import (
	"errors"
	"fmt"
	"maps"
	"math"

	"github.com/starling-sync/starling/crdt/change"
)

// Edit is one local change in the making. It reads as the document will read
// after Commit. Nothing reaches the document before; an Edit that is dropped
// leaves no trace. When the document changes meanwhile, the Edit is void.
type Edit struct {
	doc   *Document
	now   int64
	since uint64 // doc.edits at the beginning
	lastN uint64
	over  *content // what this edit has written
	puts  map[key][]byte
	ops   []func(*making) error // texts and counters, in order
	size  int                   // bounds the bytes of the change
}

// Edit begins a change at now, in milliseconds since 1970. A clock that is
// wrong does no harm; see After.
func (d *Document) Edit(now int64) *Edit {
	return &Edit{doc: d, now: now, since: d.edits, lastN: d.lastN, over: newContent(), puts: map[key][]byte{}}
}

// Writer returns who writes the change.
func (e *Edit) Writer() Writer { return e.doc.writer }

// Register implements Source.
func (e *Edit) Register(field, element string) []Entry {
	if r, ok := e.over.registers[field][element]; ok {
		return r
	}
	return e.doc.Register(field, element)
}

// Elements implements Source.
func (e *Edit) Elements(field string) []string {
	over := e.over.registers[field]
	if len(over) == 0 {
		return e.doc.Elements(field)
	}
	all := maps.Clone(over)
	maps.Copy(all, e.doc.content.registers[field])
	return sortedKeys(all)
}

// own returns this writer's entry of a register, the zero Entry if none.
func (e *Edit) own(field, element string) Entry {
	for _, o := range e.Register(field, element) {
		if o.Writer == e.doc.writer {
			return o
		}
	}
	return Entry{}
}

// NextN returns the n that the next Put will give its entry.
func (e *Edit) NextN() uint64 { return e.lastN + 1 }

// Write is what Put writes besides the stamp and n.
type Write struct {
	// Payload is anything that CBOR can hold; nil is null.
	Payload any
	// Seen and Context are as in Entry. Seen counts if both are there.
	Seen    Vector
	Context any
}

// maxEdit bounds Edit.size, so that the change stays within change.MaxSize
// with whatever else it carries.
const maxEdit = change.MaxSize / 2

// ErrTooLarge says that an edit is too large for one change. It was not made,
// and the document is still good.
var ErrTooLarge = errors.New("too large for one change")

// ErrSpent says that a writer has used up its numbers.
var ErrSpent = errors.New("the writer's counter is at its end")

// Put writes this writer's entry of a register, with a new stamp and n.
func (e *Edit) Put(field, element string, w Write) error {
	if err := checkKey(field, element); err != nil {
		return fmt.Errorf("put %q/%q: %w", field, element, err)
	}
	if e.lastN == math.MaxUint64 {
		return fmt.Errorf("put %s/%s: %w", field, element, ErrSpent)
	}
	register := e.Register(field, element)
	entry := Entry{Writer: e.doc.writer, Stamp: After(e.now, register), N: e.lastN + 1}
	if err := entry.fill(w); err != nil {
		return fmt.Errorf("put %s/%s: %w", field, element, err)
	}
	return e.put(field, element, entry)
}

// put writes an entry as it is.
func (e *Edit) put(field, element string, entry Entry) error {
	value, err := entry.encode()
	if err != nil {
		return fmt.Errorf("put %s/%s: %w", field, element, err)
	}
	k := key{field, element, e.doc.writer}
	e.puts[k], e.lastN = value, entry.N
	e.size += len(k.String()) + len(value)
	e.over.setRegister(field, element, withEntry(e.Register(field, element), entry))
	return nil
}

// fill sets what Write says.
func (e *Entry) fill(w Write) (err error) {
	if e.Payload, err = encodePayload("payload", w.Payload); err != nil {
		return err
	}
	if len(w.Seen) > 0 {
		e.Seen = maps.Clone(w.Seen)
		return nil
	}
	if w.Context != nil {
		e.Context, err = encodePayload("context", w.Context)
	}
	return err
}

// Empty says whether there is nothing to commit.
func (e *Edit) Empty() bool { return len(e.puts) == 0 && len(e.ops) == 0 }

// Commit makes the change and returns it, nil if nothing was written. Its time is 0:
// every entry has its stamp, and a second clock would only cost bytes. After
// an error that wraps ErrBroken the document must be dropped.
func (e *Edit) Commit() (*Change, error) {
	d := e.doc
	if d.broken != nil {
		return nil, d.broken
	}
	if e.since != d.edits {
		return nil, errors.New("commit: the document changed after the edit began")
	}
	if e.Empty() {
		return nil, nil
	}
	if e.size > maxEdit {
		return nil, fmt.Errorf("commit %d bytes: %w", e.size, ErrTooLarge)
	}
	d.edits++ // whatever happens now, this edit and its siblings are spent
	m := making{doc: d, start: d.lastOp + 1}
	if err := e.perform(&m); err != nil {
		return nil, d.fail("commit", err)
	}
	c, err := m.change()
	if err != nil {
		return nil, d.fail("commit", err)
	}
	d.note(c, sitesOf(c))
	d.heads, d.fresh, d.lastN = []Hash{c.Hash}, append(d.fresh, *c), e.lastN
	d.content.adopt(e.over)
	return c, nil
}

// perform makes the operations, in an order that is always the same.
func (e *Edit) perform(m *making) error {
	names := make(map[string][]byte, len(e.puts))
	for k, v := range e.puts { // order-free: a map is filled
		names[k.String()] = v
	}
	for _, name := range sortedKeys(names) {
		m.set(name, change.Bytes, names[name])
	}
	for _, op := range e.ops {
		if err := op(m); err != nil {
			return err
		}
	}
	return nil
}
