package crdt

import (
	"fmt"
	"slices"

	"github.com/automerge/automerge-go"
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

// readContent decodes the root map. What is not an entry of one of the
// actors, a text or a counter under a well-formed key is left out.
func readContent(doc *automerge.Doc, actors map[Writer]struct{}) (c *content, err error) {
	defer func() {
		// automerge-go panics on kinds of values that it does not know.
		if r := recover(); r != nil {
			c, err = nil, fmt.Errorf("read the root map: %v", r)
		}
	}()
	values, err := doc.RootMap().Values()
	if err != nil {
		return nil, fmt.Errorf("read the root map: %w", err)
	}
	c = newContent()
	for name, value := range values {
		k, ok := parseKey(name)
		if _, known := actors[k.writer]; !ok || !known {
			continue
		}
		if err := c.read(k, value); err != nil {
			return nil, fmt.Errorf("read %q: %w", name, err)
		}
	}
	return c, nil
}

func (c *content) read(k key, v *automerge.Value) error {
	switch v.Kind() {
	case automerge.KindBytes:
		if e, ok := decodeEntry(k.writer, v.Bytes()); ok {
			c.putEntry(k, e)
		}
	case automerge.KindCounter:
		n, err := v.Counter().Get()
		if err != nil {
			return err
		}
		c.putCounter(k, n)
	case automerge.KindText:
		s, err := v.Text().Get()
		if err != nil {
			return err
		}
		c.putText(k, s)
	}
	return nil
}

// putEntry adds e or replaces the entry of its writer. Slices that were given
// out before stay as they are.
func (c *content) putEntry(k key, e Entry) {
	c.setRegister(k.field, k.element, withEntry(c.registers[k.field][k.element], e))
}

// withEntry returns register with e in its place.
func withEntry(register []Entry, e Entry) []Entry {
	i, found := slices.BinarySearchFunc(register, e.Writer, func(o Entry, w Writer) int { return o.Writer.Compare(w) })
	out := make([]Entry, 0, len(register)+1)
	out = append(append(out, register[:i]...), e)
	if found {
		i++
	}
	return append(out, register[i:]...)
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

func (c *content) setRegister(field, element string, register []Entry) {
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
