package change

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"unicode/utf8"
)

// OpID names an operation: the number that its change's StartOp counts from,
// and its writer. The zero OpID is that of the root map, and in Elem the place
// before the first character.
type OpID struct {
	Counter uint64
	Actor   [ActorSize]byte
}

// IsZero says whether the id names no operation.
func (o OpID) IsZero() bool { return o == OpID{} }

// Action is what an operation does, by Automerge's numbers.
type Action uint64

// The actions that Parse accepts.
const (
	Set       Action = 1 // of a key; with Insert, one character of a text
	Delete    Action = 3
	MakeText  Action = 4
	Increment Action = 5
)

// ValueType is the type of a value, by Automerge's numbers.
type ValueType byte

// The types of values.
const (
	Null ValueType = iota
	False
	True
	Uint
	Int
	Float
	Text
	Bytes
	Counter
	Timestamp
	lastType = Timestamp
)

// Op is one operation of a change. There are five forms:
//
//	Obj zero, Key, Set, any value               a value of the root map
//	Obj zero, Key, Increment, an Int            of the counters that Pred names
//	Obj zero, Key, MakeText or Delete           no value
//	Obj a text, Insert, Set, a Text             behind Elem
//	Obj a text, Elem, Delete                    of the character Elem, which is Pred
type Op struct {
	ID     OpID
	Obj    OpID
	Key    string
	Elem   OpID
	Insert bool
	Action Action
	Type   ValueType
	Value  []byte // as it is encoded; part of the change
	Pred   []OpID // operations that this one replaces, ascending
}

var (
	errAlone   = errors.New("an operation's number without its actor, or the reverse")
	errNoKey   = errors.New("an operation with no key or two")
	errForm    = errors.New("an operation of a form that is not used")
	errForward = errors.New("an operation refers to itself or a later one")
	errPreds   = errors.New("predecessors are not sorted or repeat")
)

// check says whether o has one of the forms.
func (o *Op) check() error {
	text := !o.Obj.IsZero()
	scalar := o.Action == Set || o.Action == Increment
	switch {
	case text == (o.Key != ""):
		return errNoKey
	case !scalar && (o.Type != Null || len(o.Value) > 0):
		return errForm
	case !text && (o.Insert || o.Action == Increment && (o.Type != Int || len(o.Pred) == 0)),
		!text && o.Action == Delete && len(o.Pred) == 0:
		return errForm
	case text && o.Insert && (o.Action != Set || o.Type != Text || len(o.Value) == 0 || len(o.Pred) > 0):
		return errForm
	case text && !o.Insert && (o.Action != Delete || o.Elem.IsZero() || len(o.Pred) != 1 || o.Pred[0] != o.Elem):
		return errForm
	}
	switch o.Action {
	case Set, Delete, MakeText, Increment:
		return checkValue(o.Type, o.Value)
	}
	return fmt.Errorf("action %d is not used", o.Action)
}

// checkValue says whether a value is encoded as its type demands.
func checkValue(t ValueType, v []byte) error {
	r := reader{v}
	var err error
	switch t {
	case Null, False, True:
	case Uint:
		_, err = r.uint(1<<64-1, "value")
	case Int, Counter, Timestamp:
		_, err = r.int("value")
	case Float:
		_, err = r.take(8, "value")
	case Text:
		if !utf8.Valid(v) {
			return errors.New("a text that is not UTF-8")
		}
		return nil
	case Bytes:
		return nil
	default:
		return fmt.Errorf("a value of type %d", t)
	}
	if err != nil {
		return err
	}
	return r.end("a value")
}

// refers says whether everything that o refers to comes before it.
func (o *Op) refers() error {
	if o.Obj.Counter >= o.ID.Counter || o.Elem.Counter >= o.ID.Counter {
		return errForward
	}
	for i, p := range o.Pred {
		if p.Counter >= o.ID.Counter {
			return errForward
		}
		if i > 0 && o.Pred[i-1].Compare(p) >= 0 {
			return errPreds
		}
	}
	return nil
}

// Compare orders ids by number, then by writer, as the core does.
func (o OpID) Compare(p OpID) int {
	return cmp.Or(cmp.Compare(o.Counter, p.Counter), bytes.Compare(o.Actor[:], p.Actor[:]))
}

// Int returns the number that the value of a Counter, an Int or an Increment is, and 0
// of other types.
func (o *Op) Int() int64 {
	if o.Type != Int && o.Type != Counter {
		return 0
	}
	n, _, _ := readInt(o.Value) // it was checked
	return n
}

// Number returns n as the value of a Counter or an Int.
func Number(n int64) []byte { return appendInt(nil, n) }
