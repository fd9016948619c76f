package change

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
)

// The columns of a change, in their order.
const (
	colObjActor = iota
	colObjNumber
	colKeyActor
	colKeyNumber
	colKeyText
	colInsert
	colAction
	colValueType
	colValue
	colPreds
	colPredActor
	colPred
	columnCount
)

// specs are their specifications.
var specs = [columnCount]uint64{1, 2, 17, 19, 21, 52, 66, 86, 87, 112, 113, 115}

// columns are the columns of a change; one that is not there is empty.
type columns [columnCount][]byte

// readColumns reads the column headers and the columns.
func readColumns(r *reader) (all columns, err error) {
	n, err := r.uint(columnCount, "number of columns")
	if err != nil {
		return all, err
	}
	var sizes [columnCount]uint64
	for next := 0; n > 0; n-- {
		i, size, deflated, err := readColumnHead(r, specs[:], next, MaxInflated)
		if err == nil && deflated {
			err = fmt.Errorf("column %d is compressed", specs[i])
		}
		if err != nil {
			return all, err
		}
		sizes[i], next = size, i+1
	}
	for i, size := range sizes {
		if all[i], err = r.take(size, "columns"); err != nil {
			return all, err
		}
	}
	return all, nil
}

// readColumnHead reads the head of a column, which is not before next in specs,
// and returns its place there, its length, and whether it is compressed.
func readColumnHead(r *reader, specs []uint64, next int, most uint64) (i int, size uint64, deflated bool, err error) {
	spec, err := r.uint(1<<32-1, "column specification")
	if err != nil {
		return 0, 0, false, err
	}
	if size, err = r.uint(most, "column length"); err != nil {
		return 0, 0, false, err
	}
	switch i = slices.Index(specs, spec&^deflateBit); {
	case i < 0:
		return 0, 0, false, fmt.Errorf("column %d is unknown", spec)
	case i < next:
		return 0, 0, false, fmt.Errorf("column %d is not in order", spec)
	case size == 0:
		return 0, 0, false, fmt.Errorf("column %d is empty", spec)
	}
	return i, size, spec&deflateBit != 0, nil
}

// opReader takes the columns apart into operations.
type opReader struct {
	change *Change
	next   uint64 // number of the next operation
	used   []bool // of the other actors
	named  uint64 // predecessors so far

	objActor, objNumber, keyActor, action, valueType, preds, predActor runs[uint64]
	keyNumber, pred                                                    deltas
	keyText                                                            runs[string]
	insert                                                             flags
	value                                                              reader
}

func newOpReader(c *Change) *opReader {
	numbers := func(column int) runs[uint64] {
		return runs[uint64]{rest: reader{c.columns[column]}, read: readNumber}
	}
	differences := func(column int) deltas {
		return deltas{runs: runs[int64]{rest: reader{c.columns[column]}, read: readDelta}}
	}
	return &opReader{
		change: c, next: c.StartOp, used: make([]bool, len(c.Actors)),
		objActor: numbers(colObjActor), objNumber: numbers(colObjNumber), keyActor: numbers(colKeyActor),
		action: numbers(colAction), valueType: numbers(colValueType), preds: numbers(colPreds), predActor: numbers(colPredActor),
		keyNumber: differences(colKeyNumber), pred: differences(colPred),
		keyText: runs[string]{rest: reader{c.columns[colKeyText]}, read: readText},
		insert:  flags{rest: reader{c.columns[colInsert]}}, value: reader{c.columns[colValue]},
	}
}

func (r *opReader) op() (o Op, err error) {
	o.ID = OpID{r.next, r.change.Actor}
	if o.Obj, _, err = r.id(&r.objActor, r.objNumber.next); err != nil {
		return o, fmt.Errorf("object: %w", err)
	}
	if err := r.key(&o); err != nil {
		return o, fmt.Errorf("key: %w", err)
	}
	if o.Insert, err = r.insert.next(); err != nil {
		return o, err
	}
	action, _, err := r.action.next()
	if err != nil {
		return o, fmt.Errorf("action: %w", err)
	}
	o.Action = Action(action)
	if err := r.valueOf(&o); err != nil {
		return o, fmt.Errorf("value: %w", err)
	}
	if err := r.predsOf(&o); err != nil {
		return o, fmt.Errorf("predecessors: %w", err)
	}
	r.next++
	if r.next > MaxCounter {
		return o, fmt.Errorf("operation number exceeds %d", uint64(MaxCounter))
	}
	return o, errors.Join(o.refers(), o.check())
}

// id reads one id out of its two columns; null is that both are.
func (r *opReader) id(actors *runs[uint64], number func() (uint64, bool, error)) (id OpID, ok bool, err error) {
	a, hasActor, err := actors.next()
	if err != nil {
		return id, false, err
	}
	n, hasNumber, err := number()
	if err != nil {
		return id, false, err
	}
	if !hasActor && (!hasNumber || n == 0) {
		return id, hasNumber, nil
	}
	if hasActor != hasNumber || n == 0 {
		return id, false, errAlone
	}
	id.Counter = n
	id.Actor, err = r.actor(a)
	return id, true, err
}

func (r *opReader) actor(i uint64) (a [ActorSize]byte, err error) {
	switch {
	case i == 0:
		return r.change.Actor, nil
	case i > uint64(len(r.change.Actors)):
		return a, fmt.Errorf("actor %d of %d", i, len(r.change.Actors))
	}
	r.used[i-1] = true
	return r.change.Actors[i-1], nil
}

func (r *opReader) key(o *Op) error {
	text, isText, err := r.keyText.next()
	if err != nil {
		return err
	}
	elem, isElem, err := r.id(&r.keyActor, r.keyNumber.next)
	if err != nil {
		return err
	}
	if isText == isElem || isText && text == "" {
		return errNoKey
	}
	o.Key, o.Elem = text, elem
	return nil
}

func (r *opReader) valueOf(o *Op) error {
	meta, ok, err := r.valueType.next()
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("there is none")
	}
	o.Type = ValueType(meta & 15)
	o.Value, err = r.value.take(meta>>4, "value")
	return err
}

func (r *opReader) predsOf(o *Op) error {
	n, ok, err := r.preds.next()
	if err != nil {
		return err
	}
	if !ok || n > MaxActors+1 {
		return fmt.Errorf("no number of them, or more than %d", MaxActors+1)
	}
	if r.named += n; r.named > MaxPreds {
		return fmt.Errorf("more than %d of all operations", MaxPreds)
	}
	for range n {
		id, ok, err := r.id(&r.predActor, r.pred.next)
		if err != nil {
			return err
		}
		if !ok || id.IsZero() {
			return errAlone
		}
		o.Pred = append(o.Pred, id)
	}
	return nil
}

// Ops returns the operations in their order. It ends early at the first that is
// malformed, which cannot be in a change that Parse accepted. The caller must not change
// what they refer to.
func (c *Change) Ops() iter.Seq[Op] {
	if c.ops != nil {
		return slices.Values(c.ops)
	}
	return func(yield func(Op) bool) {
		for r := newOpReader(c); r.action.more(); {
			if o, err := r.op(); err != nil || !yield(o) {
				return
			}
		}
	}
}

// readOps checks all operations, and that the columns are written as the core
// writes them: what it would write is compared with what is there. So nothing is
// accepted twice in different bytes, and nothing is left unread.
func (c *Change) readOps() error {
	r, w := newOpReader(c), opWriters.Get().(*opWriter)
	defer opWriters.Put(w)
	w.begin(c)
	for r.action.more() {
		if c.Len == MaxOps {
			return fmt.Errorf("more than %d operations", MaxOps)
		}
		o, err := r.op()
		if err != nil {
			return fmt.Errorf("operation %d: %w", c.Len, err)
		}
		w.op(&o)
		c.Len++
		c.note(&o)
	}
	if c.Len == 0 {
		return errors.New("no operations")
	}
	for _, used := range r.used {
		if !used {
			return errors.New("an actor that no operation refers to")
		}
	}
	written := w.finish()
	for i, column := range c.columns {
		if !bytes.Equal(column, written[i]) {
			return fmt.Errorf("column %d is not written as the core does", specs[i])
		}
	}
	return nil
}

// note keeps an operation while they are few.
func (c *Change) note(o *Op) {
	if c.Len <= fewOps {
		c.ops = append(c.ops, *o)
	} else {
		c.ops = nil
	}
}

// opWriter makes columns of operations.
type opWriter struct {
	own    [ActorSize]byte
	others [][ActorSize]byte // sorted

	objActor, objNumber, keyActor, action, valueType, preds, predActor runWriter[uint64]
	keyNumber, pred                                                    deltaWriter
	keyText                                                            runWriter[string]
	insert                                                             flagWriter
	value                                                              []byte

	columns columns // of the chunk that was written last
	body    []byte  // memory for a chunk
}

// opWriters are kept for the memory that they have.
var opWriters = sync.Pool{New: func() any { return newOpWriter() }}

func newOpWriter() *opWriter {
	w := &opWriter{}
	for _, n := range w.numbers() {
		n.write = appendUint
	}
	w.keyNumber.write, w.pred.write, w.keyText.write = appendInt, appendInt, writeText
	return w
}

func (w *opWriter) numbers() [7]*runWriter[uint64] {
	return [...]*runWriter[uint64]{&w.objActor, &w.objNumber, &w.keyActor, &w.action, &w.valueType, &w.preds, &w.predActor}
}

// begin makes w write the operations of c. What finish returned before is gone.
func (w *opWriter) begin(c *Change) {
	w.own, w.others = c.Actor, c.Actors
	for _, n := range w.numbers() {
		n.reset()
	}
	w.keyNumber.reset()
	w.pred.reset()
	w.keyText.reset()
	w.insert = flagWriter{out: w.insert.out[:0]}
	w.value = w.value[:0]
}

// actor returns the number of an actor, of which w.own has 0.
func (w *opWriter) actor(a [ActorSize]byte) uint64 {
	if a == w.own {
		return 0
	}
	i, _ := slices.BinarySearchFunc(w.others, a, compareActors)
	return uint64(i + 1)
}

func compareActors(a, b [ActorSize]byte) int { return bytes.Compare(a[:], b[:]) }

func (w *opWriter) op(o *Op) {
	if o.Obj.IsZero() {
		w.objActor.null()
		w.objNumber.null()
	} else {
		w.objActor.value(w.actor(o.Obj.Actor))
		w.objNumber.value(o.Obj.Counter)
	}
	w.key(o)
	w.insert.flag(o.Insert)
	w.action.value(uint64(o.Action))
	w.valueType.value(uint64(len(o.Value))<<4 | uint64(o.Type))
	w.value = append(w.value, o.Value...)
	w.preds.value(uint64(len(o.Pred)))
	for _, p := range o.Pred {
		w.predActor.value(w.actor(p.Actor))
		w.pred.number(p.Counter)
	}
}

func (w *opWriter) key(o *Op) {
	if o.Key != "" {
		w.keyText.value(o.Key)
		w.keyActor.null()
		w.keyNumber.null()
		return
	}
	w.keyText.null()
	w.keyNumber.number(o.Elem.Counter)
	if o.Elem.IsZero() {
		w.keyActor.null()
		return
	}
	w.keyActor.value(w.actor(o.Elem.Actor))
}

func (w *opWriter) finish() columns {
	return columns{
		colObjActor: w.objActor.finish(), colObjNumber: w.objNumber.finish(), colKeyActor: w.keyActor.finish(),
		colKeyNumber: w.keyNumber.finish(), colKeyText: w.keyText.finish(), colInsert: w.insert.finish(),
		colAction: w.action.finish(), colValueType: w.valueType.finish(), colValue: w.value,
		colPreds: w.preds.finish(), colPredActor: w.predActor.finish(), colPred: w.pred.finish(),
	}
}
