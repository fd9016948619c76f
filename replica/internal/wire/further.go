package wire

// Envelopes of one epoch begin with the same bytes. A Framer leaves them out where
// they are those of the envelope before, and a Reader puts them back: whoever uses
// these two sees Envelopes alone. With that an update of one field fits 256 bytes.

// sizeFront is how many bytes that is: the version and the epoch tag of an envelope.
const sizeFront = 1 + 16

// further carries an envelope without its first sizeFront bytes, which are those of
// the last envelope in this direction that came whole.
type further struct {
	Rest []byte
}

// Type implements Message.
func (*further) Type() Type { return TypeFurther }

func (m *further) append(b []byte) ([]byte, error) { return append(b, m.Rest...), nil }

func (m *further) check() error {
	if len(m.Rest) == 0 || len(m.Rest) > MaxEnvelope-sizeFront {
		return malformed("rest of an envelope of %d bytes", len(m.Rest))
	}
	return nil
}

// Framer makes the frames of one direction of a stream, in the order in which they
// are sent. The zero value is ready. It is for one goroutine at a time.
type Framer struct {
	front []byte // of the last envelope that went whole; nil before
}

// Append appends the frame of m to b, with what a Reader of the whole direction knows
// left out. Errors as of AppendFrame; after one the stream is of no use.
func (f *Framer) Append(b []byte, m Message) ([]byte, error) {
	e, ok := m.(*Envelope)
	if !ok || len(e.Raw) <= sizeFront {
		return AppendFrame(b, m)
	}
	if f.front != nil && string(f.front) == string(e.Raw[:sizeFront]) {
		return AppendFrame(b, &further{Rest: e.Raw[sizeFront:]})
	}
	f.front = append([]byte(nil), e.Raw[:sizeFront]...)
	return AppendFrame(b, m)
}

// whole makes an Envelope of a further one, and notes how envelopes begin.
func (r *Reader) whole(m Message) (Message, error) {
	switch m := m.(type) {
	case *Envelope:
		if len(m.Raw) > sizeFront {
			r.front = append([]byte(nil), m.Raw[:sizeFront]...)
		}
	case *further:
		if r.front == nil {
			return nil, malformed("a further envelope before the first")
		}
		return &Envelope{Raw: append(append(make([]byte, 0, sizeFront+len(m.Rest)), r.front...), m.Rest...)}, nil
	}
	return m, nil
}
