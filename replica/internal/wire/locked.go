package wire

// Locked says that the sender cannot open the envelopes of an epoch: it has lost the key
// that it was handed the epoch for. Whoever knows the epoch hands it on for the key that
// the sender has now.
type Locked struct {
	Epoch [16]byte
}

const sizeLocked = 16

// Type implements Message.
func (*Locked) Type() Type { return TypeLocked }

func (m *Locked) append(b []byte) ([]byte, error) { return append(b, m.Epoch[:]...), nil }

func (*Locked) check() error { return nil }

func decodeLocked(b []byte) (Message, error) {
	if len(b) != sizeLocked {
		return nil, malformed("locked epoch of %d bytes", len(b))
	}
	return &Locked{Epoch: [16]byte(b)}, nil
}
