package crdt

import (
	"fmt"
	"slices"

	"github.com/starling-sync/starling/crdt/change"
)

// making is a change in the making: of registers, counters and new texts the very one, to
// the last bit, that Automerge would make of the same writes. What is replaced in a text
// may be told in another order. Each operation is performed as it is made.
type making struct {
	doc   *Document
	start uint64 // number of the first operation
	ops   []change.Op
}

// add appends an operation and performs it.
func (m *making) add(o change.Op) change.OpID {
	o.ID = change.OpID{Counter: m.start + uint64(len(m.ops)), Actor: m.doc.writer}
	m.ops = append(m.ops, o)
	m.doc.values.apply(&o)
	return o.ID
}

// set puts a value under a key, in place of what is there.
func (m *making) set(name string, t change.ValueType, value []byte) {
	m.add(change.Op{Key: name, Action: change.Set, Type: t, Value: value, Pred: m.doc.values.ids(name, false)})
}

// count adds to the counter under a key, or makes one.
func (m *making) count(name string, exists bool, delta int64) error {
	if !exists {
		m.set(name, change.Counter, change.Number(delta))
		return nil
	}
	counters := m.doc.values.ids(name, true)
	if len(counters) == 0 {
		return fmt.Errorf("count %q: it is no counter", name)
	}
	m.add(change.Op{Key: name, Action: change.Increment, Type: change.Int, Value: change.Number(delta), Pred: counters})
	return nil
}

// text begins a text under a key, in place of what is there.
func (m *making) text(name, s string) {
	id := m.add(change.Op{Key: name, Action: change.MakeText, Pred: m.doc.values.ids(name, false)})
	m.insert(id, change.OpID{}, s)
}

// replace turns the text under a key into another one.
func (m *making) replace(name, to string) error {
	v, ok := m.doc.values.winner(name)
	if !ok || v.text == nil {
		return fmt.Errorf("replace text %q: it is no text", name)
	}
	place, remove, insert := v.text.splice(to)
	behind := change.OpID{}
	if place != nil {
		behind = place.id
	}
	for _, c := range remove {
		m.add(change.Op{Obj: v.id, Elem: c.id, Action: change.Delete, Pred: []change.OpID{c.id}})
	}
	m.insert(v.id, behind, insert)
	return nil
}

// insert types into a text, one code point after the other.
func (m *making) insert(text, behind change.OpID, s string) {
	for i, r := range s {
		behind = m.add(change.Op{
			Obj: text, Elem: behind, Insert: true, Action: change.Set, Type: change.Text, Value: []byte(s[i : i+len(string(r))]),
		})
	}
}

// change returns what was made. It depends on all heads, and on the writer's previous
// change also where another one implies it.
func (m *making) change() (*Change, error) {
	d := m.doc
	last := d.history.of(d.writer)
	deps := slices.Clone(d.heads)
	if last.seq > 0 && !slices.Contains(deps, last.hash) {
		deps = append(deps, last.hash)
		slices.SortFunc(deps, Hash.Compare)
	}
	c, err := change.Make(Change{Actor: d.writer, Seq: last.seq + 1, StartOp: m.start, Deps: deps}, m.ops)
	return &c, err
}
