package wire

import (
	"bytes"

	"github.com/fxamacker/cbor/v2"
)

var encMode, decMode = modes()

func modes() (cbor.EncMode, cbor.DecMode) {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // unreachable: the options are constant
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   8,
		MaxArrayElements:  MaxChanges,
		MaxMapPairs:       16,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode()
	if err != nil {
		panic(err) // unreachable: the options are constant
	}
	return enc, dec
}

func appendCBOR(b []byte, v any) ([]byte, error) {
	enc, err := encMode.Marshal(v)
	if err != nil {
		return nil, err
	}
	return append(b, enc...), nil
}

// decodeCBOR reads one value that must be in core deterministic form
// (RFC 8949, section 4.2.1) and fill b.
func decodeCBOR(b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return malformed("%v", err)
	}
	again, err := encMode.Marshal(v)
	if err != nil || !bytes.Equal(again, b) {
		return malformed("encoding is not canonical")
	}
	return nil
}

func less(a, b [16]byte) bool { return bytes.Compare(a[:], b[:]) < 0 }
