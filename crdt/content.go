package crdt

import (
	"slices"

	"github.com/starling-sync/starling/crdt/change"
)

// content is what a document holds, decoded once.
type content struct {
	registers map[string]map[string][]Entry // field, element; sorted by writer
	texts     map[string]map[TextID]string
	counters  map[string]map[string]map[Writer]int64
}

func newContent() *content {
	return &content{
		registers: map[string]map[string][]Entry{},
		texts:     map[string]map[TextID]string{},
		counters:  map[string]map[string]map[Writer]int64{},
	}
}

// put brings in what is in force under a key; what was there before is gone.
func (c *content) put(k key, v *value) {
	c.drop(k)
	switch {
	case v.text != nil:
		c.putText(k, v.text.String())
	case v.typ == change.Counter:
		c.putCounter(k, v.count)
	case v.typ == change.Bytes:
		if e, ok := decodeEntry(k.writer, v.raw); ok {
			c.putEntry(k, e)
		}
	}
}

// drop takes out what is under a key. Slices that were given out before stay as they
// are.
func (c *content) drop(k key) {
	register := c.registers[k.field][k.element]
	if i, found := placeOf(register, k.writer); found {
		c.setRegister(k.field, k.element, slices.Concat(register[:i], register[i+1:]))
	}
	if counts := c.counters[k.field][k.element]; counts != nil {
		delete(counts, k.writer)
	}
	if texts := c.texts[k.field]; texts != nil {
		delete(texts, TextID{k.element, k.writer})
	}
}

// putEntry adds e or replaces the entry of its writer. Slices that were given
// out before stay as they are.
func (c *content) putEntry(k key, e Entry) {
	c.setRegister(k.field, k.element, withEntry(c.registers[k.field][k.element], e))
}

// withEntry returns register with e in its place.
func withEntry(register []Entry, e Entry) []Entry {
	i, found := placeOf(register, e.Writer)
	out := make([]Entry, 0, len(register)+1)
	out = append(append(out, register[:i]...), e)
	if found {
		i++
	}
	return append(out, register[i:]...)
}

func placeOf(register []Entry, w Writer) (i int, found bool) {
	return slices.BinarySearchFunc(register, w, func(o Entry, w Writer) int { return o.Writer.Compare(w) })
}

func (c *content) putCounter(k key, n int64) {
	elements := c.counters[k.field]
	if elements == nil {
		elements = map[string]map[Writer]int64{}
		c.counters[k.field] = elements
	}
	if elements[k.element] == nil {
		elements[k.element] = map[Writer]int64{}
	}
	elements[k.element][k.writer] = n
}

func (c *content) putText(k key, s string) {
	if c.texts[k.field] == nil {
		c.texts[k.field] = map[TextID]string{}
	}
	c.texts[k.field][TextID{k.element, k.writer}] = s
}

// lastN returns the highest n of a writer.
func (c *content) lastN(w Writer) (n uint64) {
	for _, elements := range c.registers { // order-free: a maximum
		for _, register := range elements {
			for i := range register {
				if register[i].Writer == w {
					n = max(n, register[i].N)
				}
			}
		}
	}
	return n
}

// setRegister sets a register; one without entries is not there.
func (c *content) setRegister(field, element string, register []Entry) {
	if len(register) == 0 {
		delete(c.registers[field], element)
		return
	}
	if c.registers[field] == nil {
		c.registers[field] = map[string][]Entry{}
	}
	c.registers[field][element] = register
}

// adopt replaces what an edit has written.
func (c *content) adopt(over *content) {
	for field, elements := range over.registers { // order-free: each register is set apart
		for element, register := range elements {
			c.setRegister(field, element, register)
		}
	}
	for field, texts := range over.texts { // order-free: each text is set apart
		for id, s := range texts {
			c.putText(key{field, id.Element, id.Creator}, s)
		}
	}
	for field, elements := range over.counters { // order-free: each counter is set apart
		for element, writers := range elements { // order-free: each counter is set apart
			for w, n := range writers {
				c.putCounter(key{field, element, w}, n)
			}
		}
	}
}
