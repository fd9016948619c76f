package crdt

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/automerge/automerge-go"
	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/change/savedtest"
)

// changesOf returns the changes of a document as the core tells them, in its order.
func changesOf(t tester, d *Document) []Change {
	t.Helper()
	changes, err := d.changesOfCore()
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// checkSaved saves d and compares what is read from that with what the core says.
func checkSaved(t tester, d *Document) {
	t.Helper()
	saved, err := d.Save()
	if err != nil {
		t.Fatal(err)
	}
	got, err := change.ParseSaved(saved)
	if err != nil {
		t.Fatalf("%x: %v", saved, err)
	}
	want := changesOf(t, d)
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
		if !bytes.Equal(got[i].Raw, want[i].Raw) {
			t.Fatalf("change %d is\n%x, want\n%x", i, got[i].Raw, want[i].Raw)
		}
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("change %d is\n%+v, want\n%+v", i, got[i], want[i])
		}
	}
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
			checkSaved(t, documents[i])
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
			checkSaved(t, &Document{doc: doc, heads: headsOf(doc)})
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

// TestHistoryIsLoaded as the core tells it, after edits that came before it was
// needed, and where what was loaded cannot be read.
func TestHistoryIsLoaded(t *testing.T) {
	first, _ := shared(t)
	for name, alter := range map[string]func(*Document){
		"from what was loaded": func(*Document) {},
		"from the core":        func(d *Document) { d.saved = d.saved[1:] },
	} {
		d := reload(t, first, 7)
		for i := range 3 {
			write(t, d, 1_700_000_000_000+int64(i), func(e *Edit) error { return typeNote(e, strings.Repeat("x", i+1)) })
		}
		alter(d)
		want := newHistory(nil)
		for _, c := range changesOf(t, d) {
			want.add(&c, sitesOf(&c))
		}
		if err := d.loadHistory(); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(d.history, want) || len(want.known) < 4 {
			t.Errorf("%s: the history is\n%+v, want\n%+v", name, d.history, want)
		}
		if d.saved != nil || d.since != nil {
			t.Errorf("%s: what was loaded is kept", name)
		}
		write(t, d, 1_700_000_000_009, setName("after"))
		if n := len(changesOf(t, d)); n != len(d.history.known) {
			t.Errorf("%s: %d changes are known of %d", name, len(d.history.known), n)
		}
	}
}
