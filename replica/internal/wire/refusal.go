package wire

// Decline says that the sender takes no envelopes of a writer on this stream: it
// distrusts the writer, or holds another log of it than the receiver. It holds none of
// those that it was sent and has not acknowledged.
type Decline struct {
	Writer [16]byte
}

// Locked says that the sender cannot open the envelopes of an epoch: it has lost the key
// that it was handed the epoch for. Whoever knows the epoch hands it on for the key that
// the sender has now.
type Locked struct {
	Epoch [16]byte
}

// sizeRefusal is what each of them takes: one id.
const sizeRefusal = 16

// Type implements Message.
func (*Decline) Type() Type { return TypeDecline }

// Type implements Message.
func (*Locked) Type() Type { return TypeLocked }

func (m *Decline) append(b []byte) ([]byte, error) { return append(b, m.Writer[:]...), nil }
func (m *Locked) append(b []byte) ([]byte, error)  { return append(b, m.Epoch[:]...), nil }

func (*Decline) check() error { return nil }
func (*Locked) check() error  { return nil }

func decodeRefusal(t Type, b []byte) (Message, error) {
	if len(b) != sizeRefusal {
		return nil, malformed("refusal of %d bytes", len(b))
	}
	if t == TypeDecline {
		return &Decline{Writer: [16]byte(b)}, nil
	}
	return &Locked{Epoch: [16]byte(b)}, nil
}
