package change

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Restore returns the changes of each document, as Elide was given them: their
// bytes take at most limit together. Every change was parsed. Errors wrap
// ErrMalformed.
func Restore(c Context, run []byte, limit int) ([][]Change, error) {
	r := &restorer{Context: c, actors: [][ActorSize]byte{c.Actor}, left: limit}
	documents, err := r.run(run)
	if err != nil {
		return nil, fmt.Errorf("restore changes: %w: %w", ErrMalformed, err)
	}
	return documents, nil
}

type restorer struct {
	Context
	streams [streamCount]reader
	there   [streamCount]bool
	keys    []string
	actors  [][ActorSize]byte
	values  map[uint64]*valueColumn
	before  Op  // the operation before in the document, zero before the first
	left    int // bytes that changes may still take
}

// valueColumn are the values of one class.
type valueColumn struct {
	size  uint64 // bytes of all
	bytes []byte // texts as they are, others all first bytes, all second ones and so on
	count int
	next  int // of bytes
}

func (r *restorer) run(run []byte) (documents [][]Change, err error) {
	if err := r.split(run); err != nil {
		return nil, err
	}
	if err := r.classes(); err != nil {
		return nil, err
	}
	for len(r.streams[streamCounts].rest) > 0 {
		changes, err := r.document()
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", len(documents), err)
		}
		documents = append(documents, changes)
	}
	for i := range r.streams {
		if err := r.streams[i].end(fmt.Sprint("stream ", i)); err != nil {
			return nil, err
		}
	}
	if len(documents) == 0 {
		return nil, errors.New("no documents")
	}
	return documents, nil
}

// split finds the streams.
func (r *restorer) split(run []byte) error {
	in := reader{run}
	head, err := in.take(2, "head of the run")
	if err != nil {
		return err
	}
	there := binary.BigEndian.Uint16(head)
	if there>>streamCount != 0 {
		return errors.New("a stream that is not known")
	}
	var sizes [streamCount]uint64
	for i := range sizes {
		if r.there[i] = there>>i&1 != 0; !r.there[i] {
			continue
		}
		if sizes[i], err = in.uint(uint64(len(run)), "length of a stream"); err != nil {
			return err
		}
	}
	for i, n := range sizes {
		b, err := in.take(n, "stream")
		if err != nil {
			return err
		}
		r.streams[i] = reader{b}
	}
	for a := r.streams[streamActors]; len(a.rest) > 0; {
		b, err := a.take(ActorSize, "actor")
		if err != nil {
			return err
		}
		r.actors = append(r.actors, [ActorSize]byte(b))
	}
	r.streams[streamActors] = reader{}
	return in.end("the streams")
}

// classes finds the values of each class.
func (r *restorer) classes() error {
	r.values = map[uint64]*valueColumn{}
	var order []*valueColumn
	for types := r.streams[streamTypes]; len(types.rest) > 0; {
		number, err := types.uint(maxType, "type of a value")
		if err != nil {
			return err
		}
		class := classOf(number)
		v := r.values[class]
		if v == nil {
			v = &valueColumn{}
			r.values[class], order = v, append(order, v)
		}
		v.size += number >> 4
		v.count++
	}
	all := &r.streams[streamValues]
	for _, v := range order {
		var err error
		if v.bytes, err = all.take(v.size, "values"); err != nil {
			return err
		}
	}
	return nil
}

// value returns the next value with this number in streamTypes.
func (r *restorer) value(number uint64) []byte {
	v, size := r.values[classOf(number)], int(number>>4)
	start := v.next
	if classOf(number) == uint64(Text) {
		v.next += size
		return v.bytes[start:v.next]
	}
	v.next++
	out := make([]byte, 0, size)
	for i := start; i < len(v.bytes); i += v.count {
		out = append(out, v.bytes[i])
	}
	return out
}

func (r *restorer) number(stream int, limit uint64) (uint64, error) {
	if n, sparse := usual[stream]; sparse && !r.there[stream] {
		return n, nil
	}
	return r.streams[stream].uint(limit, fmt.Sprint("stream ", stream))
}

func (r *restorer) document() (changes []Change, err error) {
	n, err := r.number(streamCounts, MaxCounter)
	if err != nil {
		return nil, err
	}
	seq, err := r.number(streamCounts, MaxCounter)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errors.New("no changes")
	}
	var before *Change
	r.before = Op{}
	for i := range n {
		c, err := r.change(seq+i, before)
		if err != nil {
			return nil, fmt.Errorf("change %d: %w", i, err)
		}
		changes = append(changes, c)
		before = &c
	}
	return changes, nil
}

func (r *restorer) change(seq uint64, before *Change) (Change, error) {
	c := Change{Actor: r.Actor, Seq: seq, StartOp: 1}
	if before != nil {
		c.StartOp = before.LastOp() + 1
		c.Deps = append(c.Deps, before.Hash)
	}
	ahead, err := r.number(streamStarts, MaxCounter)
	if err != nil {
		return c, err
	}
	c.StartOp += ahead
	time, err := r.number(streamTimes, 1<<64-1)
	if err != nil {
		return c, err
	}
	c.Time = unzigzag(time)
	if err := r.deps(&c); err != nil {
		return c, err
	}
	ops, err := r.ops(&c)
	if err != nil {
		return c, err
	}
	return Make(c, ops)
}

// spend counts what a change takes before it is made.
func (r *restorer) spend(n int) error {
	if r.left -= n; r.left < 0 {
		return errors.New("more bytes than are allowed")
	}
	return nil
}

func (r *restorer) deps(c *Change) error {
	n, err := r.number(streamDeps, MaxDeps)
	if err != nil {
		return err
	}
	for range n {
		b, err := r.streams[streamHashes].take(uint64(len(Hash{})), "dependency")
		if err != nil {
			return err
		}
		c.Deps = append(c.Deps, Hash(b))
	}
	slices.SortFunc(c.Deps, Hash.Compare)
	return r.spend(64 + len(c.Deps)*len(Hash{}))
}

func (r *restorer) ops(c *Change) (ops []Op, err error) {
	n, err := r.number(streamOps, MaxOps)
	if err != nil {
		return nil, err
	}
	if n > uint64(len(r.streams[streamTypes].rest)) {
		return nil, errors.New("more operations than there are")
	}
	for i := range n {
		o := Op{ID: OpID{c.StartOp + i, c.Actor}}
		if err := r.op(&o); err != nil {
			return nil, fmt.Errorf("operation %d: %w", i, err)
		}
		if err := r.spend(8 + len(o.Key) + len(o.Value)); err != nil {
			return nil, err
		}
		ops = append(ops, o)
		r.before = o
	}
	return ops, nil
}

func (r *restorer) op(o *Op) (err error) {
	form, err := r.number(streamForms, formLast)
	if err != nil {
		return err
	}
	o.Action, o.Insert = Action(form&7), form&formInsert != 0
	if err := r.place(o, form&^(7|formInsert)); err != nil {
		return err
	}
	number, err := r.number(streamTypes, maxType)
	if err != nil {
		return err
	}
	o.Type, o.Value = ValueType(number&15), r.value(number)
	if form&formOn == 0 {
		err = r.preds(o)
	}
	return err
}

// place sets what o is on.
func (r *restorer) place(o *Op, form uint64) (err error) {
	switch form {
	case 0:
		o.Key, err = r.key()
	case formText | formOn:
		o.goOn(&r.before)
	case formText | formHead:
		o.Obj, err = r.ref(streamRefs, o)
	case formText:
		if o.Obj, err = r.ref(streamRefs, o); err == nil {
			o.Elem, err = r.ref(streamRefs, o)
		}
	default:
		err = errForm
	}
	return err
}

func (r *restorer) preds(o *Op) error {
	n, err := r.number(streamPreds, MaxActors+1)
	if err != nil {
		return err
	}
	for range n {
		p, err := r.ref(streamPreds, o)
		if err != nil {
			return err
		}
		o.Pred = append(o.Pred, p)
	}
	return r.spend(2 * len(o.Pred))
}

func (r *restorer) ref(stream int, o *Op) (id OpID, err error) {
	actor, err := r.number(stream, uint64(len(r.actors)-1))
	if err != nil {
		return id, err
	}
	back, err := r.number(stream, MaxCounter)
	if err != nil {
		return id, err
	}
	if back == 0 || back >= o.ID.Counter {
		return id, errForward
	}
	return OpID{o.ID.Counter - back, r.actors[actor]}, nil
}

func (r *restorer) key() (string, error) {
	n := uint64(len(r.keys))
	if r.there[streamKeys] {
		var err error
		if n, err = r.number(streamKeys, n); err != nil {
			return "", err
		}
	}
	if n == uint64(len(r.keys)) {
		head, err := r.number(streamTexts, MaxInflated<<1|1)
		if err != nil {
			return "", err
		}
		text, err := r.streams[streamTexts].take(head>>1, "key")
		if err != nil {
			return "", err
		}
		key := string(text)
		if head&1 != 0 {
			key += r.Suffix
		}
		r.keys = append(r.keys, key)
	}
	return r.keys[n], nil
}

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }
