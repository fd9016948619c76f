package crdt

import (
	"fmt"
	"math"
)

// Counter is a field of numbers that everybody can add to. Each writer has an
// Automerge counter of its own, since two creations of one counter at the
// same time lose one of them.
//
// Join: the sum over the writers, held within 64 bits.
type Counter struct{ Field string }

// CounterSource is a document or an edit of it.
type CounterSource interface {
	counts(field, element string) map[Writer]int64
}

// Join returns the sum.
func (Counter) Join(counts map[Writer]int64) int64 {
	var high, low int64        // the sum is high<<32 + low: neither can overflow
	for _, n := range counts { // order-free: a sum
		high += n >> 32
		low += n & math.MaxUint32
	}
	high += low >> 32
	switch {
	case high > math.MaxInt32:
		return math.MaxInt64
	case high < math.MinInt32:
		return math.MinInt64
	default:
		return high<<32 | low&math.MaxUint32
	}
}

// Get returns the sum of an element, 0 if nobody counted.
func (c Counter) Get(s CounterSource, element string) int64 {
	return c.Join(s.counts(c.Field, element))
}

// Add counts by delta, which may be negative.
func (c Counter) Add(e *Edit, element string, delta int64) error {
	k := key{c.Field, element, e.doc.writer}
	if err := checkKey(c.Field, element); err != nil {
		return fmt.Errorf("count %q: %w", k, err)
	}
	own, exists := e.counts(c.Field, element)[e.doc.writer]
	if sum := own + delta; (sum > own) != (delta > 0) {
		if delta == 0 {
			return nil
		}
		return fmt.Errorf("count %q: %d and %d exceed 64 bits", k, own, delta)
	}
	e.over.putCounter(k, own+delta)
	e.ops = append(e.ops, func(m *making) error { return m.count(k.String(), exists, delta) })
	return nil
}

func (d *Document) counts(field, element string) map[Writer]int64 {
	return d.content.counters[field][element]
}

func (e *Edit) counts(field, element string) map[Writer]int64 {
	over := e.over.counters[field][element]
	if len(over) == 0 {
		return e.doc.counts(field, element)
	}
	all := map[Writer]int64{e.doc.writer: over[e.doc.writer]}
	for w, n := range e.doc.counts(field, element) { // order-free: a map is filled
		if w != e.doc.writer {
			all[w] = n
		}
	}
	return all
}
