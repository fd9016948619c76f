package wire

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/starling-sync/starling/crdt/change"
)

// Offer says that the sender has dropped envelopes which the receiver lacks, or
// that there are so many that its documents say the same in less: the receiver
// may ask for these, and holds, when it has all of them, what the list says.
type Offer struct {
	Chains []Chain // ascending by writer
}

// Chain is one writer's place in an Offer, with what it takes to verify the
// envelope that follows.
type Chain struct {
	_       struct{} `cbor:",toarray"`
	Writer  [16]byte
	Seq     uint64
	Head    [32]byte
	Device  [16]byte
	Members [32]byte
}

func (c Chain) place() ([16]byte, uint64) { return c.Writer, c.Seq }

// Want asks for documents: those with the given ids, or, without any, the next
// ones after an id, in the order of ids.
type Want struct {
	After [16]byte   // zero with IDs
	IDs   [][16]byte // ascending
}

// Part answers a Want.
type Part struct {
	More   bool     // documents follow this one's last, if they were asked for in order
	Last   [16]byte // the id to go on after
	Packed []byte   // as EncodeSaved returned it
}

// Saved is one document in Automerge's format.
type Saved struct {
	Kind   uint8
	Entity string
	Doc    []byte

	// Changes are all changes of a document that comes elided, or is to, without Doc.
	Changes []change.Change
}

// savedRecord is how a Saved is encoded.
type savedRecord struct {
	_      struct{} `cbor:",toarray"`
	Kind   uint8
	Entity string
	Doc    []byte
}

// Type implements Message.
func (*Offer) Type() Type { return TypeOffer }

// Type implements Message.
func (*Want) Type() Type { return TypeWant }

// Type implements Message.
func (*Part) Type() Type { return TypePart }

func (m *Offer) append(b []byte) ([]byte, error) { return appendCBOR(b, m.Chains) }

func (m *Want) append(b []byte) ([]byte, error) {
	return appendCBOR(append(b, m.After[:]...), m.IDs)
}

func (m *Part) append(b []byte) ([]byte, error) {
	more := byte(0)
	if m.More {
		more = 1
	}
	return append(append(append(b, more), m.Last[:]...), m.Packed...), nil
}

func decodeWant(b []byte) (Message, error) {
	if len(b) < 16 {
		return nil, malformed("request of %d bytes", len(b))
	}
	m := &Want{After: [16]byte(b[:16])}
	return m, decodeCBOR(decMessage, b[16:], &m.IDs)
}

func decodePart(b []byte) (Message, error) {
	if len(b) < sizePart || b[0] > 1 {
		return nil, malformed("part of %d bytes", len(b))
	}
	return &Part{More: b[0] == 1, Last: [16]byte(b[1:sizePart]), Packed: b[sizePart:]}, nil
}

func (m *Offer) check() error { return checkPlaces("offer", m.Chains) }

func (m *Want) check() error {
	if len(m.IDs) > MaxWanted || len(m.IDs) > 0 && m.After != [16]byte{} {
		return malformed("request for %d documents", len(m.IDs))
	}
	for i := 1; i < len(m.IDs); i++ {
		if bytes.Compare(m.IDs[i-1][:], m.IDs[i][:]) >= 0 {
			return malformed("request for documents that are not in order")
		}
	}
	return nil
}

func (m *Part) check() error {
	if len(m.Packed) == 0 || len(m.Packed) > MaxPart {
		return malformed("part of %d bytes", len(m.Packed))
	}
	return nil
}

// EncodeSaved packs documents for a Part. The error wraps ErrMalformed for what
// DecodeSaved would refuse.
func EncodeSaved(docs []Saved) ([]byte, error) {
	if err := checkSaved(docs); err != nil {
		return nil, err
	}
	return pack(recordsOf(docs), MaxPart, codecPlain, codecZstd)
}

func recordsOf(docs []Saved) []savedRecord {
	records := make([]savedRecord, len(docs))
	for i, d := range docs {
		records[i] = savedRecord{Kind: d.Kind, Entity: d.Entity, Doc: d.Doc}
	}
	return records
}

// DecodeSaved reads what EncodeSaved or ElideSaved wrote. It does not look into saved
// documents; changes it restores. The error wraps ErrMalformed or ErrUnsupported.
func DecodeSaved(packed []byte, naming Naming) ([]Saved, error) {
	if len(packed) == 0 || len(packed) > MaxPart {
		return nil, malformed("part of %d bytes", len(packed))
	}
	codec, plain := packed[0], packed[1:]
	elided := codec == codecElided || codec == codecElidedZstd
	switch {
	case codec == codecPlain, codec == codecElided && naming != nil:
	case codec == codecZstd, codec == codecElidedZstd && naming != nil:
		var err error
		if plain, err = inflate(plain); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("wire: %w: part with codec %d", ErrUnsupported, codec)
	}
	if elided {
		docs, err := decodeElidedSaved(plain, naming)
		if err != nil {
			return nil, err
		}
		return docs, checkSaved(docs)
	}
	var records []savedRecord
	if err := decodeCBOR(decSaved, plain, &records); err != nil {
		return nil, err
	}
	docs := make([]Saved, len(records))
	for i, r := range records {
		docs[i] = Saved{Kind: r.Kind, Entity: r.Entity, Doc: r.Doc}
	}
	return docs, checkSaved(docs)
}

func checkSaved(docs []Saved) error {
	if len(docs) > MaxBatchDocs {
		return malformed("part of %d documents", len(docs))
	}
	for i, d := range docs {
		if d.Kind == 0 || len(d.Entity) > MaxEntity || !utf8.ValidString(d.Entity) || len(d.Doc)+len(d.Changes) == 0 || len(d.Doc) > MaxSaved {
			return malformed("document %d of a part", i)
		}
	}
	return nil
}
