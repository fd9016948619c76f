package crdt

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/automerge/automerge-go"
	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/change/savedtest"
)

// changesOf returns the changes of a saved document as the core tells them, in its order.
func changesOf(t tester, saved []byte) []Change {
	t.Helper()
	changes, err := changesOfCore(saved)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// checkSaved compares what is read from a saved document with what the core says.
func checkSaved(t tester, saved []byte) {
	t.Helper()
	got, err := change.ParseSaved(saved)
	if err != nil {
		t.Fatalf("%x: %v", saved, err)
	}
	want := changesOf(t, saved)
	parts, err := savedtest.Split(saved)
	if err != nil {
		t.Fatal(err)
	}
	// The core deflates in another way than Go.
	if written := documentOf(writtenOf(want)).Marshal(); !bytes.Equal(written, parts.Marshal()) {
		t.Fatalf("the core writes\n%x, not\n%x", parts.Marshal(), written)
	}
	if len(got) != len(want) {
		t.Fatalf("%d changes, want %d", len(got), len(want))
	}
	for i := range got {
		again, err := change.Parse(got[i].Raw)
		if err != nil || !bytes.Equal(got[i].Raw, want[i].Plain()) {
			t.Fatalf("change %d is\n%x, want\n%x, %v", i, got[i].Raw, want[i].Plain(), err)
		}
		if again.Hash != got[i].Hash || fmt.Sprint(slices.Collect(again.Ops())) != fmt.Sprint(slices.Collect(got[i].Ops())) {
			t.Fatalf("change %d is\n%+v, want\n%+v", i, got[i], again)
		}
	}
}

// checkAsCore compares what this package makes of a document with what the core makes
// of it, key by key.
func checkAsCore(t tester, saved []byte) {
	t.Helper()
	d, err := LoadDocument(saved, Writer{77})
	if err != nil {
		t.Fatal(err)
	}
	core, err := automerge.Load(saved)
	if err != nil {
		t.Fatal(err)
	}
	root, err := core.RootMap().Values()
	if err != nil {
		t.Fatal(err)
	}
	if len(root) != len(d.values.keys) {
		t.Fatalf("%d keys, the core has %d", len(d.values.keys), len(root))
	}
	for name, want := range root {
		got, _ := d.values.winner(name)
		switch want.Kind() {
		case automerge.KindBytes:
			if !bytes.Equal(got.raw, want.Bytes()) || got.typ != change.Bytes {
				t.Fatalf("%q is %+v, the core has %x", name, got, want.Bytes())
			}
		case automerge.KindCounter:
			if n, err := want.Counter().Get(); err != nil || got.typ != change.Counter || got.count != n {
				t.Fatalf("%q is %+v, the core counts %d, %v", name, got, n, err)
			}
		case automerge.KindText:
			if s, err := want.Text().Get(); err != nil || got.text == nil || got.text.String() != s {
				t.Fatalf("%q is %+v, the core has %q, %v", name, got, s, err)
			}
		default:
			if got.text != nil || got.typ == change.Bytes || got.typ == change.Counter {
				t.Fatalf("%q is %+v, the core has a %s", name, got, want.Kind())
			}
		}
	}
	if !slices.Equal(headsOf(core), d.Heads()) {
		t.Fatalf("heads %v, the core has %v", d.Heads(), headsOf(core))
	}
}

func saveOf(t tester, d *Document) []byte {
	t.Helper()
	saved, err := d.Save()
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

// TestSavedDocumentsComeBack as the changes that they were made of, bit by bit:
// whatever several writers write at once, tell each other, load and go on with.
func TestSavedDocumentsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := int64(1_700_000_000_000)
		// Writers in no order, as numbers of actors are given by it.
		var documents []*Document
		writers := rapid.Permutation([]byte{1, 2, 3, 0xf0}).Draw(t, "writers")
		for _, w := range writers[:rapid.IntRange(1, 4).Draw(t, "number")] {
			documents = append(documents, newDocument(t, w))
		}
		one := rapid.IntRange(0, len(documents)-1)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			clock++
			i := one.Draw(t, "who")
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2:
				tellAll(t, documents[one.Draw(t, "from")], documents[i])
			case 3:
				documents[i] = reload(t, documents[i], documents[i].writer[0])
			default:
				write(t, documents[i], clock, func(e *Edit) error {
					for range rapid.IntRange(1, 3).Draw(t, "writes") {
						if err := randomWrite(t)(e); err != nil {
							return err
						}
					}
					return nil
				})
			}
			checkSaved(t, saveOf(t, documents[i]))
			checkAsCore(t, saveOf(t, documents[i]))
		}
	})
}

// TestSavedDocumentsOfAllForms come back also where this project does not write so:
// keys that are overwritten and deleted by several at once, every type of value, texts
// that are replaced, and times.
func TestSavedDocumentsOfAllForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var docs []*automerge.Doc
		for _, w := range rapid.Permutation([]byte{1, 2, 0xf0}).Draw(t, "writers") {
			doc := automerge.New()
			if err := doc.SetActorID(Writer{w}.hex()); err != nil {
				t.Fatal(err)
			}
			docs = append(docs, doc)
		}
		one := rapid.IntRange(0, len(docs)-1)
		for range rapid.IntRange(0, 25).Draw(t, "steps") {
			doc := docs[one.Draw(t, "who")]
			if rapid.IntRange(0, 3).Draw(t, "step") == 0 {
				// A document that is merged with itself waits forever.
				if to := docs[one.Draw(t, "to")]; to != doc {
					if _, err := to.Merge(doc); err != nil {
						t.Fatal(err)
					}
				}
				continue
			}
			for range rapid.IntRange(1, 4).Draw(t, "writes") {
				if err := anyWrite(t, doc.RootMap()); err != nil {
					t.Fatal(err)
				}
			}
			options := automerge.CommitOptions{Time: new(time.UnixMilli(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "time"))), AllowEmpty: false}
			if _, err := doc.Commit("", options); err != nil {
				continue // it deleted what is not there
			}
			checkSaved(t, doc.Save())
			checkAsCore(t, doc.Save())
		}
	})
}

// anyWrite does one of all operations to the root.
func anyWrite(t *rapid.T, root *automerge.Map) error {
	key := rapid.SampledFrom([]string{"a", "b", "ä", "key/of some length"}).Draw(t, "key")
	n := rapid.Int64().Draw(t, "n")
	v, err := root.Get(key)
	if err != nil {
		return err
	}
	kind := rapid.IntRange(0, 12).Draw(t, "kind")
	switch {
	case kind == 0:
		return root.Delete(key)
	case kind < 5 && v.Kind() == automerge.KindCounter:
		return v.Counter().Inc(n % 100)
	case kind < 9 && v.Kind() == automerge.KindText:
		from := rapid.IntRange(0, v.Text().Len()).Draw(t, "from")
		remove := rapid.IntRange(0, v.Text().Len()-from).Draw(t, "remove")
		return v.Text().Splice(from, remove, rapid.SampledFrom([]string{"", "a", "né", "🙃🙃", "some words"}).Draw(t, "text"))
	}
	return root.Set(key, []any{
		nil, nil, true, false, uint64(n), n, float64(n), "a text", []byte{1, byte(n)}, automerge.NewCounter(n % 1000), time.UnixMilli(n % (1 << 50)),
		automerge.NewText("a text"), automerge.NewText(""),
	}[kind])
}
