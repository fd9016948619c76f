package change

import (
	"slices"
)

// Marshal writes an uncompressed change chunk: Actor, Seq, StartOp, Time and Deps
// of c, which are sorted, and the operations, whose ids it does not look at. The
// other actors are those that the operations refer to. Nothing is checked: Parse
// says whether the result is a change.
func Marshal(c *Change, ops []Op) []byte {
	full := *c
	full.Actors = actorsOf(c.Actor, ops)
	w := opWriters.Get().(*opWriter)
	defer opWriters.Put(w)
	w.begin(&full)
	for i := range ops {
		w.op(&ops[i])
	}
	chunk, _ := w.chunk(&full)
	return chunk
}

// chunk writes the chunk of c, whose operations w has, and returns its hash too.
func (w *opWriter) chunk(c *Change) ([]byte, Hash) {
	w.columns = w.finish()
	w.body = appendColumns(c.appendHeader(w.body[:0]), w.columns)
	return buildChunk(w.body)
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
	n := uint64(0)
	for _, column := range all {
		if len(column) > 0 {
			n++
		}
	}
	b = appendUint(b, n)
	for i, column := range all {
		if len(column) > 0 {
			b = appendUint(appendUint(b, specs[i]), uint64(len(column)))
		}
	}
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
	slices.SortFunc(actors, compareActors)
	return actors
}
