package change

import (
	"bytes"
	"cmp"
	"compress/flate"
	"errors"
	"fmt"
	"slices"
)

var (
	errGap     = errors.New("operations that are of no change, or missing of one")
	errSeq     = errors.New("the sequence numbers of a writer have a gap or repeat")
	errReplace = errors.New("an operation replaces what is of another object or key, or no value")
)

// assign finds the operations of each change: those of its actor with numbers above
// those of its change before, up to its last one. They have no gaps. An operation
// that only links lead to is a deletion.
func (s *savedDocument) assign() error {
	s.byID = make([]rowID, len(s.rows))
	for i := range s.rows {
		s.byID[i] = rowID{s.rows[i].id.byActor(), uint32(i)}
	}
	slices.SortFunc(s.byID, func(a, b rowID) int { return cmp.Compare(a.id, b.id) })
	slices.SortFunc(s.links, func(a, b link) int { return cmp.Or(cmp.Compare(a.to, b.to), cmp.Compare(a.from, b.from)) })
	w := walk{s: s, rows: span{0, len(s.byID)}, links: span{0, len(s.links)}}
	for actor, changes := range s.changesByActor() {
		if len(changes) == 0 {
			return fmt.Errorf("actor %x made no change", s.actors[actor])
		}
		for i, place := range changes {
			c := &s.changes[place]
			if c.seq != uint64(i)+1 {
				return errSeq
			}
			if err := w.change(c); err != nil {
				return err
			}
		}
	}
	if w.more() {
		return errGap
	}
	return nil
}

// changesByActor returns the places of the changes of each actor.
func (s *savedDocument) changesByActor() [][]uint32 {
	ends := make([]int, len(s.actors)+1)
	for i := range s.changes {
		ends[s.changes[i].actor+1]++
	}
	for a := range s.actors {
		ends[a+1] += ends[a]
	}
	all := make([]uint32, len(s.changes))
	out := make([][]uint32, len(s.actors))
	for a := range out {
		out[a] = all[ends[a]:ends[a]:ends[a+1]]
	}
	for i := range s.changes {
		a := s.changes[i].actor
		out[a] = append(out[a], uint32(i))
	}
	return out
}

// walk goes over operations in the order of their ids by actor.
type walk struct {
	s           *savedDocument
	rows, links span // that are left
}

func (w *walk) more() bool { return w.rows.from < w.rows.to || w.links.from < w.links.to }

// next returns the id of the next operation, its row if it is not a deletion, and
// the links that lead to it.
func (w *walk) next() (id uint64, o *row, links []link) {
	s := w.s
	id = ^uint64(0)
	if w.links.from < w.links.to {
		id = s.links[w.links.from].to
	}
	if w.rows.from < w.rows.to && s.byID[w.rows.from].id <= id {
		id, o = s.byID[w.rows.from].id, &s.rows[s.byID[w.rows.from].row]
		w.rows.from++
	}
	from := w.links.from
	for w.links.from < w.links.to && s.links[w.links.from].to == id {
		w.links.from++
	}
	return id, o, s.links[from:w.links.from]
}

// change takes the operations of c off.
func (w *walk) change(c *savedChange) error {
	last := uint64(c.actor)<<32 | c.lastOp
	c.rows.from, c.links.from = w.rows.from, w.links.from
	for before := uint64(0); before != last; {
		if !w.more() {
			return errGap
		}
		id, _, _ := w.next()
		if before == 0 {
			c.firstOp = id & MaxCounter
		}
		if before != 0 && id != before+1 || id > last || id>>32 != uint64(c.actor) {
			return errGap
		}
		before = id
	}
	c.rows.to, c.links.to = w.rows.from, w.links.from
	return nil
}

// build makes the changes, each behind its dependencies, whose hashes it has.
func (s *savedDocument) build() ([]Change, error) {
	b := &changeBuilder{s: s, writer: opWriters.Get().(*opWriter), used: make([]int, len(s.actors))}
	defer opWriters.Put(b.writer)
	changes := make([]Change, len(s.changes))
	deps := s.deps
	for i := range changes {
		n := s.changes[i].deps
		if err := b.deps(changes, i, deps[:n]); err != nil {
			return nil, fmt.Errorf("change %d: %w", i, err)
		}
		deps = deps[n:]
		if err := b.change(&changes[i], i); err != nil {
			return nil, fmt.Errorf("change %d: %w", i, err)
		}
	}
	return changes, nil
}

// changeBuilder makes changes one after the other.
type changeBuilder struct {
	s      *savedDocument
	writer *opWriter
	ops    []Op
	preds  []OpID
	used   []int    // of each actor, one more than the last change that refers to it
	others []uint64 // actors that the change refers to
}

func (b *changeBuilder) deps(changes []Change, i int, places []uint32) error {
	c := &changes[i]
	c.Deps = make([]Hash, len(places))
	for k, place := range places {
		c.Deps[k] = changes[place].Hash
		if k > 0 && c.Deps[k-1].Compare(c.Deps[k]) >= 0 {
			return errors.New("dependencies are not sorted or repeat")
		}
	}
	return nil
}

// change makes c, whose dependencies are set, of the one at this place.
func (b *changeBuilder) change(c *Change, place int) error {
	from := &b.s.changes[place]
	c.Actor, c.Seq, c.StartOp, c.Time = b.s.actors[from.actor], from.seq, from.firstOp, from.time
	c.Len = from.lastOp - from.firstOp + 1
	if c.Len > MaxOps || from.lastOp == MaxCounter || from.links.to-from.links.from > MaxPreds {
		return errors.New("more operations or predecessors than a change may have")
	}
	if err := b.operations(from, place+1); err != nil {
		return err
	}
	slices.Sort(b.others)
	for _, a := range b.others {
		c.Actors = append(c.Actors, b.s.actors[a])
	}
	if len(c.Actors) > MaxActors {
		return fmt.Errorf("more than %d other actors", MaxActors)
	}
	return b.writer.write(c, b.ops)
}

// operations makes the operations of a change, and finds which actors they refer to.
func (b *changeBuilder) operations(from *savedChange, mark int) error {
	b.ops, b.preds, b.others = b.ops[:0], b.preds[:0], b.others[:0]
	b.used[from.actor] = mark
	key := ""
	for w := (walk{s: b.s, rows: from.rows, links: from.links}); w.more(); {
		known := len(b.others)
		id, o, links := w.next()
		if o == nil {
			o = b.s.deletion(links)
		}
		b.ops = append(b.ops, Op{})
		op := &b.ops[len(b.ops)-1]
		op.ID = OpID{id & MaxCounter, b.s.actors[from.actor]}
		op.Obj, op.Key, op.Elem, op.Insert = b.id(o.obj, mark), o.key, b.id(o.elem, mark), o.insert
		op.Action, op.Type, op.Value = Action(o.action), o.typ, o.value
		if err := b.predsOf(op, o, links, mark); err != nil {
			return err
		}
		if err := errors.Join(op.refers(), op.check()); err != nil {
			return fmt.Errorf("operation %d: %w", op.ID.Counter, err)
		}
		size := 8 + len(o.value) + 2*len(links) + ActorSize*(len(b.others)-known)
		if o.key != key { // a key that repeats takes no more
			key = o.key
			size += len(key)
		}
		if err := b.s.spend(size); err != nil {
			return err
		}
	}
	return nil
}

// deletion returns the row that the document would have for a deletion.
func (s *savedDocument) deletion(links []link) *row {
	first := &s.rows[links[0].from]
	if first.obj == 0 {
		return &row{key: first.key, action: uint8(Delete)}
	}
	return &row{obj: first.obj, elem: first.id, action: uint8(Delete)}
}

// predsOf sets the predecessors of op. They stand in the order of their ids, as rows
// of one key do.
func (b *changeBuilder) predsOf(op *Op, o *row, links []link, mark int) error {
	if len(links) > MaxActors+1 {
		return fmt.Errorf("more than %d predecessors", MaxActors+1)
	}
	first := len(b.preds)
	for _, l := range links {
		p := &b.s.rows[l.from]
		if p.obj != o.obj || p.key != o.key || p.action == uint8(Increment) {
			return errReplace
		}
		b.preds = append(b.preds, b.id(p.id, mark))
	}
	op.Pred = b.preds[first:]
	return nil
}

// id unpacks an id, and notes its actor.
func (b *changeBuilder) id(p packedID, mark int) (id OpID) {
	if p == 0 {
		return id
	}
	if a := p.actor(); b.used[a] != mark {
		b.used[a] = mark
		b.others = append(b.others, a)
	}
	return OpID{p.number(), b.s.actors[p.actor()]}
}

// parseDeflated returns a change that is too large to be exchanged unless it is
// compressed.
func parseDeflated(plain []byte) (Change, error) {
	r := reader{plain[len(magic)+checksumSize+1:]}
	body, err := r.bytes(MaxInflated, "change")
	if err != nil {
		return Change{}, err
	}
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		return Change{}, err
	}
	if _, err := z.Write(body); err != nil {
		return Change{}, err
	}
	if err := z.Close(); err != nil {
		return Change{}, err
	}
	raw := append(slices.Clone(plain[:len(magic)+checksumSize]), typeDeflated)
	return parse(append(appendUint(raw, uint64(packed.Len())), packed.Bytes()...))
}
