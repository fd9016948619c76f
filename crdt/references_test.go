package crdt

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/change"
)

// forged returns a change of w that follows what d has, with these operations.
func forged(t tester, d *Document, w Writer, ops ...change.Op) Change {
	t.Helper()
	last := d.history.of(w)
	c := Change{Actor: w, Seq: last.seq + 1, StartOp: 1, Deps: d.Heads()}
	if last.seq > 0 && !slices.Contains(c.Deps, last.hash) {
		c.Deps = append(c.Deps, last.hash)
		slices.SortFunc(c.Deps, Hash.Compare)
	}
	for _, h := range c.Deps {
		p, _ := d.history.change(h)
		c.StartOp = max(c.StartOp, p.lastOp+1)
	}
	for i := range ops {
		ops[i].ID = change.OpID{Counter: c.StartOp + uint64(i), Actor: w}
	}
	parsed, err := change.Parse(change.Marshal(&c, ops))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// shared is a document with two values, a counter and two texts of writer 1: its
// operations by number.
func shared(t tester) (d *Document, id func(n uint64) change.OpID) {
	t.Helper()
	d = newDocument(t, 1)
	w := Writer{1}
	id = func(n uint64) change.OpID { return change.OpID{Counter: n, Actor: w} }
	char := func(text, behind uint64) change.Op {
		o := change.Op{Obj: id(text), Insert: true, Action: change.Set, Type: change.Text, Value: []byte("x")}
		if behind > 0 {
			o.Elem = id(behind)
		}
		return o
	}
	c := forged(t, d, w,
		change.Op{Key: "a", Action: change.Set, Type: change.Bytes, Value: []byte("1")},
		change.Op{Key: "b", Action: change.Set, Type: change.Bytes, Value: []byte("2")},
		change.Op{Key: "n", Action: change.Set, Type: change.Counter, Value: []byte{1}},
		change.Op{Key: "t", Action: change.MakeText}, char(4, 0), char(4, 5),
		change.Op{Key: "u", Action: change.MakeText}, char(7, 0),
	)
	apply(t, d, &c)
	return d, id
}

func TestApplyRefusesWhatRefersToNothing(t *testing.T) {
	d, id := shared(t)
	set := func(key string, pred ...change.OpID) change.Op {
		return change.Op{Key: key, Action: change.Set, Type: change.True, Pred: pred}
	}
	char := func(text, behind change.OpID) change.Op {
		return change.Op{Obj: text, Elem: behind, Insert: true, Action: change.Set, Type: change.Text, Value: []byte("y")}
	}
	remove := func(text, char change.OpID) change.Op {
		return change.Op{Obj: text, Elem: char, Action: change.Delete, Pred: []change.OpID{char}}
	}
	count := func(key string, pred change.OpID) change.Op {
		return change.Op{Key: key, Action: change.Increment, Type: change.Int, Value: []byte{1}, Pred: []change.OpID{pred}}
	}
	stranger := change.OpID{Counter: 1, Actor: Writer{7}}
	for name, op := range map[string]change.Op{
		"a writer that is not there":          set("a", stranger),
		"another key":                         set("a", id(2)),
		"a character as a value":              set("a", id(5)),
		"an increment of a value":             count("a", id(1)),
		"an increment of another counter":     count("m", id(3)),
		"a text that is none":                 char(id(1), change.OpID{}),
		"a text of nobody":                    char(stranger, change.OpID{}),
		"behind what is no character":         char(id(4), id(4)),
		"behind a character of another text":  char(id(4), id(8)),
		"a deletion in another text":          remove(id(7), id(5)),
		"a deletion of what is not there":     remove(id(4), change.OpID{Counter: 6, Actor: Writer{7}}),
		"a deletion of the value of a number": remove(id(4), id(3)),
	} {
		n, err := d.Apply([]Change{forged(t, d, Writer{9}, op)})
		if n != 0 || !errors.Is(err, errReference) || errors.Is(err, ErrBroken) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	good := forged(t, d, Writer{9}, set("a", id(1)), count("n", id(3)), char(id(4), id(5)), char(id(4), change.OpID{Counter: 11, Actor: Writer{9}}),
		remove(id(4), id(6)), change.Op{Key: "b", Action: change.Delete, Pred: []change.OpID{id(2)}}, char(id(7), change.OpID{}))
	apply(t, d, &good)
	reload(t, d, 2)
}

// TestApplyRefusesWhatItHasNotSeen: the operation is there, but not in the past
// of the change.
func TestApplyRefusesWhatItHasNotSeen(t *testing.T) {
	d, id := shared(t)
	typed := change.Op{Obj: id(4), Elem: id(5), Insert: true, Action: change.Set, Type: change.Text, Value: []byte("y")}
	behind := typed
	aside := forged(t, d, Writer{9}, typed)
	behind.Elem = change.OpID{Counter: aside.StartOp, Actor: aside.Actor}
	long := forged(t, d, Writer{8}, change.Op{Key: "z", Action: change.Set}, change.Op{Key: "y", Action: change.Set})
	apply(t, d, &long)
	after := forged(t, d, Writer{8}, behind) // Writer 9's is not there yet
	apply(t, d, &aside)
	if _, err := d.Apply([]Change{after}); !errors.Is(err, errReference) {
		t.Errorf("not in its past: %v", err)
	}
	after = forged(t, d, Writer{8}, behind) // now it is
	apply(t, d, &after)
}

// TestAcceptedChangesAreHarmless makes changes that nobody would make. What the
// gate lets through can be saved, loaded and sent on, and all come to the same.
func TestAcceptedChangesAreHarmless(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		d, _ := shared(t)
		other, _ := shared(t)
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			w := Writer{rapid.ByteRange(7, 9).Draw(t, "writer")}
			var ops []change.Op
			for range rapid.IntRange(1, 4).Draw(t, "operations") {
				ops = append(ops, randomOp(t))
			}
			c, err := tryForge(d, w, ops)
			if err != nil {
				continue
			}
			if _, err := d.Apply([]Change{c}); errors.Is(err, ErrBroken) {
				t.Fatalf("accepted, and broke the document: %v", err)
			} else if err != nil {
				continue
			}
			apply(t, other, &c)
			accepted++
		}
		if show(reload(t, d, 2)) != show(other) || fmt.Sprint(d.Heads()) != fmt.Sprint(other.Heads()) {
			t.Fatal("it means something else after loading")
		}
	})
	if accepted == 0 {
		t.Error("none was accepted")
	}
}

// tryForge is forged for operations that may not even parse.
func tryForge(d *Document, w Writer, ops []change.Op) (c Change, err error) {
	t := &failing{}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return forged(t, d, w, ops...), nil
}

// failing panics where a test would end.
type failing struct{ tester }

func (*failing) Helper()           {}
func (*failing) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// randomOp refers to what may be there.
func randomOp(t *rapid.T) change.Op {
	ref := func(what string) change.OpID {
		return change.OpID{
			Counter: rapid.Uint64Range(1, 14).Draw(t, what),
			Actor:   Writer{rapid.SampledFrom([]byte{1, 1, 1, 7, 8, 9}).Draw(t, "actor of "+what)},
		}
	}
	key := rapid.SampledFrom([]string{"a", "b", "n", "t", "u", "name/" + Writer{9}.String(), "hits/" + Writer{9}.String()}).Draw(t, "key")
	switch rapid.IntRange(0, 6).Draw(t, "form") {
	case 0:
		return change.Op{Key: key, Action: change.MakeText}
	case 1:
		return change.Op{Key: key, Action: change.Increment, Type: change.Int, Value: []byte{3}, Pred: []change.OpID{ref("counter")}}
	case 2:
		return change.Op{Key: key, Action: change.Delete, Pred: []change.OpID{ref("pred")}}
	case 3:
		return change.Op{Obj: ref("text"), Insert: true, Action: change.Set, Type: change.Text, Value: []byte("z")}
	case 4:
		return change.Op{Obj: ref("text"), Elem: ref("elem"), Insert: true, Action: change.Set, Type: change.Text, Value: []byte("é")}
	case 5:
		elem := ref("elem")
		return change.Op{Obj: ref("text"), Elem: elem, Action: change.Delete, Pred: []change.OpID{elem}}
	}
	value := rapid.SampledFrom([]change.Op{
		{}, {Type: change.True}, {Type: change.Uint, Value: []byte{9}}, {Type: change.Float, Value: make([]byte, 8)},
		{Type: change.Text, Value: []byte("text")}, {Type: change.Bytes, Value: []byte{1}}, {Type: change.Counter, Value: []byte{5}},
		{Type: change.Timestamp, Value: []byte{1}}, {Type: change.Int, Value: []byte{0x7f}},
	}).Draw(t, "value")
	value.Key, value.Action = key, change.Set
	if rapid.Bool().Draw(t, "replaces") {
		value.Pred = []change.OpID{ref("pred")}
	}
	return value
}
