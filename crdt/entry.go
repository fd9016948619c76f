package crdt

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// Vector says how far each writer's entries were seen: those with an n up to
// its number.
type Vector map[Writer]uint64

// Covers says whether e had been seen.
func (v Vector) Covers(e *Entry) bool { return e.N <= v[e.Writer] }

// See adds entries to v.
func (v Vector) See(entries ...Entry) {
	for i := range entries {
		v[entries[i].Writer] = max(v[entries[i].Writer], entries[i].N)
	}
}

// Join adds what o had seen to v.
func (v Vector) Join(o Vector) {
	for w, n := range o { // order-free: a maximum for each writer
		v[w] = max(v[w], n)
	}
}

// Entry is what one writer has to say about one register.
type Entry struct {
	Writer Writer
	// Stamp places the choice in time.
	Stamp Stamp
	// N counts the entries of Writer in this document, from 1.
	N uint64
	// Payload is one item of deterministic CBOR; see Decode.
	Payload []byte
	// Seen is which entries a removal or a clearing had observed.
	Seen Vector
	// Context is what else the person saw (a message position), one item of
	// deterministic CBOR. An entry has Seen or Context or neither.
	Context []byte
}

var (
	encoder = must(cbor.CoreDetEncOptions().EncMode())
	decoder = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // unreachable: the options and types are constant
	}
	return v
}

// Decode reads one item of deterministic CBOR (RFC 8949 section 4.2.1) into
// a T. It accepts exactly the bytes that writing that T gives.
func Decode[T any](b []byte) (v T, ok bool) {
	if len(b) == 0 || decoder.Unmarshal(b, &v) != nil {
		return v, false
	}
	again, err := encoder.Marshal(v)
	return v, err == nil && bytes.Equal(again, b)
}

// wireEntry and wireSeenEntry are the arrays that are the value of a key.
type wireEntry struct {
	_       struct{} `cbor:",toarray"`
	Stamp   uint64
	N       uint64
	Payload cbor.RawMessage
}

type wireSeenEntry struct {
	_       struct{} `cbor:",toarray"`
	Stamp   uint64
	N       uint64
	Payload cbor.RawMessage
	Seen    cbor.RawMessage
}

// The first byte of a CBOR item: an array of 3 or 4 items, a map, null.
const (
	cborArray3 = 0x83
	cborArray4 = 0x84
	cborMap    = 5
	cborNull   = 0xf6
)

// encode returns the value of the entry's key.
func (e *Entry) encode() ([]byte, error) {
	switch {
	case e.Context != nil:
		return encoder.Marshal(wireSeenEntry{Stamp: uint64(e.Stamp), N: e.N, Payload: e.Payload, Seen: e.Context})
	case len(e.Seen) > 0:
		seen, err := encoder.Marshal(wireVector(e.Seen))
		if err != nil {
			return nil, err
		}
		return encoder.Marshal(wireSeenEntry{Stamp: uint64(e.Stamp), N: e.N, Payload: e.Payload, Seen: seen})
	default:
		return encoder.Marshal(wireEntry{Stamp: uint64(e.Stamp), N: e.N, Payload: e.Payload})
	}
}

// wireVector has the byte-string keys that a Vector is written with.
func wireVector(v Vector) map[cbor.ByteString]uint64 {
	m := make(map[cbor.ByteString]uint64, len(v))
	for w, n := range v { // order-free: a map is filled
		m[cbor.ByteString(w[:])] = n
	}
	return m
}

// decodeEntry reads the value of a key; false means that it is ignored.
func decodeEntry(w Writer, b []byte) (Entry, bool) {
	if len(b) == 0 {
		return Entry{}, false
	}
	switch b[0] {
	case cborArray3:
		v, ok := Decode[wireEntry](b)
		return Entry{Writer: w, Stamp: Stamp(v.Stamp), N: v.N, Payload: v.Payload}, ok && v.N > 0
	case cborArray4:
		v, ok := Decode[wireSeenEntry](b)
		e := Entry{Writer: w, Stamp: Stamp(v.Stamp), N: v.N, Payload: v.Payload}
		return e, ok && v.N > 0 && e.readSeen(v.Seen)
	default:
		return Entry{}, false
	}
}

func (e *Entry) readSeen(b []byte) bool {
	if b[0]>>5 != cborMap {
		e.Context = b
		return b[0] != cborNull
	}
	m, ok := Decode[map[cbor.ByteString]uint64](b)
	if !ok || len(m) == 0 {
		return false
	}
	e.Seen = make(Vector, len(m))
	for k, n := range m { // order-free: a map is filled
		if len(k) != len(Writer{}) {
			return false
		}
		e.Seen[Writer([]byte(k))] = n
	}
	return true
}

// key names one cell of the root map.
type key struct {
	field, element string
	writer         Writer
}

func (k key) String() string {
	if k.element == "" {
		return k.field + "/" + k.writer.String()
	}
	return k.field + "/" + k.element + "/" + k.writer.String()
}

// parseKey is the inverse of key.String. Fields have no slash, elements may.
func parseKey(s string) (key, bool) {
	field, rest, ok := strings.Cut(s, "/")
	if !ok || field == "" {
		return key{}, false
	}
	k := key{field: field}
	if i := strings.LastIndexByte(rest, '/'); i >= 0 {
		k.element, rest = rest[:i], rest[i+1:]
		if k.element == "" {
			return key{}, false
		}
	}
	k.writer, ok = parseWriter(rest)
	return k, ok
}

// checkKey says why no key can be made of a field and an element.
func checkKey(field, element string) error {
	if field == "" || strings.Contains(field, "/") {
		return errors.New("the field name is empty or has a slash")
	}
	if !utf8.ValidString(field) || !utf8.ValidString(element) {
		return errNotUTF8
	}
	return nil
}

var errNotUTF8 = errors.New("not valid UTF-8")

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// encodePayload writes v as the payload or context of an entry.
func encodePayload(what string, v any) ([]byte, error) {
	b, err := encoder.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", what, err)
	}
	return b, nil
}
