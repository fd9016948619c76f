package wire

import "bytes"

// Neighbours says which devices the sender is connected with, so that nobody
// sends it what one of these has sent it.
type Neighbours struct {
	Devices [][16]byte // ascending
}

// Type implements Message.
func (*Neighbours) Type() Type { return TypeNeighbours }

func (m *Neighbours) append(b []byte) ([]byte, error) { return appendCBOR(b, m.Devices) }

func (m *Neighbours) check() error {
	if len(m.Devices) > MaxNearby {
		return malformed("%d neighbours", len(m.Devices))
	}
	for i := 1; i < len(m.Devices); i++ {
		if bytes.Compare(m.Devices[i-1][:], m.Devices[i][:]) >= 0 {
			return malformed("neighbours that are not in order")
		}
	}
	return nil
}
