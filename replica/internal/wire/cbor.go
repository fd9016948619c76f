package wire

import (
	"bytes"

	"github.com/fxamacker/cbor/v2"
)

// Messages have lists of other lengths than a batch or a part, and all are checked
// before memory is spent on their elements.
var (
	encMode    = newEncMode()
	decMessage = newDecMode(max(MaxWriters, MaxOps))
	decBatch   = newDecMode(max(MaxChanges, MaxBatchDocs))
	decSaved   = newDecMode(MaxBatchDocs)
	decNearby  = newDecMode(MaxNearby)
)

func newEncMode() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.NilContainers = cbor.NilContainerAsEmpty // one form for "nothing"
	enc, err := o.EncMode()
	if err != nil {
		panic(err) // unreachable: the options are constant
	}
	return enc
}

func newDecMode(elements int) cbor.DecMode {
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   4,
		MaxArrayElements:  elements,
		MaxMapPairs:       16,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode()
	if err != nil {
		panic(err) // unreachable: the options are constant
	}
	return dec
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
func decodeCBOR(mode cbor.DecMode, b []byte, v any) error {
	if err := mode.Unmarshal(b, v); err != nil {
		return malformed("%v", err)
	}
	again, err := encMode.Marshal(v)
	if err != nil || !bytes.Equal(again, b) {
		return malformed("encoding is not canonical")
	}
	return nil
}
