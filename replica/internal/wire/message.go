package wire

import (
	"bytes"
	"fmt"
)

// Version is the version of the protocol that this package speaks.
const Version = 1

// The sizes of messages of fixed length.
const (
	sizeHello    = 1 + 8 + 32 + 1
	sizeCompare  = 8
	sizeCompared = 8 + 32 + 32
	sizePart     = 1 + 16 // in front of the documents
)

// Type is the byte of a frame behind its length.
type Type byte

// The types of frames.
const (
	TypeHello Type = iota + 1
	TypeFrontier
	TypeMembers
	TypeEnvelope
	TypeAck
	TypeCompare
	TypeCompared
	TypeEpochs
	TypeOffer
	TypeWant
	TypePart
	TypeNeighbours
	TypePrint
	TypeProbe
	TypeProbed
	TypeResume
	TypeFurther
	TypeDecline
	TypeLocked
)

// Message is one frame's content.
type Message interface {
	Type() Type
	// append appends the body.
	append(b []byte) ([]byte, error)
	// check holds a message to the limits, whichever way it goes.
	check() error
}

// Hello is the first message of each side. Equal digests mean that both
// hold the same envelopes and the same membership, and nothing else is sent.
type Hello struct {
	Instance [8]byte  // of the sender's database; a new one voids what is remembered of it
	Digest   [32]byte // of frontier and membership
	// Backlog says that the sender has changes which it seals only now. It
	// sends an empty Ack behind the last of them.
	Backlog bool
}

// Frontier says what the sender holds, in full.
type Frontier struct {
	Members [32]byte // digest of the membership operations' heads
	Entries []Entry  // ascending by writer
}

// Entry is one writer's place in a frontier.
type Entry struct {
	_      struct{} `cbor:",toarray"`
	Writer [16]byte
	Seq    uint64
	Head   [32]byte // id of the envelope numbered Seq
}

// Members carries signed membership operations, parents before children.
type Members struct {
	Ops [][]byte
}

// Epochs carries epoch records and rewraps. It comes behind the operations
// that announce them.
type Epochs struct {
	Records [][]byte
}

// Envelope carries one sealed envelope.
type Envelope struct {
	Raw []byte
}

// Ack says what has become durable at the sender since its last Ack. An
// empty one says that the backlog of its Hello is sent.
type Ack struct {
	Entries []Acked // ascending by writer
}

// Acked is one writer's place in an Ack: everything up to Seq is durable.
type Acked struct {
	_      struct{} `cbor:",toarray"`
	Writer [16]byte
	Seq    uint64
}

// Compare asks for the receiver's state fingerprint.
type Compare struct {
	Nonce [8]byte // repeated in the answer
}

// Compared answers a Compare. Fingerprints can be compared when the digests
// are equal.
type Compared struct {
	Nonce       [8]byte
	Digest      [32]byte // of frontier and membership, when Fingerprint was taken
	Fingerprint [32]byte
}

// Type implements Message.
func (*Hello) Type() Type { return TypeHello }

// Type implements Message.
func (*Frontier) Type() Type { return TypeFrontier }

// Type implements Message.
func (*Members) Type() Type { return TypeMembers }

// Type implements Message.
func (*Epochs) Type() Type { return TypeEpochs }

// Type implements Message.
func (*Envelope) Type() Type { return TypeEnvelope }

// Type implements Message.
func (*Ack) Type() Type { return TypeAck }

// Type implements Message.
func (*Compare) Type() Type { return TypeCompare }

// Type implements Message.
func (*Compared) Type() Type { return TypeCompared }

func (m *Hello) append(b []byte) ([]byte, error) {
	b = append(b, Version)
	b = append(b, m.Instance[:]...)
	b = append(b, m.Digest[:]...)
	if m.Backlog {
		return append(b, 1), nil
	}
	return append(b, 0), nil
}

func (m *Frontier) append(b []byte) ([]byte, error) {
	b = append(b, m.Members[:]...)
	return appendCBOR(b, m.Entries)
}

func (m *Members) append(b []byte) ([]byte, error)  { return appendCBOR(b, m.Ops) }
func (m *Epochs) append(b []byte) ([]byte, error)   { return appendCBOR(b, m.Records) }
func (m *Envelope) append(b []byte) ([]byte, error) { return append(b, m.Raw...), nil }
func (m *Ack) append(b []byte) ([]byte, error)      { return appendCBOR(b, m.Entries) }
func (m *Compare) append(b []byte) ([]byte, error)  { return append(b, m.Nonce[:]...), nil }

func (m *Compared) append(b []byte) ([]byte, error) {
	b = append(b, m.Nonce[:]...)
	b = append(b, m.Digest[:]...)
	return append(b, m.Fingerprint[:]...), nil
}

// decode reads the body of a frame. The message may keep body. The error
// wraps ErrMalformed or ErrUnsupported.
func decode(t Type, body []byte) (Message, error) {
	m, err := decodeBody(t, body)
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

func decodeBody(t Type, body []byte) (Message, error) {
	switch t {
	case TypeHello:
		m, err := decodeHello(body)
		if err != nil {
			return nil, err
		}
		return m, nil
	case TypeResume:
		return decodeResume(body)
	case TypeFurther:
		return &further{Rest: body}, nil
	case TypeFrontier:
		return decodeFrontier(body)
	case TypeMembers:
		m := &Members{}
		return m, decodeCBOR(decMessage, body, &m.Ops)
	case TypeEpochs:
		m := &Epochs{}
		return m, decodeCBOR(decMessage, body, &m.Records)
	case TypeEnvelope:
		return &Envelope{Raw: body}, nil
	case TypeAck:
		m := &Ack{}
		return m, decodeCBOR(decMessage, body, &m.Entries)
	case TypeCompare:
		if len(body) != sizeCompare {
			return nil, malformed("compare of %d bytes", len(body))
		}
		return &Compare{Nonce: [8]byte(body)}, nil
	case TypeCompared:
		return decodeCompared(body)
	case TypeOffer:
		m := &Offer{}
		return m, decodeCBOR(decMessage, body, &m.Chains)
	case TypeWant:
		return decodeWant(body)
	case TypePart:
		return decodePart(body)
	case TypeNeighbours:
		m := &Neighbours{}
		return m, decodeCBOR(decNearby, body, &m.Devices)
	case TypePrint:
		return decodePrint(body)
	case TypeProbe:
		return &Probe{Prefix: body}, nil
	case TypeProbed:
		return decodeProbed(body)
	case TypeDecline, TypeLocked:
		return decodeRefusal(t, body)
	}
	return nil, malformed("frame of unknown type %d", t)
}

func decodeHello(b []byte) (*Hello, error) {
	if len(b) > 0 && b[0] != Version {
		return nil, fmt.Errorf("wire: %w: the other device speaks protocol %d, this one %d", ErrUnsupported, b[0], Version)
	}
	if len(b) != sizeHello || b[41] > 1 {
		return nil, malformed("hello of %d bytes", len(b))
	}
	return &Hello{Instance: [8]byte(b[1:9]), Digest: [32]byte(b[9:41]), Backlog: b[41] == 1}, nil
}

func decodeFrontier(b []byte) (Message, error) {
	if len(b) < 32 {
		return nil, malformed("frontier of %d bytes", len(b))
	}
	m := &Frontier{Members: [32]byte(b[:32])}
	return m, decodeCBOR(decMessage, b[32:], &m.Entries)
}

func decodeCompared(b []byte) (Message, error) {
	if len(b) != sizeCompared {
		return nil, malformed("comparison of %d bytes", len(b))
	}
	return &Compared{Nonce: [8]byte(b[:8]), Digest: [32]byte(b[8:40]), Fingerprint: [32]byte(b[40:])}, nil
}

func (*Hello) check() error    { return nil }
func (*Compare) check() error  { return nil }
func (*Compared) check() error { return nil }

func (m *Frontier) check() error { return checkPlaces("frontier", m.Entries) }
func (m *Ack) check() error      { return checkPlaces("acknowledgement", m.Entries) }

func (m *Envelope) check() error {
	if len(m.Raw) == 0 || len(m.Raw) > MaxEnvelope {
		return malformed("envelope of %d bytes", len(m.Raw))
	}
	return nil
}

func (m *Members) check() error {
	if len(m.Ops) > MaxOps {
		return malformed("%d membership operations", len(m.Ops))
	}
	for i, op := range m.Ops {
		if len(op) == 0 || len(op) > MaxOp {
			return malformed("membership operation %d of %d bytes", i, len(op))
		}
	}
	return nil
}

func (m *Epochs) check() error {
	if len(m.Records) > MaxRecords {
		return malformed("%d epoch records", len(m.Records))
	}
	for i, r := range m.Records {
		if len(r) == 0 || len(r) > MaxRecord {
			return malformed("epoch record %d of %d bytes", i, len(r))
		}
	}
	return nil
}

// place is a place in a writer's log. The first envelope has number 1.
type place interface {
	place() (writer [16]byte, seq uint64)
}

func (e Entry) place() ([16]byte, uint64) { return e.Writer, e.Seq }
func (e Acked) place() ([16]byte, uint64) { return e.Writer, e.Seq }

// checkPlaces makes sure that a list names writers in ascending order, each
// once, so that equal lists have equal bytes.
func checkPlaces[P place](what string, places []P) error {
	if len(places) > MaxWriters {
		return malformed("%s of %d writers", what, len(places))
	}
	var before [16]byte
	for i, p := range places {
		w, seq := p.place()
		if seq == 0 || i > 0 && bytes.Compare(before[:], w[:]) >= 0 {
			return malformed("%s: entry %d", what, i)
		}
		before = w
	}
	return nil
}
