package change

import (
	"bytes"
	"crypto/sha256"
	"maps"
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
	maps.DeleteFunc(all, func(_ uint64, column []byte) bool { return len(column) == 0 })
	specs := slices.Sorted(maps.Keys(all))
	b = appendUint(b, uint64(len(specs)))
	for _, spec := range specs {
		b = appendUint(appendUint(b, spec), uint64(len(all[spec])))
	}
	for _, spec := range specs {
		b = append(b, all[spec]...)
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
