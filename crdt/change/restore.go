package change

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Restore returns the changes of each document, as Elide was given them without
// places. Their bytes take at most limit together. Every change is what Parse would
// return. Errors wrap ErrMalformed.
func Restore(c Context, run []byte, limit int) ([][]Change, error) {
	runs, err := Open(c, run, limit)
	if err != nil {
		return nil, err
	}
	documents := make([][]Change, len(runs))
	for i := range runs {
		if documents[i], err = runs[i].Changes(nil); err != nil {
			return nil, err
		}
	}
	return documents, nil
}

// Open reads a run, and returns what it says of each document. What the bytes of all
// changes take is at most limit. Errors wrap ErrMalformed.
func Open(c Context, run []byte, limit int) ([]Run, error) {
	r := &restorer{Context: c, actors: [][ActorSize]byte{c.Actor}, left: limit}
	runs, err := r.run(run)
	if err != nil {
		return nil, fmt.Errorf("restore changes: %w: %w", ErrMalformed, err)
	}
	return runs, nil
}

// Run is changes of one document that one writer made one after the other, as they
// travel.
type Run struct {
	changes []elided
	placed  bool // a dependency has a place
	check   [checkBytes]byte
}

// elided is a change without its hash.
type elided struct {
	change Change // with dependencies that it has the hashes of
	before bool   // the change before is a dependency
	places []Place
	ops    []Op
}

// ErrUnknownChange says that a change depends on one that whoever restores it does not
// know.
var ErrUnknownChange = errors.New("a change depends on one that is not there")

// Len returns the number of changes.
func (r *Run) Len() int { return len(r.changes) }

// Last returns the number of the last change.
func (r *Run) Last() uint64 { return r.changes[len(r.changes)-1].change.Seq }

// Placed says whether Changes has to know what changes depend on.
func (r *Run) Placed() bool { return r.placed }

// Changes makes the changes. Known returns the hash of a change that was made before,
// of this document; it may be nil if none has a place. Errors wrap ErrUnknownChange, or
// ErrMalformed.
func (r *Run) Changes(known func(Place) (Hash, bool)) ([]Change, error) {
	all := make([]Change, 0, len(r.changes))
	for i := range r.changes {
		e := &r.changes[i]
		c := e.change
		c.Deps = slices.Clone(c.Deps)
		if e.before {
			c.Deps = append(c.Deps, all[i-1].Hash)
		}
		for _, p := range e.places {
			hash, ok := Hash{}, false
			if known != nil {
				hash, ok = known(p)
			}
			if !ok {
				return nil, fmt.Errorf("restore change %d of %x: %w: number %d of %x", c.Seq, c.Actor, ErrUnknownChange, p.Seq, p.Actor)
			}
			c.Deps = append(c.Deps, hash)
		}
		slices.SortFunc(c.Deps, Hash.Compare)
		made, err := Make(c, e.ops)
		if err != nil {
			return nil, fmt.Errorf("restore changes: %w", err)
		}
		all = append(all, made)
	}
	if last := all[len(all)-1].Hash; r.placed && [checkBytes]byte(last[:checkBytes]) != r.check {
		return nil, fmt.Errorf("restore change %d of %x: %w: it follows other changes than these", r.Last(), all[0].Actor, ErrMalformed)
	}
	return all, nil
}

// streamNames are what errors call the streams.
var streamNames = func() (names [streamCount]string) {
	for i := range names {
		names[i] = fmt.Sprint("stream ", i)
	}
	return names
}()

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

func (r *restorer) run(run []byte) (documents []Run, err error) {
	if err := r.split(run); err != nil {
		return nil, err
	}
	if err := r.classes(); err != nil {
		return nil, err
	}
	for len(r.streams[streamCounts].rest) > 0 {
		one, err := r.document()
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", len(documents), err)
		}
		documents = append(documents, one)
	}
	for i := range r.streams {
		if err := r.streams[i].end(streamNames[i]); err != nil {
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
	return r.streams[stream].uint(limit, streamNames[stream])
}

func (r *restorer) document() (run Run, err error) {
	n, err := r.number(streamCounts, MaxCounter)
	if err != nil {
		return run, err
	}
	seq, err := r.number(streamCounts, MaxCounter)
	if err != nil {
		return run, err
	}
	if n == 0 {
		return run, errors.New("no changes")
	}
	r.before = Op{}
	next := uint64(1) // the number of an operation
	for i := range n {
		e := elided{change: Change{Actor: r.Actor, Seq: seq + i, StartOp: next}, before: i > 0}
		if err := r.change(&e); err != nil {
			return run, fmt.Errorf("change %d: %w", i, err)
		}
		next = e.change.StartOp + uint64(len(e.ops))
		run.changes = append(run.changes, e)
		run.placed = run.placed || len(e.places) > 0
	}
	if run.placed {
		b, err := r.streams[streamChecks].take(checkBytes, "check of a document")
		if err != nil {
			return run, err
		}
		run.check = [checkBytes]byte(b)
	}
	return run, nil
}

func (r *restorer) change(e *elided) error {
	c := &e.change
	ahead, err := r.number(streamStarts, MaxCounter)
	if err != nil {
		return err
	}
	c.StartOp += ahead
	time, err := r.number(streamTimes, 1<<64-1)
	if err != nil {
		return err
	}
	c.Time = unzigzag(time)
	if err := r.deps(e); err != nil {
		return err
	}
	e.ops, err = r.ops(c)
	return err
}

// spend counts what a change takes before it is made.
func (r *restorer) spend(n int) error {
	if r.left -= n; r.left < 0 {
		return errors.New("more bytes than are allowed")
	}
	return nil
}

func (r *restorer) deps(e *elided) error {
	n, err := r.number(streamDeps, MaxDeps)
	if err != nil {
		return err
	}
	for range n {
		actor, err := r.number(streamPlaces, uint64(len(r.actors)))
		if err != nil {
			return err
		}
		if actor == 0 {
			b, err := r.streams[streamHashes].take(uint64(len(Hash{})), "dependency")
			if err != nil {
				return err
			}
			e.change.Deps = append(e.change.Deps, Hash(b))
			continue
		}
		p := Place{Actor: r.actors[actor-1]}
		if p.Seq, err = r.number(streamPlaces, MaxCounter); err != nil {
			return err
		}
		if actor == 1 {
			p.Seq = e.change.Seq - p.Seq
		}
		if p.Seq == 0 || p.Seq > MaxCounter || actor == 1 && p.Seq >= e.change.Seq {
			return errors.New("a dependency that is no earlier change")
		}
		e.places = append(e.places, p)
	}
	if e.before {
		n++
	}
	return r.spend(64 + int(n)*len(Hash{}))
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
