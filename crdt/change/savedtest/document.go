package savedtest

import "encoding/binary"

// ID is the id of an operation: its number, and the place of its actor. The zero ID
// is none: the root, or the head of a text.
type ID struct {
	Number int64
	Actor  int
}

// Change is what a document says of a change, but for its operations.
type Change struct {
	Actor             int
	Seq, LastOp, Time int64
	Deps              []int64
	Extra             uint64 // length and type of the extra bytes; the core writes 7
}

// Op is an operation as a document has it.
type Op struct {
	ID, Obj, Elem ID
	Key           string // if empty, Elem counts
	Insert        bool
	Action        uint64
	Type          uint64
	Value         []byte
	Next          []ID // successors
}

// Document is a saved document.
type Document struct {
	Actors  [][]byte
	Heads   [][]byte
	Places  []uint64
	Changes []Change
	Ops     []Op
}

// optional is a value or null.
type optional[T any] struct {
	value T
	null  bool
}

func some[T any](v T) optional[T] { return optional[T]{value: v} }

func none[T any]() optional[T] { return optional[T]{null: true} }

// Parts puts changes and operations in columns.
func (d *Document) Parts() *Parts {
	return &Parts{Actors: d.Actors, Heads: d.Heads, Places: d.Places, Changes: d.changeColumns(), Ops: d.opColumns()}
}

// Marshal writes the document.
func (d *Document) Marshal() []byte { return d.Parts().Marshal() }

func (d *Document) changeColumns() []Column {
	var actors, deps, extras []optional[uint64]
	var seqs, lasts, times, places []optional[int64]
	for _, c := range d.Changes {
		actors, seqs, lasts = append(actors, some(uint64(c.Actor))), append(seqs, some(c.Seq)), append(lasts, some(c.LastOp))
		times, deps, extras = append(times, some(c.Time)), append(deps, some(uint64(len(c.Deps)))), append(extras, some(c.Extra))
		for _, place := range c.Deps {
			places = append(places, some(place))
		}
	}
	return filled([]Column{
		{1, numbersOf(actors)}, {3, deltasOf(seqs)}, {19, deltasOf(lasts)}, {35, deltasOf(times)},
		{64, numbersOf(deps)}, {67, deltasOf(places)}, {86, numbersOf(extras)},
	})
}

func (d *Document) opColumns() []Column {
	var objActors, objNumbers, keyActors, actors, actions, types, nexts, nextActors []optional[uint64]
	var keyNumbers, numbers, nextNumbers []optional[int64]
	var keys []optional[string]
	var inserts []bool
	var values []byte
	for _, o := range d.Ops {
		objActor, objNumber := none[uint64](), none[uint64]()
		if o.Obj != (ID{}) {
			objActor, objNumber = some(uint64(o.Obj.Actor)), some(uint64(o.Obj.Number))
		}
		objActors, objNumbers = append(objActors, objActor), append(objNumbers, objNumber)
		key, keyActor, keyNumber := some(o.Key), none[uint64](), none[int64]()
		if o.Key == "" {
			key, keyNumber = none[string](), some(o.Elem.Number)
			if o.Elem != (ID{}) {
				keyActor = some(uint64(o.Elem.Actor))
			}
		}
		keys, keyActors, keyNumbers = append(keys, key), append(keyActors, keyActor), append(keyNumbers, keyNumber)
		actors, numbers = append(actors, some(uint64(o.ID.Actor))), append(numbers, some(o.ID.Number))
		inserts, actions = append(inserts, o.Insert), append(actions, some(o.Action))
		types, values = append(types, some(uint64(len(o.Value))<<4|o.Type)), append(values, o.Value...)
		nexts = append(nexts, some(uint64(len(o.Next))))
		for _, n := range o.Next {
			nextActors, nextNumbers = append(nextActors, some(uint64(n.Actor))), append(nextNumbers, some(n.Number))
		}
	}
	return filled([]Column{
		{1, numbersOf(objActors)}, {2, numbersOf(objNumbers)}, {17, numbersOf(keyActors)}, {19, deltasOf(keyNumbers)}, {21, textsOf(keys)},
		{33, numbersOf(actors)}, {35, deltasOf(numbers)}, {52, flagsOf(inserts)}, {66, numbersOf(actions)}, {86, numbersOf(types)}, {87, values},
		{128, numbersOf(nexts)}, {129, numbersOf(nextActors)}, {131, deltasOf(nextNumbers)},
	})
}

// filled leaves out the columns that are empty.
func filled(columns []Column) (out []Column) {
	for _, c := range columns {
		if len(c.Bytes) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// numbersOf writes a column of numbers.
func numbersOf(values []optional[uint64]) []byte { return runs(values, binary.AppendUvarint) }

// deltasOf writes a column of numbers as differences.
func deltasOf(values []optional[int64]) []byte {
	differences := make([]optional[int64], len(values))
	before := int64(0)
	for i, v := range values {
		if differences[i] = v; !v.null {
			differences[i].value -= before
			before = v.value
		}
	}
	return runs(differences, appendSigned)
}

// textsOf writes a column of texts.
func textsOf(values []optional[string]) []byte {
	return runs(values, func(b []byte, s string) []byte { return append(binary.AppendUvarint(b, uint64(len(s))), s...) })
}

// flagsOf writes a column of truth values.
func flagsOf(values []bool) (out []byte) {
	for at, want := 0, false; at < len(values); want = !want {
		n := 0
		for at+n < len(values) && values[at+n] == want {
			n++
		}
		out = binary.AppendUvarint(out, uint64(n))
		at += n
	}
	return out
}

// appendSigned appends a signed LEB128 number.
func appendSigned(b []byte, v int64) []byte {
	for ; v < -64 || v > 63; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v)&0x7f)
}

// runs writes values in runs: those that repeat by themselves, those between as they
// are, and nothing if all are null.
func runs[T comparable](values []optional[T], write func([]byte, T) []byte) (out []byte) {
	filled := false
	for at := 0; at < len(values); {
		n := repeats(values[at:])
		switch first := values[at]; {
		case first.null:
			out = binary.AppendUvarint(appendSigned(out, 0), uint64(n))
		case n > 1:
			out = write(appendSigned(out, int64(n)), first.value)
			filled = true
		default:
			for n = 1; at+n < len(values) && !values[at+n].null && repeats(values[at+n:]) == 1; {
				n++
			}
			out = appendSigned(out, int64(-n))
			for _, v := range values[at : at+n] {
				out = write(out, v.value)
			}
			filled = true
		}
		at += n
	}
	if !filled {
		return nil
	}
	return out
}

// repeats returns how often the first value stands at the beginning.
func repeats[T comparable](values []optional[T]) int {
	n := 1
	for n < len(values) && values[n] == values[0] {
		n++
	}
	return n
}
