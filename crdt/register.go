package crdt

// decodeValid reads the payload of an entry; valid may be nil.
func decodeValid[T any](e *Entry, valid func(T) bool) (v T, ok bool) {
	v, ok = Decode[T](e.Payload)
	return v, ok && (valid == nil || valid(v))
}

// StampRegister holds the last deliberate choice.
//
// Join: of the entries that decode and are valid, the one with the highest
// stamp; the greater writer breaks a tie. At MaxStamp, which no choice can
// exceed, an entry that another such entry had seen is out.
type StampRegister[T any] struct {
	Field string
	// Valid says which values count; nil: all. It must be pure and must
	// never change, because replicas have to agree on it.
	Valid func(T) bool
}

// Join returns the winning value and its entry, false if there is none.
func (r StampRegister[T]) Join(register []Entry) (value T, by Entry, ok bool) {
	register = latest(register)
	if top := seenAtTop(register); len(top) > 0 {
		if value, by, ok = r.last(register, top); ok {
			return value, by, ok
		}
	}
	return r.last(register, nil)
}

func (r StampRegister[T]) last(register []Entry, top Vector) (value T, by Entry, ok bool) {
	for i := range register {
		e := &register[i]
		if ok && !later(e, &by) || e.Stamp == MaxStamp && top.Covers(e) {
			continue
		}
		if v, good := decodeValid(e, r.Valid); good {
			value, by, ok = v, *e, true
		}
	}
	return value, by, ok
}

func seenAtTop(register []Entry) Vector {
	var v Vector
	for i := range register {
		if e := &register[i]; e.Stamp == MaxStamp && len(e.Seen) > 0 {
			if v == nil {
				v = Vector{}
			}
			v.Join(e.Seen)
		}
	}
	return v
}

// Get returns the value in force.
func (r StampRegister[T]) Get(s Source, element string) (T, bool) {
	v, _, ok := r.Join(s.Register(r.Field, element))
	return v, ok
}

// Set chooses v.
func (r StampRegister[T]) Set(e *Edit, element string, v T) error {
	return e.Put(r.Field, element, Write{Payload: v, Seen: seenToWin(e, r.Field, element)})
}

// SetSeeing chooses v and records what else the person had on the screen.
// At MaxStamp the record gives way to what the choice needs in order to win.
func (r StampRegister[T]) SetSeeing(e *Edit, element string, v T, context any) error {
	w := Write{Payload: v, Context: context, Seen: seenToWin(e, r.Field, element)}
	if w.Seen != nil {
		w.Context = nil
	}
	return e.Put(r.Field, element, w)
}

// seenToWin is what a choice must declare when stamps have run out.
func seenToWin(e *Edit, field, element string) Vector {
	register := e.Register(field, element)
	if After(e.now, register) != MaxStamp {
		return nil
	}
	v := Vector{}
	v.See(register...)
	return v
}

// MaxRegister holds the greatest value that anybody wrote.
//
// Join: the maximum by Compare over the entries that decode and are valid.
// Stamps do not matter.
type MaxRegister[T any] struct {
	Field   string
	Compare func(a, b T) int // a total order in which only equal values are 0
	Valid   func(T) bool     // as in StampRegister
}

// Join returns the maximum, false if there is none.
func (r MaxRegister[T]) Join(register []Entry) (value T, ok bool) {
	for i := range register {
		v, good := decodeValid(&register[i], r.Valid)
		if good && (!ok || r.Compare(v, value) > 0) {
			value, ok = v, true
		}
	}
	return value, ok
}

// Get returns the value in force.
func (r MaxRegister[T]) Get(s Source, element string) (T, bool) {
	return r.Join(s.Register(r.Field, element))
}

// Raise writes v if it is above the value in force, and nothing otherwise.
func (r MaxRegister[T]) Raise(e *Edit, element string, v T) error {
	if old, ok := r.Get(e, element); ok && r.Compare(v, old) <= 0 {
		return nil
	}
	return e.Put(r.Field, element, Write{Payload: v})
}

// MinRegister holds the least value that anybody wrote: a MaxRegister with
// its order turned round.
type MinRegister[T any] struct {
	Field   string
	Compare func(a, b T) int
	Valid   func(T) bool
}

func (r MinRegister[T]) max() MaxRegister[T] {
	return MaxRegister[T]{r.Field, func(a, b T) int { return r.Compare(b, a) }, r.Valid}
}

// Join returns the minimum, false if there is none.
func (r MinRegister[T]) Join(register []Entry) (T, bool) { return r.max().Join(register) }

// Get returns the value in force.
func (r MinRegister[T]) Get(s Source, element string) (T, bool) { return r.max().Get(s, element) }

// Lower writes v if it is below the value in force, and nothing otherwise.
func (r MinRegister[T]) Lower(e *Edit, element string, v T) error {
	return r.max().Raise(e, element, v)
}
