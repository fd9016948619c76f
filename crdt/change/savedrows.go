package change

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// packedID is the id of an operation in a saved document: its number, and the
// place of its actor. Packed ids are in the order of ids, as actors are sorted.
// 0 is the root, or the place before the first character.
type packedID uint64

const packedActorBits = 16

func pack(number int64, actor uint64) packedID {
	return packedID(uint64(number)<<packedActorBits | actor)
}

func (p packedID) number() uint64 { return uint64(p) >> packedActorBits }
func (p packedID) actor() uint64  { return uint64(p) & (1<<packedActorBits - 1) }

// byActor returns a number that orders ids by actor first, as the operations of one
// change follow one another then.
func (p packedID) byActor() uint64 { return p.actor()<<32 | p.number() }

// row is an operation of a saved document, which has all but deletions.
type row struct {
	id, obj, elem packedID
	key           string
	value         []byte
	action        uint8
	typ           ValueType
	insert        bool
}

// rowID is the id of a row, by actor.
type rowID struct {
	id  uint64
	row uint32
}

// link says that the row from is a predecessor of the operation to.
type link struct {
	to   uint64 // its id, by actor
	from uint32 // the row
}

// rowReader takes the columns of operations apart.
type rowReader struct {
	s *savedDocument

	objActor, objNumber, keyActor, actor, action, valueType, nexts, nextActor exact[uint64]
	keyNumber, number, next                                                   exactDeltas
	keyText                                                                   exact[string]
	insert                                                                    exactFlags
	value                                                                     reader
}

func newRowReader(s *savedDocument) *rowReader {
	numbers := func(column int) exact[uint64] {
		return exact[uint64]{rest: reader{s.opColumns[column]}, read: readNumber, most: MaxSavedOps}
	}
	deltas := func(column int) exactDeltas {
		values := exact[int64]{rest: reader{s.opColumns[column]}, read: readDelta, most: MaxSavedOps}
		return exactDeltas{exact: values, high: MaxCounter}
	}
	return &rowReader{
		s:        s,
		objActor: numbers(rowObjActor), objNumber: numbers(rowObjNumber), keyActor: numbers(rowKeyActor), actor: numbers(rowActor),
		action: numbers(rowAction), valueType: numbers(rowValueType), nexts: numbers(rowNexts), nextActor: numbers(rowNextActor),
		keyNumber: deltas(rowKeyNumber), number: deltas(rowNumber), next: deltas(rowNext),
		keyText: exact[string]{rest: reader{s.opColumns[rowKeyText]}, read: textsOf(s.opColumns[rowKeyText]), most: MaxSavedOps},
		insert:  exactFlags{rest: reader{s.opColumns[rowInsert]}, most: MaxSavedOps},
		value:   reader{s.opColumns[rowValue]},
	}
}

// textsOf returns what reads the texts of a column, all of which are in one string.
func textsOf(column []byte) func(*reader) (string, error) {
	all := string(column)
	return func(r *reader) (string, error) {
		b, err := r.bytes(MaxInflated, "text")
		if err == nil && !utf8.Valid(b) {
			err = errors.New("text is not UTF-8")
		}
		end := len(all) - len(r.rest)
		return all[end-len(b) : end], err
	}
}

// readRows takes the columns of operations apart, and checks their order.
func (s *savedDocument) readRows() error {
	r := newRowReader(s)
	order := rowOrder{texts: map[packedID]bool{}}
	s.rows = make([]row, 0, len(s.changes)) // each has one at least, or a deletion
	for r.action.left > 0 || len(r.action.rest.rest) > 0 {
		if len(s.rows) == MaxSavedOps {
			return fmt.Errorf("more than %d", MaxSavedOps)
		}
		o, err := r.row()
		if err == nil {
			err = order.next(&o)
		}
		if err == nil {
			err = r.links(o.id)
		}
		if err != nil {
			return fmt.Errorf("operation %d: %w", len(s.rows), err)
		}
		s.rows = append(s.rows, o)
	}
	return r.end()
}

func (r *rowReader) end() error {
	return errors.Join(r.objActor.end(), r.objNumber.end(), r.keyActor.end(), r.actor.end(), r.action.end(), r.valueType.end(),
		r.nexts.end(), r.nextActor.end(), r.keyNumber.end(), r.number.end(), r.next.end(), r.keyText.end(), r.insert.end(), r.value.end("the last value"))
}

func (r *rowReader) row() (o row, err error) {
	number, ok, err := r.objNumber.next()
	if err != nil {
		return o, fmt.Errorf("object: %w", err)
	}
	if o.obj, err = r.id(&r.objActor, int64(number), ok); err == nil && ok && o.obj == 0 {
		err = errAlone
	}
	if err != nil {
		return o, fmt.Errorf("object: %w", err)
	}
	if err := r.key(&o); err != nil {
		return o, fmt.Errorf("key: %w", err)
	}
	if o.id, err = r.delta(&r.actor, &r.number); err == nil && o.id == 0 {
		err = errAlone
	}
	if err != nil {
		return o, fmt.Errorf("id: %w", err)
	}
	if o.insert, err = r.insert.next(); err != nil {
		return o, err
	}
	action, err := present(r.action.next())
	if err != nil {
		return o, fmt.Errorf("action: %w", err)
	}
	if action > math.MaxUint8 {
		return o, fmt.Errorf("action %d is not used", action)
	}
	o.action = uint8(action)
	return o, r.valueOf(&o)
}

// delta reads an id of which the number is a difference.
func (r *rowReader) delta(actors *exact[uint64], numbers *exactDeltas) (packedID, error) {
	number, ok, err := numbers.next()
	if err != nil {
		return 0, err
	}
	return r.id(actors, number, ok)
}

// id returns an id of which the number is known, if there is one. It is 0 if there
// is neither number nor actor, or the number is 0 and alone.
func (r *rowReader) id(actors *exact[uint64], number int64, hasNumber bool) (packedID, error) {
	actor, hasActor, err := actors.next()
	switch {
	case err != nil:
		return 0, err
	case hasActor != (hasNumber && number > 0):
		return 0, errAlone
	case !hasActor:
		return 0, nil
	case number > MaxCounter:
		return 0, fmt.Errorf("number %d exceeds %d", number, int64(MaxCounter))
	case actor >= uint64(len(r.s.actors)):
		return 0, fmt.Errorf("actor %d of %d", actor, len(r.s.actors))
	}
	return pack(number, actor), nil
}

func (r *rowReader) key(o *row) error {
	text, isText, err := r.keyText.next()
	if err != nil {
		return err
	}
	number, isElem, err := r.keyNumber.next()
	if err != nil {
		return err
	}
	if isText == isElem || isText && text == "" {
		return errNoKey
	}
	o.key = text
	o.elem, err = r.id(&r.keyActor, number, isElem)
	return err
}

func (r *rowReader) valueOf(o *row) error {
	meta, err := present(r.valueType.next())
	if err != nil {
		return fmt.Errorf("value: %w", err)
	}
	o.typ = ValueType(meta & 15)
	o.value, err = r.value.take(meta>>4, "value")
	return err
}

// links reads what replaces the next row.
func (r *rowReader) links(id packedID) error {
	n, err := present(r.nexts.next())
	if err != nil {
		return fmt.Errorf("successors: %w", err)
	}
	s := r.s
	if n > uint64(MaxSavedOps-len(s.links)) {
		return fmt.Errorf("more than %d successors", MaxSavedOps)
	}
	last := id
	for range n {
		next, err := r.delta(&r.nextActor, &r.next)
		if err != nil {
			return fmt.Errorf("successor: %w", err)
		}
		if next <= last {
			return errors.New("successors are not sorted, repeat, or come before")
		}
		last = next
		s.links = append(s.links, link{next.byActor(), uint32(len(s.rows))})
	}
	return nil
}

// rowOrder checks that rows are in the order of the core: those of the root first,
// by key and id, then texts by id, each from its beginning to its end.
type rowOrder struct {
	before row
	texts  map[packedID]bool // that were made
	path   []packedID        // to the character before, each behind the one before
}

var errOrder = errors.New("it is not where the core writes it")

func (r *rowOrder) next(o *row) error {
	if o.obj != r.before.obj {
		if o.obj < r.before.obj || !r.texts[o.obj] {
			return errOrder
		}
		r.path = r.path[:0]
	}
	b := &r.before
	switch {
	case o.obj != 0:
		if err := r.character(o); err != nil {
			return err
		}
	case o.key < b.key, o.key == b.key && o.id <= b.id:
		return errOrder
	case o.action == uint8(MakeText):
		r.texts[o.id] = true
	}
	r.before = *o
	return nil
}

// character checks the place of a character: of those behind the same one, each
// with all behind it, later ones come first.
func (r *rowOrder) character(o *row) error {
	if !o.insert || o.elem >= o.id {
		return errForm
	}
	sibling := packedID(0)
	for n := len(r.path); ; n-- {
		if n == 0 && o.elem != 0 {
			return errOrder
		}
		if n == 0 || r.path[n-1] == o.elem {
			r.path = append(r.path[:n], o.id)
			break
		}
		sibling = r.path[n-1]
	}
	if sibling != 0 && sibling <= o.id {
		return errOrder
	}
	return nil
}
