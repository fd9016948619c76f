package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"slices"
	"testing"

	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/vectortest"
)

// seed gives the bytes of all frozen cases that have the key to f.
func seed(f *testing.F, key string) {
	seeds := 0
	for _, v := range vectortest.Read(f) {
		if v.Fields[3][0] == key {
			f.Add(unhex(f, v.Get(key)))
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
}

// wantTyped fails for an error that no caller could tell from another.
func wantTyped(t *testing.T, err error, also ...error) {
	t.Helper()
	if !isTyped(err, also...) {
		t.Fatalf("untyped error: %v", err)
	}
}

func isTyped(err error, also ...error) bool {
	return slices.ContainsFunc(append(also, ErrMalformed, ErrUnsupported), func(typed error) bool { return errors.Is(err, typed) })
}

// FuzzReader gives arbitrary bytes as a stream. What was read of it must be
// the one form of the messages that came out.
func FuzzReader(f *testing.F) {
	seed(f, "frame")
	f.Add(append(frameOf(f, &Hello{}), frameOf(f, ackOf(2))...))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, again := NewReader(bytes.NewReader(data)), []byte(nil)
		for {
			m, err := r.Read()
			if err == io.EOF {
				break
			}
			if err != nil {
				wantTyped(t, err, io.ErrUnexpectedEOF)
				return
			}
			if _, n := binary.Uvarint(data[len(again):]); Type(data[len(again)+n]) == TypeFurther {
				m = &further{Rest: m.(*Envelope).Raw[sizeFront:]} // whoever sends may leave it out, or not
			}
			if again, err = AppendFrame(again, m); err != nil || !bytes.HasPrefix(data, again) {
				t.Fatalf("%+v is not what was read: %v", m, err)
			}
		}
		if !bytes.Equal(again, data) {
			t.Fatalf("read %d bytes, they are %d", len(data), len(again))
		}
	})
}

// FuzzMessages gives arbitrary bytes as the body of a message of every type.
func FuzzMessages(f *testing.F) {
	seed(f, "frame")
	f.Add([]byte{0x80})
	f.Add(append(make([]byte, 32), 0x80))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, typ := range types() {
			m, err := decode(typ, body)
			if err != nil {
				wantTyped(t, err)
				continue
			}
			again, err := m.append(nil)
			if err != nil || !bytes.Equal(again, body) {
				t.Fatalf("%+v has another form: %x, %v", m, again, err)
			}
			if _, rest := m.(*further); rest {
				continue // it is nothing by itself
			}
			if got, err := readOne(frameOf(t, m)); err != nil || !reflect.DeepEqual(got, m) {
				t.Fatalf("sent %+v, received %+v, %v", m, got, err)
			}
		}
	})
}

// FuzzBatch gives arbitrary bytes as a batch, as its CBOR, elided or not, and as
// that in a zstd frame. All that a batch says must survive being encoded, and its CBOR
// must have one form.
func FuzzBatch(f *testing.F) {
	seed(f, "batch")
	_, _, raw := encodedPlaced(f)
	f.Add(raw)
	f.Add(plainOf(f, libraryBatch()))
	f.Add(elidedOf(f, elidable(f, 7, 3), nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzBatch(t, append([]byte{codecElided}, data...))
		plain := append([]byte{codecPlain}, data...)
		b := fuzzBatch(t, plain)
		if b != nil && !bytes.Equal(plainOf(t, b), data) {
			t.Fatalf("%+v has another form: %x", b, plainOf(t, b))
		}
		fuzzBatch(t, data)
		if len(data) > maxBlock {
			return
		}
		if same := fuzzBatch(t, append([]byte{codecZstd}, rawZstd(data)...)); !reflect.DeepEqual(same, b) {
			t.Fatalf("as it is %+v, in a frame %+v", b, same)
		}
	})
}

// fuzzBatch returns the batch that data is, nil when it is none.
func fuzzBatch(t *testing.T, data []byte) *Batch {
	b, err := DecodeBatch(change.Context{}, data)
	if err != nil {
		wantTyped(t, err)
		return nil
	}
	if len(b.Changes) == 0 { // some follow changes that have to be known
		for i := range b.Docs {
			_, err := b.Of(i, func(p change.Place) (change.Hash, bool) { return change.Hash{byte(p.Seq)}, p.Seq%2 == 0 })
			if err != nil && !errors.Is(err, change.ErrUnknownChange) {
				wantTyped(t, err)
			}
		}
		return b
	}
	raw, err := b.Encode(change.Context{})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := DecodeBatch(change.Context{}, raw); err != nil || !sameBatch(again, b) {
		t.Fatalf("encoded %+v, decoded %+v, %v", b, again, err)
	}
	return b
}

// FuzzSaved gives arbitrary bytes as packed documents, as their CBOR, and as that
// in a zstd frame. What a part says must survive being packed, and its CBOR must have
// one form.
func FuzzSaved(f *testing.F) {
	for _, docs := range [][]Saved{{}, savedOf(3, []byte("a document")), savedOf(2, bytes.Repeat([]byte("document"), 40))} {
		packed, err := EncodeSaved(docs)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
		f.Add(packed[1:])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tryPacked(t, data)
		docs := tryPacked(t, append([]byte{codecPlain}, data...))
		if docs != nil {
			if plain, err := encMode.Marshal(recordsOf(docs)); err != nil || !bytes.Equal(plain, data) {
				t.Fatalf("%+v has another form: %x, %v", docs, plain, err)
			}
		}
		if len(data) > maxBlock {
			return
		}
		if same := tryPacked(t, append([]byte{codecZstd}, rawZstd(data)...)); !reflect.DeepEqual(same, docs) {
			t.Fatalf("as it is %+v, in a frame %+v", docs, same)
		}
	})
}

// FuzzInflate gives arbitrary bytes as a zstd frame. What inflates must keep
// within what was known of it before.
func FuzzInflate(f *testing.F) {
	seed(f, "batch")
	f.Add(undeclared(rle(2)...))
	f.Add(encoder.EncodeAll(bytes.Repeat([]byte("abc"), 1000), nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, packed := range [][]byte{data, bytes.TrimPrefix(data, []byte{codecZstd}), append(undeclared(), data...)} {
			plain, err := inflate(packed)
			if err != nil {
				wantTyped(t, err)
				continue
			}
			size, err := checkFrame(packed)
			if err != nil || uint64(len(plain)) > size || size > MaxBatch {
				t.Fatalf("%d bytes, at most %d: %v", len(plain), size, err)
			}
			if !bytes.HasPrefix(packed, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
				t.Fatal("it does not begin with a frame")
			}
			if _, err := inflate(append(bytes.Clone(packed), 0)); !errors.Is(err, ErrMalformed) {
				t.Fatalf("with a byte behind it: %v", err)
			}
		}
	})
}
