package crdt

// AddWinsSet is a set of elements, each with a value, in which adding wins
// over a concurrent removal. The unique tag of an add is its (writer, n).
//
// Join, for each element: an entry with a payload is an add, one with null a
// removal. An add is in unless the Seen of another writer's entry covers it.
// The element is in when any add is; its value is that of the add with the
// highest stamp. Every entry carries on what its writer's earlier ones had
// seen, because a writer has one key per element.
type AddWinsSet[T any] struct {
	Field string
	Valid func(T) bool // as in StampRegister
}

// Join returns the value of an element, false if it is not in the set.
func (s AddWinsSet[T]) Join(register []Entry) (value T, by Entry, ok bool) {
	for _, e := range s.adds(latest(register)) {
		if ok && !later(&e, &by) {
			continue
		}
		if v, good := decodeValid(&e, s.Valid); good {
			value, by, ok = v, e, true
		}
	}
	return value, by, ok
}

// adds returns the entries that may put the element in the set.
func (s AddWinsSet[T]) adds(register []Entry) []Entry {
	var in []Entry
	for i := range register {
		e := &register[i]
		if len(e.Payload) == 0 || e.Payload[0] == cborNull || seenByOther(e, register) {
			continue
		}
		in = append(in, *e)
	}
	return in
}

func seenByOther(e *Entry, register []Entry) bool {
	for i := range register {
		if o := &register[i]; o.Writer != e.Writer && o.Seen.Covers(e) {
			return true
		}
	}
	return false
}

// Get returns the value of an element, false if it is not in the set.
func (s AddWinsSet[T]) Get(src Source, element string) (T, bool) {
	v, _, ok := s.Join(src.Register(s.Field, element))
	return v, ok
}

// Add puts an element in, or gives it another value.
func (s AddWinsSet[T]) Add(e *Edit, element string, v T) error {
	own := e.own(s.Field, element)
	return e.Put(s.Field, element, Write{Payload: v, Seen: own.Seen})
}

// Remove takes an element out as far as it is seen here. It writes nothing
// if the element is not in the set.
func (s AddWinsSet[T]) Remove(e *Edit, element string) error {
	in := s.adds(e.Register(s.Field, element))
	if len(in) == 0 {
		return nil
	}
	seen := Vector{}
	seen.Join(e.own(s.Field, element).Seen)
	seen.See(in...)
	delete(seen, e.doc.writer)
	return e.Put(s.Field, element, Write{Seen: seen})
}

// GrowOnlySet is a set of elements that are never removed.
//
// Join: an element is in when any entry with the payload true says so.
type GrowOnlySet struct{ Field string }

// Join says whether an element with these entries is in the set.
func (s GrowOnlySet) Join(register []Entry) bool {
	for i := range register {
		if v, ok := Decode[bool](register[i].Payload); ok && v {
			return true
		}
	}
	return false
}

// Has says whether element is in the set.
func (s GrowOnlySet) Has(src Source, element string) bool {
	return s.Join(src.Register(s.Field, element))
}

// Add puts an element in. It writes nothing if it is there already.
func (s GrowOnlySet) Add(e *Edit, element string) error {
	if s.Has(e, element) {
		return nil
	}
	return e.Put(s.Field, element, Write{Payload: true})
}

// EnableWinsFlag is a flag in which raising wins over a concurrent lowering:
// an AddWinsSet of one element whose value is true.
type EnableWinsFlag struct{ Field string }

func (f EnableWinsFlag) set() AddWinsSet[bool] {
	return AddWinsSet[bool]{Field: f.Field, Valid: func(v bool) bool { return v }}
}

// Join says whether the flag is up.
func (f EnableWinsFlag) Join(register []Entry) bool {
	_, _, ok := f.set().Join(register)
	return ok
}

// Up says whether the flag is up.
func (f EnableWinsFlag) Up(src Source, element string) bool {
	return f.Join(src.Register(f.Field, element))
}

// RaisedBy says whether w has put the flag up and nobody took that down.
func (f EnableWinsFlag) RaisedBy(src Source, element string, w Writer) bool {
	for _, e := range f.set().adds(src.Register(f.Field, element)) {
		if on, ok := decodeValid(&e, f.set().Valid); ok && on && e.Writer == w {
			return true
		}
	}
	return false
}

// Raise puts the flag up. It writes an entry of its own even if the flag is
// up, so that lowering it elsewhere at the same time does not win.
func (f EnableWinsFlag) Raise(e *Edit, element string) error { return f.set().Add(e, element, true) }

// Lower takes down what is seen of the flag, and writes nothing if it is down.
func (f EnableWinsFlag) Lower(e *Edit, element string) error { return f.set().Remove(e, element) }

// Tombstone marks an entity as deleted as far as the deleter had seen it.
//
// Join: the entity is alive when any of its edits is covered by the Seen of
// no tombstone. So an edit made at the same time revives it.
type Tombstone struct{ Field string }

// Join says whether an entity with these tombstones and edits is alive.
func (t Tombstone) Join(tombstones, edits []Entry) bool {
	seen := t.Covered(tombstones)
	for i := range edits {
		if !seen.Covers(&edits[i]) {
			return true
		}
	}
	return false
}

// Covered returns what the tombstones had seen together.
func (t Tombstone) Covered(tombstones []Entry) Vector {
	seen := Vector{}
	for i := range tombstones {
		if v, ok := Decode[bool](tombstones[i].Payload); ok && v {
			seen.Join(tombstones[i].Seen)
		}
	}
	return seen
}

// Bury deletes the entity whose edits are given.
func (t Tombstone) Bury(e *Edit, element string, edits []Entry) error {
	seen := Vector{}
	seen.Join(e.own(t.Field, element).Seen)
	seen.See(edits...)
	return e.Put(t.Field, element, Write{Payload: true, Seen: seen})
}
