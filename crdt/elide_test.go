package crdt

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/change"
)

// elision is what both ends know of the changes of writer 1.
func elision() change.Context {
	return change.Context{Actor: Writer{1}, Suffix: "/" + Writer{1}.String()}
}

// TestElidedChangesComeBack byte by byte: whatever one writer writes into several
// documents, alone and beside others.
func TestElidedChangesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := int64(1_700_000_000_000)
		var documents [][]Change
		for range rapid.IntRange(1, 4).Draw(t, "documents") {
			d, other := newDocument(t, 1), newDocument(t, 2)
			var own []Change
			for range rapid.IntRange(1, 12).Draw(t, "steps") {
				clock++
				if rapid.IntRange(0, 3).Draw(t, "who") == 0 {
					if c := write(t, other, clock, randomWrite(t)); c != nil && rapid.Bool().Draw(t, "told") {
						tellAll(t, other, d)
					}
				} else if c := write(t, d, clock, randomWrite(t)); c != nil {
					own = append(own, *c)
				}
			}
			if from := rapid.IntRange(0, len(own)).Draw(t, "from"); from < len(own) {
				documents = append(documents, own[from:])
			}
		}
		if len(documents) == 0 {
			return
		}
		run, err := change.Elide(elision(), documents, nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := change.Restore(elision(), run, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := rawOf(again), rawOf(documents); !slices.EqualFunc(got, want, bytes.Equal) || len(again) != len(documents) {
			t.Fatalf("came back as %x, were %x", got, want)
		}
	})
}

// tellAll gives a document everything that another one has.
func tellAll(t tester, from, to *Document) {
	t.Helper()
	all, err := from.Changes()
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		apply(t, to, &all[i])
	}
}

func rawOf(documents [][]Change) (raws [][]byte) {
	for _, changes := range documents {
		for _, c := range changes {
			raws = append(raws, c.Raw)
		}
	}
	return raws
}

func TestElideRefuses(t *testing.T) {
	d := newDocument(t, 1)
	one, two, three := *write(t, d, 0, setName("1")), *write(t, d, 0, setName("2")), *write(t, d, 0, setName("3"))
	for name, documents := range map[string][][]Change{
		"a gap":             {{one, three}},
		"another writer":    {{*write(t, newDocument(t, 2), 0, setName("1"))}},
		"an empty document": {{one, two}, {}},
	} {
		if _, err := change.Elide(elision(), documents, nil); !errors.Is(err, change.ErrNotElidable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestElidedTextsAreShort: a text that is typed, changed and removed takes no more
// than the changes that hold it, although each character is an operation.
func TestElidedTextsAreShort(t *testing.T) {
	packer, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, alphabet := range map[string]string{
		"noise":           "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_",
		"mixed lengths":   "abcdefg éöüß привет 你好世界 🙃🙂",
		"one character":   "a",
		"three byte ones": "你好世界早上晚安谢再见请问",
	} {
		random, letters := rand.New(rand.NewPCG(1, 2)), []rune(alphabet)
		text := func(n int) string {
			var b strings.Builder
			for range n {
				b.WriteRune(letters[random.IntN(len(letters))])
			}
			return b.String()
		}
		d := newDocument(t, 1)
		one, two := text(5000), text(5000)
		var changes []Change
		for _, next := range []string{one + two, one + "." + two, text(10), text(3000)} {
			changes = append(changes, *write(t, d, 0, func(e *Edit) error { return typeNote(e, next) }))
		}
		raw := slices.Concat(rawOf([][]Change{changes})...)
		run, err := change.Elide(elision(), [][]Change{changes}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if elided, whole := len(packer.EncodeAll(run, nil)), len(packer.EncodeAll(raw, nil)); elided > whole {
			t.Errorf("%s: %d bytes where the changes take %d", name, elided, whole)
		} else {
			t.Logf("%s: %d bytes where the changes take %d, %d and %d before compression", name, elided, whole, len(run), len(raw))
		}
		if again, err := change.Restore(elision(), run, 1<<20); err != nil || !bytes.Equal(slices.Concat(rawOf(again)...), raw) {
			t.Errorf("%s: comes back otherwise, %v", name, err)
		}
	}
}

// BenchmarkElide reports what is left of changes that set one field, spread over
// documents, in bytes a change, after zstd: in a run of ten over five documents,
// and of ten thousand over a thousand. Each document has a change from before.
func BenchmarkElide(b *testing.B) {
	for _, size := range []struct{ changes, documents int }{{1, 1}, {10, 5}, {10_000, 1000}} {
		b.Run(fmt.Sprintf("changes=%d/documents=%d", size.changes, size.documents), func(b *testing.B) {
			documents := toggled(b, size.changes, size.documents)
			packer, err := zstd.NewWriter(nil)
			if err != nil {
				b.Fatal(err)
			}
			var run []byte
			for b.Loop() {
				if run, err = change.Elide(elision(), documents, nil); err != nil {
					b.Fatal(err)
				}
			}
			raw := 0
			for _, r := range rawOf(documents) {
				raw += len(r)
			}
			n := float64(size.changes)
			b.ReportMetric(float64(len(packer.EncodeAll(run, nil)))/n, "B/change")
			b.ReportMetric(float64(len(packer.EncodeAll(slices.Concat(rawOf(documents)...), nil)))/n, "zstd-B/change")
			b.ReportMetric(float64(raw)/n, "raw-B/change")
		})
	}
}

// toggled are changes of one field, as a person makes them who mutes and unmutes
// one chat after another, some seconds apart.
func toggled(b *testing.B, changes, documents int) [][]Change {
	b.Helper()
	ds, out := make([]*Document, documents), make([][]Change, documents)
	now := int64(1_700_000_000_000)
	for i := range ds {
		ds[i] = newDocument(b, 1)
		write(b, ds[i], now, setName(fmt.Sprint("chat ", i)))
	}
	muted := StampRegister[int64]{Field: "muted"}
	for i := range changes {
		now += int64(1000 + i*7919%4001)
		k := i % documents
		until := int64(0)
		if (i/documents)%2 == 0 {
			until = 1<<53 - 1
		}
		out[k] = append(out[k], *write(b, ds[k], now, func(e *Edit) error { return muted.Set(e, "", until) }))
	}
	return out
}

func BenchmarkRestore(b *testing.B) {
	run, err := change.Elide(elision(), toggled(b, 10_000, 1000), nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := change.Restore(elision(), run, 16<<20); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/change")
}
