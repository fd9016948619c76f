package wire

import "fmt"

// sizeResume is what stands in front of the members and the entries of a Resume.
const sizeResume = sizeHello + 32

// Resume is a Hello that says more: what the sender's frontier is, told from one that
// both ends may remember of the last time they met.
type Resume struct {
	Hello
	Base    [32]byte // the digest under which that frontier is remembered
	Members []byte   // the roster digest of the sender; empty: that of the base
	Entries []Entry  // ascending by writer: of those that are not as in the base
}

// Type implements Message.
func (*Resume) Type() Type { return TypeResume }

// since is the end of a Resume.
type since struct {
	_       struct{} `cbor:",toarray"`
	Members []byte
	Entries []Entry
}

func (m *Resume) append(b []byte) ([]byte, error) {
	b, err := m.Hello.append(b)
	if err != nil {
		return nil, err
	}
	return appendCBOR(append(b, m.Base[:]...), since{Members: m.Members, Entries: m.Entries})
}

func decodeResume(b []byte) (Message, error) {
	hello, err := decodeHello(b[:min(len(b), sizeHello)])
	if err != nil {
		return nil, fmt.Errorf("resume: %w", err)
	}
	if len(b) < sizeResume {
		return nil, malformed("resume of %d bytes", len(b))
	}
	var s since
	if err := decodeCBOR(decMessage, b[sizeResume:], &s); err != nil {
		return nil, err
	}
	return &Resume{Hello: *hello, Base: [32]byte(b[sizeHello:sizeResume]), Members: s.Members, Entries: s.Entries}, nil
}

func (m *Resume) check() error {
	if n := len(m.Members); n != 0 && n != 32 {
		return malformed("roster digest of %d bytes", n)
	}
	return checkPlaces("resume", m.Entries)
}
