package wire

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/change"
)

// plainOf returns the CBOR of b without looking at what it says.
func plainOf(t testing.TB, b *Batch) []byte {
	t.Helper()
	plain, err := encMode.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func encodeBatch(t testing.TB, b *Batch) []byte {
	t.Helper()
	raw, err := b.Encode(change.Context{})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestBatchesRoundTrip(t *testing.T) {
	codecs := map[byte]int{}
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t)
		raw, err := b.Encode(change.Context{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeBatch(change.Context{}, raw)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, b) {
			t.Fatalf("encoded %+v, decoded %+v", b, got)
		}
		plain, err := encMode.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeBatch(change.Context{}, append([]byte{codecPlain}, plain...)); err != nil || !reflect.DeepEqual(got, b) {
			t.Fatalf("as it is: %+v, %v", got, err)
		}
		if len(raw) > len(plain)+1 {
			t.Fatalf("%d bytes for %d", len(raw), len(plain))
		}
		codecs[raw[0]]++
	})
	if codecs[codecPlain] == 0 || codecs[codecZstd] == 0 {
		t.Errorf("not every codec was tried: %v", codecs)
	}
}

// TestSmallFramesDeclareNoSize pins a defect: a zstd frame of less than 256
// bytes does not say how many they are, and was refused for that, so that a
// small batch never arrived.
func TestSmallFramesDeclareNoSize(t *testing.T) {
	undeclared := 0
	for size := 1; size < 1200; size++ {
		b := batchOf(1, size)
		raw := encodeBatch(t, b)
		got, err := DecodeBatch(change.Context{}, raw)
		if err != nil || !reflect.DeepEqual(got, b) {
			t.Fatalf("change of %d bytes: %v", size, err)
		}
		if raw[0] == codecZstd && raw[5]&0xe0 == 0 { // neither a size nor a single segment
			undeclared++
		}
	}
	if undeclared < 100 {
		t.Errorf("%d frames declared no size: the defect is not tried", undeclared)
	}
}

// TestCompressionStartsWhereItPays pins which codec Encode takes.
func TestCompressionStartsWhereItPays(t *testing.T) {
	overhead := len(plainOf(t, batchOf(1, 100))) - 100
	noise := make([]byte, 4000)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	for _, c := range []struct {
		b    *Batch
		want byte
	}{
		{batchOf(1, minCompress-1-overhead), codecPlain},
		{batchOf(1, minCompress-overhead), codecZstd},
		{&Batch{Docs: []Document{{Kind: 1}}, Changes: []BatchChange{{Raw: noise}}}, codecPlain},
	} {
		raw := encodeBatch(t, c.b)
		if raw[0] != c.want {
			t.Errorf("batch of %d bytes has codec %d, want %d", len(plainOf(t, c.b)), raw[0], c.want)
		}
	}
}

// TestBubbles pins a defect: the coders made their channels at their first
// use, and two tests under testing/synctest ended the process.
func TestBubbles(t *testing.T) {
	e, d, b := newEncoder(), newDecoder(), batchOf(10, 100)
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			if _, err := d.DecodeAll(e.EncodeAll([]byte("text"), nil), make([]byte, 0, 4)); err != nil {
				t.Error(err)
			}
			if _, err := DecodeBatch(change.Context{}, encodeBatch(t, b)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBatchesAreRefused gives CBOR that is not the one spelling of a batch.
func TestBatchesAreRefused(t *testing.T) {
	for name, plain := range map[string]string{
		"empty": "", "null": "f6", "undefined": "f7", "number": "01", "map": "a0", "one field": "81 81820161 61",
		"three fields": "83 8182016161 81820041aa 00", "null table": "82 f6 81820041aa", "null changes": "82 8182016161 f6",
		"no documents": "82 80 81820041aa", "no changes": "82 8182016161 80", "neither": "82 80 80",
		"kind zero": "82 8182006161 81820041aa", "kind 256": "82 81821901006161 81820041aa", "kind in two bytes": "82 818218016161 81820041aa",
		"kind null": "82 8182f66161 81820041aa", "kind negative": "82 8182206161 81820041aa", "kind float": "82 8182f93c006161 81820041aa",
		"entity bytes": "82 8182014161 81820041aa", "entity null": "82 818201f6 81820041aa", "entity in long form": "82 818201780161 81820041aa",
		"entity not UTF-8": "82 81820161ff 81820041aa", "entity half a character": "82 81820161c3 81820041aa", "entity a surrogate": "82 81820163eda080 81820041aa",
		"entity indefinite": "82 8182017f6161ff 81820041aa", "document of one field": "82 818101 81820041aa", "document of three": "82 818301616100 81820041aa",
		"document null": "82 81f6 81820041aa", "document index in long form": "82 8182016161 8182180041aa", "document index negative": "82 8182016161 81822041aa",
		"document index beyond": "82 8182016161 81820141aa", "document index behind the table": "82 8182016161 82820041aa820141aa", "document index of 32 bits": "82 8182016161 82820041aa821affffffff41aa",
		"document index of 33 bits": "82 8182016161 81821b000000010000000041aa", "document index null": "82 8182016161 8182f641aa",
		"change empty": "82 8182016161 81820040", "change null": "82 8182016161 818200f6", "change text": "82 8182016161 8182006161",
		"change as list": "82 8182016161 818200 81 01", "change in long form": "82 8182016161 8182005801aa", "change indefinite": "82 8182016161 8182005f41aaff",
		"change of one field": "82 8182016161 818100", "change of three": "82 8182016161 81830041aa00", "change tagged": "82 8182016161 818200c241aa",
		"document unused": "82 828201616182016162 81820041aa", "documents not in order of use": "82 828201616182016162 82820141aa820041aa",
		"document named twice": "82 828201616182016161 82820041aa820141aa", "document skipped": "82 838201616182016162 82016163 82820041aa820241aa",
		"table in long form": "82 98018201 6161 81820041aa", "list indefinite": "82 9f8201 6161ff 81820041aa", "all indefinite": "9f 8182016161 81820041aa ff",
		"trailing byte": "82 8182016161 81820041aa 00", "cut": "82 8182016161 81820041", "deep": "82 8182016161 8182008181818141aa",
		"change beyond the end": "82 8182016161 8182005affffffff", "count beyond the end": "82 8182016161 9affffffff", "count of 64 bits": "82 9bffffffffffffffff",
	} {
		raw := append([]byte{codecPlain}, unhex(t, plain)...)
		if b, err := DecodeBatch(change.Context{}, raw); err == nil {
			t.Errorf("%s: accepted as %+v", name, b)
		} else {
			wantError(t, name, err, ErrMalformed)
		}
		_, err := DecodeBatch(change.Context{}, append([]byte{codecZstd}, rawZstd(unhex(t, plain))...))
		wantError(t, name+", compressed", err, ErrMalformed)
	}
	_, err := DecodeBatch(change.Context{}, nil)
	wantError(t, "nothing", err, ErrMalformed)
	if _, err := DecodeBatch(change.Context{}, unhex(t, "01 82 8182016161 81820041aa")); err != nil { // what the cases above were made from
		t.Error(err)
	}
}

// TestBatchLimits tries every limit of a batch at the limit and one above, on
// the way out and on the way in.
func TestBatchLimits(t *testing.T) {
	for name, c := range map[string]struct{ at, above *Batch }{
		"changes":             {batchOf(MaxChanges, 1), batchOf(MaxChanges+1, 1)},
		"bytes of a change":   {batchOf(1, MaxChange), batchOf(1, MaxChange+1)},
		"least bytes":         {batchOf(1, 1), batchOf(1, 0)},
		"documents":           {manyDocs(MaxBatchDocs), manyDocs(MaxBatchDocs + 1)},
		"bytes of an entity":  {entity(strings.Repeat("é", MaxEntity/2)), entity(strings.Repeat("é", MaxEntity/2) + "a")},
		"UTF-8 of an entity":  {entity("\u00ff"), entity("\xff")},
		"bytes of all":        {plainBatch(t, MaxBatch), plainBatch(t, MaxBatch+1)},
		"index of a document": {indexed(0, 1, 0, 2), indexed(0, 1, 3, 2)},
		"least index":         {indexed(0), indexed(1)},
		"order of first use":  {indexed(0, 1, 0), indexed(1, 0, 1)},
	} {
		got, err := DecodeBatch(change.Context{}, encodeBatch(t, c.at))
		if err != nil {
			t.Errorf("%s, at the limit: %v", name, err)
		} else if !reflect.DeepEqual(got, c.at) {
			t.Errorf("%s, at the limit: decoded something else", name)
		}
		_, err = c.above.Encode(change.Context{})
		wantError(t, name+", above, encoded", err, ErrMalformed)
		packed := append([]byte{codecZstd}, encoder.EncodeAll(plainOf(t, c.above), nil)...)
		if len(packed) > MaxEnvelope {
			t.Fatalf("%s: %d bytes", name, len(packed))
		}
		_, err = DecodeBatch(change.Context{}, packed)
		wantError(t, name+", above, decoded", err, ErrMalformed)
	}
}

func manyDocs(n int) *Batch {
	b := &Batch{}
	for i := range n {
		b.Docs = append(b.Docs, Document{Kind: 1, Entity: string([]byte{'a' + byte(i>>12), 'a' + byte(i>>8&15), 'a' + byte(i>>4&15), 'a' + byte(i&15)})})
		b.Changes = append(b.Changes, BatchChange{Doc: uint32(i), Raw: []byte{1}})
	}
	return b
}

func entity(s string) *Batch {
	return &Batch{Docs: []Document{{Kind: 1, Entity: s}}, Changes: []BatchChange{{Raw: []byte{1}}}}
}

// indexed has changes to the documents of the given indexes.
func indexed(docs ...uint32) *Batch {
	b := &Batch{}
	for i := range slices.Max(docs) + 1 {
		b.Docs = append(b.Docs, Document{Kind: 1, Entity: string(rune('a' + i))})
	}
	for _, d := range docs {
		b.Changes = append(b.Changes, BatchChange{Doc: d, Raw: []byte{1}})
	}
	return b
}

// plainBatch returns a batch whose CBOR has n bytes.
func plainBatch(t *testing.T, n int) *Batch {
	t.Helper()
	b := batchOf(n/(MaxChange-100), MaxChange-100)
	rest := n - len(plainOf(t, b)) - 5 // the heads of one more change
	b.Changes = append(b.Changes, BatchChange{Raw: bytes.Repeat([]byte{7}, rest)})
	if got := len(plainOf(t, b)); got != n {
		t.Fatalf("made %d bytes instead of %d", got, n)
	}
	return b
}

// TestEncodedBatchLimits has batches that do not compress around the size of
// an envelope.
func TestEncodedBatchLimits(t *testing.T) {
	noise := make([]byte, MaxEnvelope)
	rand.NewChaCha8([32]byte{2}).Read(noise)
	b := batchOf(1, MaxEnvelope)
	b.Changes[0].Raw = noise
	overhead := len(plainOf(t, b)) + 1 - MaxEnvelope
	b.Changes[0].Raw = noise[overhead:]
	raw := encodeBatch(t, b)
	if len(raw) != MaxEnvelope || raw[0] != codecPlain {
		t.Fatalf("%d bytes with codec %d", len(raw), raw[0])
	}
	if _, err := DecodeBatch(change.Context{}, raw); err != nil {
		t.Error(err)
	}
	b.Changes[0].Raw = noise[overhead-1:]
	_, err := b.Encode(change.Context{})
	wantError(t, "one byte above, encoded", err, ErrMalformed)
	_, err = DecodeBatch(change.Context{}, append([]byte{codecPlain}, plainOf(t, b)...))
	wantError(t, "one byte above, decoded", err, ErrMalformed)
}
