package crdt

import (
	"slices"

	"github.com/starling-sync/starling/crdt/change"
)

// values is the root map as the operations of all changes have made it, by the rules
// of the Automerge core: an operation takes the place of those that it names as its
// predecessors, and of what several writers put under one key at once all is kept, the
// one with the highest id in force. The order in which changes come does not matter,
// as long as each comes behind those that it depends on.
type values struct {
	keys  map[string]*cell // with at least one value each
	texts map[change.OpID]*sequence
}

// value is what one operation put under a key.
type value struct {
	id    change.OpID
	typ   change.ValueType
	raw   []byte    // of Bytes
	count int64     // of a Counter, with all increments
	text  *sequence // of MakeText
}

func newValues() *values {
	return &values{keys: map[string]*cell{}, texts: map[change.OpID]*sequence{}}
}

// apply performs an operation that follows those before, and returns the key that it
// has to do with.
func (v *values) apply(o *change.Op) (key string) {
	if o.Obj.IsZero() {
		v.onKey(o)
		return o.Key
	}
	text := v.texts[o.Obj]
	if text == nil {
		return "" // of no change that Apply lets in
	}
	if o.Insert {
		text.insert(o.ID, o.Elem, string(o.Value))
	} else {
		text.remove(o.Elem)
	}
	return text.key
}

func (v *values) onKey(o *change.Op) {
	c := v.keys[o.Key]
	if c == nil {
		c = &cell{}
		v.keys[o.Key] = c
	}
	for _, p := range o.Pred {
		if o.Action == change.Increment {
			c.count(p, o.Int())
		} else {
			c.remove(p)
		}
	}
	if o.Action == change.Set || o.Action == change.MakeText {
		c.add(v.made(o))
	}
	if len(c.all) == 0 {
		delete(v.keys, o.Key)
	}
}

// made returns what o puts.
func (v *values) made(o *change.Op) value {
	w := value{id: o.ID, typ: o.Type}
	switch {
	case o.Action == change.MakeText:
		w.text = newSequence(o.Key)
		v.texts[o.ID] = w.text
	case o.Type == change.Bytes:
		w.raw = slices.Clone(o.Value) // and nothing else of the change
	case o.Type == change.Counter:
		w.count = o.Int()
	}
	return w
}

// cell is the values of one key: one, unless several writers put something there at
// once, which only a writer does that writes under the keys of others.
type cell struct {
	all   []value             // in no order
	place map[change.OpID]int // in all; nil while there are few
}

// few is up to how many values a cell looks at one by one.
const few = 8

func (c *cell) find(id change.OpID) int {
	if c.place != nil {
		if i, ok := c.place[id]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(c.all, func(v value) bool { return v.id == id })
}

func (c *cell) add(v value) {
	c.all = append(c.all, v)
	switch {
	case c.place != nil:
		c.place[v.id] = len(c.all) - 1
	case len(c.all) > few:
		c.place = map[change.OpID]int{}
		for i := range c.all {
			c.place[c.all[i].id] = i
		}
	}
}

func (c *cell) remove(id change.OpID) {
	i, last := c.find(id), len(c.all)-1
	if i < 0 {
		return // something else replaced it at the same time
	}
	c.all[i] = c.all[last]
	c.all[last] = value{}
	c.all = c.all[:last]
	if c.place != nil {
		delete(c.place, id)
		if i < last {
			c.place[c.all[i].id] = i
		}
	}
}

// count adds to a counter, if nothing replaced it. An increment of something else, which
// Apply refuses, takes its place, as any other operation does.
func (c *cell) count(id change.OpID, n int64) {
	i := c.find(id)
	switch {
	case i < 0:
	case c.all[i].typ == change.Counter:
		c.all[i].count += n
	default:
		c.remove(id)
	}
}

// winner returns what is in force under a key.
func (v *values) winner(key string) (top value, ok bool) {
	c := v.keys[key]
	if c == nil {
		return value{}, false
	}
	for i := range c.all {
		if i == 0 || c.all[i].id.Compare(top.id) > 0 {
			top = c.all[i]
		}
	}
	return top, true
}

// ids returns what an operation on a key has to name as its predecessors: its values,
// or those that are counters.
func (v *values) ids(key string, counters bool) (ids []change.OpID) {
	c := v.keys[key]
	if c == nil {
		return nil
	}
	for i := range c.all {
		if !counters || c.all[i].typ == change.Counter {
			ids = append(ids, c.all[i].id)
		}
	}
	slices.SortFunc(ids, change.OpID.Compare)
	return ids
}
