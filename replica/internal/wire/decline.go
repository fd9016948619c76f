package wire

// Decline says that the sender takes no envelopes of a writer on this stream: it
// distrusts the writer, or holds another log of it than the receiver. It holds none of
// those that it was sent and has not acknowledged.
type Decline struct {
	Writer [16]byte
}

const sizeDecline = 16

// Type implements Message.
func (*Decline) Type() Type { return TypeDecline }

func (m *Decline) append(b []byte) ([]byte, error) { return append(b, m.Writer[:]...), nil }

func (*Decline) check() error { return nil }

func decodeDecline(b []byte) (Message, error) {
	if len(b) != sizeDecline {
		return nil, malformed("decline of %d bytes", len(b))
	}
	return &Decline{Writer: [16]byte(b)}, nil
}
