package wire

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/change"
)

// drawSaved draws documents, of which some compress and some do not.
func drawSaved(t *rapid.T) []Saved {
	docs := []Saved{}
	for range rapid.IntRange(0, 20).Draw(t, "documents") {
		doc := rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "doc")
		docs = append(docs, Saved{
			Kind: rapid.Uint8Min(1).Draw(t, "kind"), Entity: rapid.StringN(-1, -1, MaxEntity).Draw(t, "entity"),
			Doc: bytes.Repeat(doc, rapid.IntRange(1, 20).Draw(t, "times")),
		})
	}
	return docs
}

// TestSavedRoundTrip packs documents, and alters one byte of them: what comes out
// then, if anything, is packed again without loss.
func TestSavedRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		docs := drawSaved(t)
		packed, err := EncodeSaved(docs)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeSaved(packed, nil)
		if err != nil || !reflect.DeepEqual(got, docs) {
			t.Fatalf("packed %+v, got %+v, %v", docs, got, err)
		}
		if _, err := DecodeSaved(packed[:len(packed)-1], nil); err == nil {
			t.Fatal("accepted without its last byte")
		}
		if _, err := DecodeSaved(append(bytes.Clone(packed), 0), nil); err == nil {
			t.Fatal("accepted with a byte behind it")
		}
		packed[rapid.IntRange(0, len(packed)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		tryPacked(t, packed)
	})
}

// tryPacked returns the documents that packed is, nil if it is none.
func tryPacked(t interface{ Fatalf(string, ...any) }, packed []byte) []Saved {
	docs, err := DecodeSaved(packed, nil)
	if err != nil {
		if !isTyped(err) {
			t.Fatalf("untyped error: %v", err)
		}
		return nil
	}
	again, err := EncodeSaved(docs)
	if err != nil {
		t.Fatalf("%+v cannot be packed again: %v", docs, err)
	}
	if got, err := DecodeSaved(again, nil); err != nil || !reflect.DeepEqual(got, docs) {
		t.Fatalf("packed %+v again, got %+v, %v", docs, got, err)
	}
	return docs
}

// noise returns bytes that do not compress.
func noise(n int) []byte {
	b, r := make([]byte, n), rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(b) // cannot fail
	return b
}

func savedOf(n int, doc []byte) []Saved {
	docs := make([]Saved, n)
	for i := range docs {
		docs[i] = Saved{Kind: 1, Doc: doc}
	}
	return docs
}

// plainSaved returns documents as they are, whatever they break.
func plainSaved(t *testing.T, docs []Saved) []byte {
	t.Helper()
	plain, err := encMode.Marshal(recordsOf(docs))
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// TestSavedLimits tries every limit at the limit and one above, on the way out and
// on the way in.
func TestSavedLimits(t *testing.T) {
	entity := func(n int) []Saved {
		return []Saved{{Kind: 1, Entity: string(bytes.Repeat([]byte{'a'}, n)), Doc: []byte{1}}}
	}
	// The codec, the list, and a document of a kind, no entity and a length.
	const list, document = 1 + 1, 1 + 1 + 1 + 5
	rest := MaxPart - list - 2*document - MaxSaved
	unpacked := MaxBatch - 1 - 2*document - MaxSaved
	for name, c := range map[string]struct{ at, above []Saved }{
		"documents":           {savedOf(MaxBatchDocs, []byte{1}), savedOf(MaxBatchDocs+1, []byte{1})},
		"bytes of an entity":  {entity(MaxEntity), entity(MaxEntity + 1)},
		"bytes of a document": {savedOf(1, noise(MaxSaved)), savedOf(1, noise(MaxSaved+1))},
		"small document":      {savedOf(1, make([]byte, MaxSaved)), savedOf(1, make([]byte, MaxSaved+1))},
		"least bytes of one":  {savedOf(1, []byte{1}), savedOf(1, nil)},
		"kind":                {savedOf(1, []byte{1}), []Saved{{Doc: []byte{1}}}},
		"text":                {[]Saved{{Kind: 1, Entity: "é", Doc: []byte{1}}}, []Saved{{Kind: 1, Entity: "\xe9", Doc: []byte{1}}}},
		"bytes packed":        {twoSaved(noise(MaxSaved), noise(rest)), twoSaved(noise(MaxSaved), noise(rest+1))},
		"bytes unpacked":      {twoSaved(make([]byte, MaxSaved), make([]byte, unpacked)), twoSaved(make([]byte, MaxSaved), make([]byte, unpacked+1))},
	} {
		packed, err := EncodeSaved(c.at)
		if err != nil {
			t.Errorf("%s, at the limit: %v", name, err)
		} else if got, err := DecodeSaved(packed, nil); err != nil || !reflect.DeepEqual(got, c.at) {
			t.Errorf("%s, at the limit: %v", name, err)
		}
		_, err = EncodeSaved(c.above)
		wantError(t, name+", packed", err, ErrMalformed)
		plain := plainSaved(t, c.above)
		_, err = DecodeSaved(append([]byte{codecPlain}, plain...), nil)
		wantError(t, name+", as it is", err, ErrMalformed)
		_, err = DecodeSaved(encoder.EncodeAll(plain, []byte{codecZstd}), nil)
		wantError(t, name+", in a frame", err, ErrMalformed)
	}
	at, err := EncodeSaved(twoSaved(noise(MaxSaved), noise(rest)))
	if err != nil || len(at) != MaxPart {
		t.Errorf("the largest part has %d bytes, %v: it does not try the limit", len(at), err)
	}
	if n := len(plainSaved(t, twoSaved(make([]byte, MaxSaved), make([]byte, unpacked)))); n != MaxBatch {
		t.Errorf("%d bytes unpacked: they do not try the limit", n)
	}
}

func twoSaved(a, b []byte) []Saved { return []Saved{{Kind: 1, Doc: a}, {Kind: 1, Doc: b}} }

// TestSavedIsRefused gives what is not the one spelling of documents.
func TestSavedIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "null": "f6", "not a list": "40", "map": "a0", "null document": "81f6", "two fields": "8182 01 60", "four fields": "8184 01 60 4101 00",
		"kind 0": "8183 00 60 4101", "kind 256": "8183 190100 60 4101", "long kind": "8183 1801 60 4101", "negative kind": "8183 20 60 4101",
		"entity of bytes": "8183 01 40 4101", "broken text": "8183 01 61ff 4101", "no document": "8183 01 60 40", "null in its place": "8183 01 60 f6",
		"text in its place": "8183 01 60 6101", "long length": "8183 01 60 580101", "indefinite bytes": "8183 01 60 5f4101ff",
		"indefinite list": "9f83 01 60 4101ff", "tag": "81c183 01 60 4101", "cut": "8283 01 60 4101", "trailing byte": "8183 01 60 410100",
		"length beyond the end": "8183 01 60 5affffffff", "count beyond the end": "9bffffffffffffffff",
	} {
		plain := unhex(t, text)
		_, err := DecodeSaved(append([]byte{codecPlain}, plain...), nil)
		wantError(t, name, err, ErrMalformed)
		_, err = DecodeSaved(append([]byte{codecZstd}, rawZstd(plain)...), nil)
		wantError(t, name+", in a frame", err, ErrMalformed)
	}
	if docs, err := DecodeSaved(append([]byte{codecPlain}, unhex(t, "8183 01 60 4101")...), nil); err != nil || len(docs) != 1 {
		t.Errorf("what the cases are made from: %+v, %v", docs, err)
	}
	_, err := DecodeSaved(nil, nil)
	wantError(t, "nothing", err, ErrMalformed)
	_, err = DecodeSaved(make([]byte, MaxPart+1), nil)
	wantError(t, "more than a part", err, ErrMalformed)
	for _, codec := range []byte{0, 3, codecElided, codecElidedZstd, 255} {
		_, err := DecodeSaved([]byte{codec, 0x80}, nil)
		wantError(t, "codec", err, ErrUnsupported)
	}
}

// TestSavedAllocatesNothing has lists that say or hold more than is allowed, up to
// the size of a part.
func TestSavedAllocatesNothing(t *testing.T) {
	count := func(element byte, n int) []byte {
		return append([]byte{codecPlain, 0x9a, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, bytes.Repeat([]byte{element}, n)...)
	}
	for name, packed := range map[string][]byte{
		"empty documents":      count(0x80, MaxPart-6),
		"one more than may be": count(0x80, MaxBatchDocs+1),
		"null":                 count(0xf6, MaxPart-6),
		"two million blocks":   append([]byte{codecZstd}, undeclared(rle(MaxPart/4-3)...)...),
		"blocks of nothing":    append([]byte{codecZstd}, undeclared(bytesBlocks(MaxPart/3-3)...)...),
		"count beyond the end": append([]byte{codecPlain}, unhex(t, "9a00004000")...),
	} {
		var err error
		got := allocated(func() { _, err = DecodeSaved(packed, nil) })
		wantError(t, name, err, ErrMalformed)
		if got > 64<<10 {
			t.Errorf("%s: %d bytes allocated for %d", name, got, len(packed))
		}
	}
}

// bytesBlocks are n blocks that hold nothing, of three bytes each.
func bytesBlocks(n int) [][]byte {
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = block(blockRaw, 0)
	}
	return blocks
}

// Runs that no writer makes are refused, and all runs where the reader cannot know
// what was left out.
func TestElidedSavedRefuses(t *testing.T) {
	for name, e := range map[string]*elidedSaved{
		"nothing of a document": {Docs: []Document{{Kind: 1, Entity: "a"}}},
		"a document that is not there": {
			Docs: []Document{{Kind: 1, Entity: "a"}}, Runs: []writerRun{{Writer: writer(1), Docs: []uint32{1}, Run: make([]byte, 3)}},
		},
		"writers twice":   {Runs: []writerRun{{Writer: writer(1)}, {Writer: writer(1)}}},
		"a run of rubble": {Docs: []Document{{Kind: 1, Entity: "a"}}, Runs: []writerRun{{Writer: writer(1), Docs: []uint32{0}, Run: []byte("rubble")}}},
	} {
		packed, err := pack(e, MaxPart, codecElided, codecElidedZstd)
		if err != nil {
			t.Fatal(err)
		}
		_, err = DecodeSaved(packed, func([16]byte) change.Context { return change.Context{} })
		wantError(t, name, err, ErrMalformed)
		_, err = DecodeSaved(packed, nil)
		wantError(t, name+", without a naming", err, ErrUnsupported)
	}
}
