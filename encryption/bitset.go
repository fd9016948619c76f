package encryption

import (
	"bytes"
	"math/bits"
)

// bitset is a set of small numbers: the indexes of operations in one log.
type bitset []uint64

func (b bitset) has(i int) bool { return i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0 }

func (b *bitset) add(i int) {
	for len(*b) <= i/64 {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

// union adds all of o.
func (b *bitset) union(o bitset) {
	for len(*b) < len(o) {
		*b = append(*b, 0)
	}
	for i, word := range o {
		(*b)[i] |= word
	}
}

// intersect returns what is in both, as a set of its own.
func (b bitset) intersect(o bitset) bitset {
	out := make(bitset, min(len(b), len(o)))
	for i := range out {
		out[i] = b[i] & o[i]
	}
	return out
}

// firstOf returns the set of all numbers below n.
func firstOf(n int) bitset {
	b := make(bitset, (n+63)/64)
	for i := range b {
		b[i] = ^uint64(0)
	}
	if n%64 != 0 {
		b[len(b)-1] >>= 64 - n%64
	}
	return b
}

// each calls fn in ascending order.
func (b bitset) each(fn func(i int)) {
	for w, word := range b {
		for ; word != 0; word &= word - 1 {
			fn(w*64 + bits.TrailingZeros64(word))
		}
	}
}

func compareHash(a, b Hash) int { return bytes.Compare(a[:], b[:]) }
