package encryption

import (
	"bytes"
	"encoding/hex"
	"testing"
)

type sample struct {
	_     struct{} `cbor:",toarray"`
	A     uint64
	B     []byte
	C     []Hash
	Extra map[uint64]uint64
}

func TestDecodeAcceptsOnlyTheCanonicalForm(t *testing.T) {
	good := encode(sample{A: 23, B: []byte{1}, Extra: map[uint64]uint64{1: 2}})
	var s sample
	if err := decode(good, 100, &s); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"long integer":      "84 1817 4101 80 a0",
		"long length":       "84 17 580101 80 a0",
		"indefinite array":  "9f 17 4101 80 a0 ff",
		"indefinite string": "84 17 5f4101ff 80 a0",
		"tag":               "84 c117 4101 80 a0",
		"float":             "84 f94dc0 4101 80 a0",
		"null for bytes":    "84 17 f6 80 a0",
		"null for list":     "84 17 4101 f6 a0",
		"undefined":         "84 17 f7 80 a0",
		"text for bytes":    "84 17 6101 80 a0",
		"keys out of order": "84 17 4101 80 a2 0201 0102",
		"key twice":         "84 17 4101 80 a2 0102 0102",
		"short hash":        "84 17 4101 81 4101 a0",
		"long hash":         "84 17 4101 81 5821" + "000000000000000000000000000000000000000000000000000000000000000000" + " a0",
		"missing field":     "83 17 4101 80",
		"field too many":    "85 17 4101 80 a0 00",
		"trailing byte":     "84 17 4101 80 a0 00",
		"cut":               "84 17 4101 80",
		"nothing":           "",
		"negative":          "84 20 4101 80 a0",
		"length beyond end": "84 17 5affffffff",
		"huge array":        "84 17 4101 9affffffff",
	} {
		raw, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(text), []byte(" "), nil)))
		if err != nil {
			t.Fatal(err)
		}
		if err := decode(raw, 100, new(sample)); err == nil {
			t.Errorf("%s: %s was accepted", name, text)
		} else {
			wantError(t, err, ErrMalformed)
		}
	}
}

func TestDecodeLimits(t *testing.T) {
	raw := encode(sample{B: make([]byte, 100)})
	wantError(t, decode(raw, len(raw)-1, new(sample)), ErrTooLarge)
	var v any
	nested := func(n int) []byte { return append(bytes.Repeat([]byte{0x81}, n), 0) }
	if err := decode(nested(8), 100, &v); err != nil {
		t.Errorf("8 levels: %v", err)
	}
	wantError(t, decode(nested(9), 100, &v), ErrMalformed)
	wantError(t, decode(encode(make([]uint64, 8193)), 1<<20, &v), ErrMalformed)
}

func TestDecodeVersionedTellsNewerFromMalformed(t *testing.T) {
	type future struct {
		_       struct{} `cbor:",toarray"`
		Version uint64
		Suite   uint64
		News    string
	}
	wantError(t, decodeVersioned(encode(future{Version: 2, Suite: 1}), 100, new(preamble)), ErrUnsupported)
	wantError(t, decodeVersioned(encode(future{Version: 1, Suite: 2}), 100, new(preamble)), ErrUnsupported)
	wantError(t, decodeVersioned(encode(future{Version: 1, Suite: 1}), 100, new(preamble)), ErrMalformed)
	wantError(t, decodeVersioned(encode([]string{"a", "b"}), 100, new(preamble)), ErrMalformed)
	wantError(t, decodeVersioned([]byte{0x81, 1}, 100, new(preamble)), ErrMalformed)
	wantError(t, decodeVersioned(nil, 100, new(preamble)), ErrMalformed)
	if err := decodeVersioned(encode(preamble{Version: 1, Suite: 1}), 100, new(preamble)); err != nil {
		t.Error(err)
	}
}
