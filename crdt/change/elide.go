package change

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Elision leaves out of a run of changes what the receiver can make again, and
// puts what is left in columns, where a compressor finds it. The receiver rebuilds
// the very bytes of every change: the hash of each is a dependency of the next.
//
// A run is of one writer: for each of several documents the writer's changes that
// follow one another. The writer is not in it, as whoever receives it knows that
// from elsewhere; nor is what keys end with, if that is the writer's name there.

// Context is what both ends know of a run from elsewhere.
type Context struct {
	Actor  [ActorSize]byte
	Suffix string // of most keys; may be empty
}

// Place names a change of one document without its hash.
type Place struct {
	Actor [ActorSize]byte
	Seq   uint64 // from 1
}

// ErrNotElidable says that changes cannot be elided, but are no worse for that:
// they are not of one writer, do not follow one another, or are compressed.
var ErrNotElidable = errors.New("changes that cannot be elided")

// The streams of a run. Numbers in them are unsigned LEB128; of those that may be
// negative, the zigzag form.
const (
	streamCounts = iota // for each document: how many changes, and the number of the first
	streamStarts        // for each change: its StartOp, less what it is expected to be
	streamTimes
	streamDeps   // for each change: how many dependencies beside the one before
	streamHashes // of those dependencies
	streamOps    // for each change: how many operations
	streamForms  // for each operation: what it is
	streamKeys   // for each operation on a key: which, a new one or one that was there
	streamTexts  // of new keys: twice the length and whether the suffix follows; then the text
	streamTypes  // for each operation: sixteen times the length of the value, and its type
	streamValues // texts one after the other, others by type and length; see valueClasses
	streamRefs   // for each operation on a text that does not go on: object and element; each an actor and how far back
	streamPreds  // for each operation that does not go on: how many; each an actor and how far back
	streamActors // of which the writer is the first, and is left out
	streamPlaces // for each dependency that is in streamDeps, if any has a place: 0 if its hash is in streamHashes; else one more than its actor, and its number, of the writer's own how far back
	streamChecks // for each document of which a dependency has a place: the first bytes of the hash of its last change
	streamCount
)

// checkBytes is how many these are. They are not there to resist anybody: the writer
// has signed what is in the run. But what a place stands for comes from the document of
// the reader, and if that was something else once, it is for every later change.
const checkBytes = 2

// maxType is the largest number in streamTypes.
const maxType = MaxInflated<<4 | 15

// usual is what the numbers of a stream mostly are. A stream of which all numbers
// are is left out. Of streamKeys that is that every key is a new one.
var usual = map[int]uint64{streamStarts: 0, streamTimes: 0, streamOps: 1, streamForms: uint64(Set), streamPreds: 0, streamPlaces: 0}

// The form of an operation is its action, and these.
const (
	formInsert = 8
	formText   = 16 // it is on a text and not on a key
	formHead   = 32 // at the head of the text
	formOn     = 64 // it goes on where the operation before left off; see goOn
	formLast   = 127
)

// goOn sets what an operation on a text refers to if it goes on where the one before
// in the document left off: a character behind the one that was typed, or the removal
// of the one that was typed behind what was removed. Most of a text is such, and
// needs no references.
func (o *Op) goOn(before *Op) {
	o.Obj, o.Elem = before.Obj, before.ID
	if !o.Insert {
		o.Elem = OpID{before.Elem.Counter + 1, before.Elem.Actor}
		o.Pred = []OpID{o.Elem}
	}
}

// Elide returns the run of the changes of each document. Dependencies of which places
// has the place travel as that, and whoever restores the run has to know these changes;
// of all others the hash is in the run. It may be nil.
func Elide(c Context, documents [][]Change, places map[Hash]Place) ([]byte, error) {
	w := &elider{Context: c, places: places, keys: map[string]uint64{}, actors: map[[ActorSize]byte]uint64{c.Actor: 0}}
	for _, changes := range documents {
		if err := w.document(changes); err != nil {
			return nil, err
		}
	}
	w.streams[streamValues] = w.values.joined()
	return w.join(), nil
}

// join writes which streams there are, their lengths, and them.
func (w *elider) join() []byte {
	var there uint16
	var lengths []byte
	for i := range w.streams {
		if _, sparse := usual[i]; (sparse || i == streamKeys) && !w.unusual[i] {
			w.streams[i] = nil
		}
		if n := len(w.streams[i]); n > 0 {
			there |= 1 << i
			lengths = appendUint(lengths, uint64(n))
		}
	}
	out := append(binary.BigEndian.AppendUint16(nil, there), lengths...)
	return append(out, slices.Concat(w.streams[:]...)...)
}

type elider struct {
	Context
	streams [streamCount][]byte
	unusual [streamCount]bool
	keys    map[string]uint64
	actors  map[[ActorSize]byte]uint64
	values  valueClasses
	places  map[Hash]Place
	placed  bool // a dependency of this document has a place
	before  Op   // the operation before in the document, zero before the first
}

func (w *elider) put(stream int, numbers ...uint64) {
	for _, n := range numbers {
		w.streams[stream] = appendUint(w.streams[stream], n)
		w.unusual[stream] = w.unusual[stream] || n != usual[stream]
	}
}

func (w *elider) document(changes []Change) error {
	if len(changes) == 0 {
		return fmt.Errorf("%w: a document without changes", ErrNotElidable)
	}
	w.before, w.placed = Op{}, false
	w.put(streamCounts, uint64(len(changes)), changes[0].Seq)
	for i := range changes {
		c := &changes[i]
		var before *Change
		if i > 0 {
			before = &changes[i-1]
		}
		if err := w.change(c, before); err != nil {
			return err
		}
	}
	if w.placed {
		last := changes[len(changes)-1].Hash
		w.streams[streamChecks] = append(w.streams[streamChecks], last[:checkBytes]...)
	}
	return nil
}

func (w *elider) change(c, before *Change) error {
	if c.Actor != w.Actor || !bytes.Equal(c.Raw, c.Plain()) {
		return fmt.Errorf("%w: change %s is of another writer, or compressed", ErrNotElidable, c.Hash)
	}
	expected, deps := uint64(1), c.Deps
	if before != nil {
		i, found := slices.BinarySearchFunc(c.Deps, before.Hash, Hash.Compare)
		if !found || c.Seq != before.Seq+1 || c.StartOp <= before.LastOp() {
			return fmt.Errorf("%w: change %s does not follow the one before", ErrNotElidable, c.Hash)
		}
		deps = slices.Delete(slices.Clone(c.Deps), i, i+1)
		expected = before.LastOp() + 1
	}
	w.put(streamStarts, c.StartOp-expected)
	w.put(streamTimes, zigzag(c.Time))
	w.put(streamDeps, uint64(len(deps)))
	for _, d := range deps {
		w.dep(c, d)
	}
	w.put(streamOps, c.Len)
	for o := range c.Ops() {
		w.op(&o)
	}
	return nil
}

// dep writes a dependency.
func (w *elider) dep(c *Change, d Hash) {
	p, ok := w.places[d]
	own := p.Actor == c.Actor
	switch {
	case !ok || p.Seq == 0 || own && p.Seq >= c.Seq:
		w.put(streamPlaces, 0)
		w.streams[streamHashes] = append(w.streams[streamHashes], d[:]...)
		return
	case own:
		w.placeAt(0, c.Seq-p.Seq)
	default:
		w.placeAt(w.actor(p.Actor), p.Seq)
	}
	w.placed = true
}

func (w *elider) placeAt(actor, seq uint64) {
	w.unusual[streamPlaces] = true
	w.streams[streamPlaces] = appendUint(appendUint(w.streams[streamPlaces], actor+1), seq)
}

func (w *elider) op(o *Op) {
	form := uint64(o.Action)
	if o.Insert {
		form |= formInsert
	}
	switch {
	case o.Obj.IsZero():
		w.key(o.Key)
	case w.goesOn(o):
		form |= formText | formOn
	case o.Elem.IsZero():
		form |= formText | formHead
		w.ref(streamRefs, o, o.Obj)
	default:
		form |= formText
		w.ref(streamRefs, o, o.Obj)
		w.ref(streamRefs, o, o.Elem)
	}
	w.put(streamForms, form)
	number := uint64(len(o.Value))<<4 | uint64(o.Type)
	w.put(streamTypes, number)
	w.values.add(number, o.Value)
	if form&formOn == 0 {
		w.preds(o)
	}
	w.before = *o
}

func (w *elider) goesOn(o *Op) bool {
	guess := Op{Insert: o.Insert}
	guess.goOn(&w.before)
	return guess.Obj == o.Obj && guess.Elem == o.Elem && slices.Equal(guess.Pred, o.Pred)
}

func (w *elider) preds(o *Op) {
	w.put(streamPreds, uint64(len(o.Pred)))
	for _, p := range o.Pred {
		w.ref(streamPreds, o, p)
	}
}

// ref writes an id as an actor and how far back it is.
func (w *elider) ref(stream int, o *Op, id OpID) {
	w.put(stream, w.actor(id.Actor), o.ID.Counter-id.Counter)
}

// actor returns the number of an actor in streamActors.
func (w *elider) actor(a [ActorSize]byte) uint64 {
	n, known := w.actors[a]
	if !known {
		n = uint64(len(w.actors))
		w.actors[a] = n
		w.streams[streamActors] = append(w.streams[streamActors], a[:]...)
	}
	return n
}

func (w *elider) key(key string) {
	n, known := w.keys[key]
	if !known {
		n = uint64(len(w.keys))
		w.keys[key] = n
		text, ends := strings.CutSuffix(key, w.Suffix)
		head := uint64(len(text)) << 1
		if ends && w.Suffix != "" {
			head |= 1
		}
		w.put(streamTexts, head)
		w.streams[streamTexts] = append(w.streams[streamTexts], text...)
	}
	w.streams[streamKeys] = appendUint(w.streams[streamKeys], n)
	w.unusual[streamKeys] = w.unusual[streamKeys] || known
}

// valueClasses are values by type and length, and all texts as one class. What is
// the same in all values of a class stands together, but for texts: of these the
// characters are what a compressor finds.
type valueClasses struct {
	order  []uint64
	values map[uint64][][]byte
}

// classOf returns the class of a value with this number in streamTypes.
func classOf(number uint64) uint64 {
	if ValueType(number&15) == Text {
		return uint64(Text)
	}
	return number
}

func (v *valueClasses) add(number uint64, value []byte) {
	if v.values == nil {
		v.values = map[uint64][][]byte{}
	}
	class := classOf(number)
	if _, known := v.values[class]; !known {
		v.order = append(v.order, class)
	}
	v.values[class] = append(v.values[class], value)
}

// joined returns the values of each class: all first bytes, all second ones and so
// on, and texts as they are.
func (v *valueClasses) joined() (out []byte) {
	for _, class := range v.order {
		all := v.values[class]
		if class == uint64(Text) {
			out = append(out, slices.Concat(all...)...)
			continue
		}
		for i := range class >> 4 {
			for _, value := range all {
				out = append(out, value[i])
			}
		}
	}
	return out
}

func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }
