package crdt

import (
	"bytes"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/change"
)

// changesOf returns the changes of a document as the core tells them, in its order.
func changesOf(t tester, d *Document) []Change {
	t.Helper()
	all, err := d.doc.Changes()
	if err != nil {
		t.Fatal(err)
	}
	changes := make([]Change, len(all))
	for i, c := range all {
		if changes[i], err = change.Parse(c.Save()); err != nil {
			t.Fatal(err)
		}
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
