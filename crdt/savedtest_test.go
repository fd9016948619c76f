package crdt

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/change/savedtest"
)

// written is a change and its operations, which need not be such as Parse accepts.
type written struct {
	Change
	ops []change.Op
}

func writtenOf(changes []Change) (out []written) {
	for _, c := range changes {
		out = append(out, written{c, slices.Collect(c.Ops())})
	}
	return out
}

// documentOf writes changes as a saved document, as the core does: another way to
// the same bytes than back from them. Of each it takes the hash as it stands.
func documentOf(changes []written) *savedtest.Document {
	w := &savedWriter{places: map[Writer]int{}, next: map[change.OpID][]change.OpID{}, texts: map[change.OpID][]change.Op{}}
	for _, c := range changes {
		w.places[c.Actor] = 0
	}
	d := &savedtest.Document{}
	for i, a := range slices.SortedFunc(maps.Keys(w.places), Writer.Compare) {
		w.places[a] = i
		d.Actors = append(d.Actors, a[:])
	}
	d.Changes = w.changes(changes)
	w.heads(d, changes)
	for _, c := range changes {
		for _, o := range c.ops {
			w.op(o)
		}
	}
	slices.SortFunc(w.root, func(a, b change.Op) int { return cmp.Or(cmp.Compare(a.Key, b.Key), a.ID.Compare(b.ID)) })
	for _, o := range w.root {
		d.Ops = append(d.Ops, w.row(o))
	}
	for _, id := range slices.SortedFunc(maps.Keys(w.texts), change.OpID.Compare) {
		d.Ops = w.text(d.Ops, w.texts[id], change.OpID{})
	}
	return d
}

type savedWriter struct {
	places map[Writer]int
	next   map[change.OpID][]change.OpID
	root   []change.Op
	texts  map[change.OpID][]change.Op // characters
}

func (w *savedWriter) id(o change.OpID) savedtest.ID {
	if o.IsZero() {
		return savedtest.ID{}
	}
	return savedtest.ID{Number: int64(o.Counter), Actor: w.places[o.Actor]}
}

func (w *savedWriter) op(o change.Op) {
	for _, p := range o.Pred {
		w.next[p] = append(w.next[p], o.ID)
	}
	switch {
	case o.Action == change.Delete:
	case o.Obj.IsZero():
		w.root = append(w.root, o)
	default:
		w.texts[o.Obj] = append(w.texts[o.Obj], o)
	}
}

func (w *savedWriter) row(o change.Op) savedtest.Op {
	row := savedtest.Op{
		ID: w.id(o.ID), Obj: w.id(o.Obj), Elem: w.id(o.Elem), Key: o.Key, Insert: o.Insert,
		Action: uint64(o.Action), Type: uint64(o.Type), Value: o.Value,
	}
	next := w.next[o.ID]
	slices.SortFunc(next, change.OpID.Compare)
	for _, n := range next {
		row.Next = append(row.Next, w.id(n))
	}
	return row
}

// text writes the characters behind one, later ones first, each with what is behind
// it.
func (w *savedWriter) text(rows []savedtest.Op, all []change.Op, behind change.OpID) []savedtest.Op {
	var here []change.Op
	for _, o := range all {
		if o.Elem == behind {
			here = append(here, o)
		}
	}
	slices.SortFunc(here, func(a, b change.Op) int { return b.ID.Compare(a.ID) })
	for _, o := range here {
		rows = w.text(append(rows, w.row(o)), all, o.ID)
	}
	return rows
}

func (w *savedWriter) changes(changes []written) (out []savedtest.Change) {
	places := map[Hash]int64{}
	for i, c := range changes {
		places[c.Hash] = int64(i)
		row := savedtest.Change{Actor: w.places[c.Actor], Seq: int64(c.Seq), LastOp: int64(c.StartOp) + int64(len(c.ops)) - 1, Time: c.Time, Extra: 7}
		for _, dep := range c.Deps {
			row.Deps = append(row.Deps, places[dep])
		}
		out = append(out, row)
	}
	return out
}

func (w *savedWriter) heads(d *savedtest.Document, changes []written) {
	heads := map[Hash]uint64{}
	for i, c := range changes {
		heads[c.Hash] = uint64(i)
		for _, dep := range c.Deps {
			delete(heads, dep)
		}
	}
	for _, h := range slices.SortedFunc(maps.Keys(heads), Hash.Compare) {
		d.Heads = append(d.Heads, bytes.Clone(h[:]))
		d.Places = append(d.Places, heads[h])
	}
}
