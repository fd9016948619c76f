package change

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// Marshal writes an uncompressed change chunk: Actor, Seq, StartOp, Time and Deps
// of c, which are sorted, and the operations, whose ids it does not look at. The
// other actors are those that the operations refer to. Nothing is checked: Parse
// says whether the result is a change.
func Marshal(c *Change, ops []Op) []byte {
	full := *c
	full.Actors = actorsOf(c.Actor, ops)
	w := newOpWriter(&full)
	for i := range ops {
		w.op(&ops[i])
	}
	body := full.appendHeader(nil)
	body = appendColumns(body, w.finish())
	sum := sha256.Sum256(appendChunk(nil, body))
	return buildChunk(sum[:checksumSize], body)
}

// appendChunk writes what the hash of a change is over.
func appendChunk(b, body []byte) []byte {
	return append(appendUint(append(b, typeChange), uint64(len(body))), body...)
}

func (c *Change) appendHeader(b []byte) []byte {
	b = appendUint(b, uint64(len(c.Deps)))
	for _, d := range c.Deps {
		b = append(b, d[:]...)
	}
	b = append(appendUint(b, ActorSize), c.Actor[:]...)
	b = appendUint(appendUint(b, c.Seq), c.StartOp)
	b = appendInt(b, c.Time)
	b = appendUint(b, 0) // no message
	b = appendUint(b, uint64(len(c.Actors)))
	for _, a := range c.Actors {
		b = append(appendUint(b, ActorSize), a[:]...)
	}
	return b
}

func appendColumns(b []byte, all columns) []byte {
	n := 0
	var heads []byte
	for i, column := range all {
		if len(column) > 0 {
			n++
			heads = appendUint(appendUint(heads, specs[i]), uint64(len(column)))
		}
	}
	b = append(appendUint(b, uint64(n)), heads...)
	for _, column := range all {
		b = append(b, column...)
	}
	return b
}

// actorsOf returns the actors that operations refer to, without their own.
func actorsOf(own [ActorSize]byte, ops []Op) (actors [][ActorSize]byte) {
	seen := map[[ActorSize]byte]bool{own: true}
	for _, o := range ops {
		for _, id := range append([]OpID{o.Obj, o.Elem}, o.Pred...) {
			if !id.IsZero() && !seen[id.Actor] {
				seen[id.Actor] = true
				actors = append(actors, id.Actor)
			}
		}
	}
	slices.SortFunc(actors, func(a, b [ActorSize]byte) int { return bytes.Compare(a[:], b[:]) })
	return actors
}
