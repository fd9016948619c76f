package encryption

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Every format of this package begins with these two numbers. The suite names
// all algorithms at once: Ed25519, HPKE with MLKEM768-X25519, HKDF-SHA256 and
// ChaCha20-Poly1305, XChaCha20-Poly1305, SHA-256.
const (
	formatVersion = 1
	suiteOne      = 1
)

// preamble is the start of every signed or stored array.
type preamble struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Suite   uint64
}

var encMode = newEncMode()
var decMode = newDecMode()

func newEncMode() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.NilContainers = cbor.NilContainerAsEmpty // one form for "nothing"
	o.TagsMd = cbor.TagsForbidden
	return must(o.EncMode())
}

func newDecMode() cbor.DecMode {
	return must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   8,
		MaxArrayElements:  8192,
		MaxMapPairs:       64,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode())
}

// must turns a failure that only a programming error can cause into a panic.
func must[T any](v T, err error) T {
	if err != nil {
		// unreachable: only fixed options, fixed lengths and this package's own types come here
		panic(fmt.Sprintf("encryption: %v", err))
	}
	return v
}

// encode returns the core deterministic CBOR of one of this package's own types.
func encode(v any) []byte { return must(encMode.Marshal(v)) }

// decode reads exactly one value of at most limit bytes into v. It accepts only
// the one canonical form: what v encodes to must equal raw, byte for byte.
// Errors wrap ErrTooLarge or ErrMalformed.
func decode(raw []byte, limit int, v any) error {
	rest, err := decodeFirst(raw, limit, v)
	if err != nil {
		return err
	}
	if len(rest) != 0 {
		return fmt.Errorf("%w: %d bytes after the end", ErrMalformed, len(rest))
	}
	return nil
}

// decodeFirst is decode for a value that something else follows; it returns
// what follows.
func decodeFirst(raw []byte, limit int, v any) (rest []byte, err error) {
	if len(raw) > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(raw), limit)
	}
	rest, err = decMode.UnmarshalFirst(raw, v)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	again, err := encMode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if !bytes.Equal(again, raw[:len(raw)-len(rest)]) {
		return nil, fmt.Errorf("%w: not in canonical form", ErrMalformed)
	}
	return rest, nil
}

// decodeVersioned is decode for an array that begins with a version and a
// suite. An unknown one gives ErrUnsupported, whatever follows it.
func decodeVersioned(raw []byte, limit int, v any) error {
	if len(raw) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(raw), limit)
	}
	if err := checkPreamble(raw); err != nil {
		return err
	}
	return decode(raw, limit, v)
}

func checkPreamble(raw []byte) error {
	var fields []cbor.RawMessage
	if err := decMode.Unmarshal(raw, &fields); err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if len(fields) < 2 {
		return fmt.Errorf("%w: no version and suite", ErrMalformed)
	}
	for i, want := range []uint64{formatVersion, suiteOne} {
		var got uint64
		if err := decMode.Unmarshal(fields[i], &got); err != nil {
			return fmt.Errorf("%w: version and suite are not numbers", ErrMalformed)
		}
		if got != want {
			return fmt.Errorf("%w: %s %d", ErrUnsupported, [...]string{"version", "suite"}[i], got)
		}
	}
	return nil
}

// hash returns SHA-256(label ‖ 0 ‖ body).
func (l label) hash(body []byte) (sum Hash) {
	h := sha256.New()
	h.Write([]byte(l))
	h.Write([]byte{0})
	h.Write(body)
	h.Sum(sum[:0])
	return sum
}
