package crdt

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// heir is a writer that stands where writer 2 stands among the others, so that
// ties are decided the same way.
var heir = Writer{2, 1}

// reauthor withdraws changes of d.
func reauthor(t tester, d *Document, w Writer, withdrawn []*Change) (*Document, []*Change) {
	t.Helper()
	hashes := map[Hash]bool{}
	for _, c := range withdrawn {
		hashes[c.Hash] = true
	}
	out, made, err := d.Reauthor(w, hashes, nil)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]*Change, len(made))
	for i := range made {
		list[i] = &made[i]
	}
	return out, list
}

// means is show without who created a text.
func means(d *Document) string { return strings.ReplaceAll(show(d), heir.String(), Writer{2}.String()) }

// A device writes, is put back to an earlier state, and writes on while it
// hears of others that never saw what it lost. Then it becomes another writer.
// Its document means the same before and after, a second time as well; what was
// lost comes in then, and all who hear of everything agree.
func TestReauthorKeepsTheMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		other, d := newDocument(t, 1), newDocument(t, 2)
		clock := int64(1_700_000_000_000)
		do := func(d *Document, steps int) (made []*Change) {
			for range rapid.IntRange(0, steps).Draw(t, "writes") {
				clock++
				if c := write(t, d, clock, randomWrite(t)); c != nil {
					made = append(made, c)
				}
			}
			return made
		}
		theirs := do(other, 4)
		apply(t, d, theirs...)
		sealed := do(d, 5)
		apply(t, other, sealed...)
		full := reload(t, d, 2)
		lost := do(full, 3)
		pending := do(d, 4)
		more := do(other, 3)
		apply(t, d, more...)
		pending = append(pending, do(d, 4)...)

		want := means(d)
		out, made := reauthor(t, d, heir, pending)
		if means(out) != want {
			t.Fatalf("means something else:\n%s\n%s", want, means(out))
		}
		still := slices.ContainsFunc(out.Heads(), func(h Hash) bool {
			return slices.ContainsFunc(pending, func(c *Change) bool { return c.Hash == h })
		})
		if still {
			t.Fatalf("a withdrawn change is a head of %v", out.Heads())
		}
		twice, again := reauthor(t, out, Writer{2, 2}, made)
		if got := strings.ReplaceAll(means(twice), Writer{2, 2}.String(), Writer{2}.String()); got != want {
			t.Fatalf("means something else the second time:\n%s\n%s", want, got)
		}
		apply(t, other, lost...)
		apply(t, other, again...)
		apply(t, twice, lost...)
		if show(twice) != show(other) || !slices.Equal(twice.Heads(), other.Heads()) {
			t.Fatalf("differ in the end:\n%s\n%s", show(twice), show(other))
		}
	})
}

// Nothing of what was lost is undone by what is written again, and nothing is
// counted twice.
func TestReauthorKeepsTheLost(t *testing.T) {
	d := newDocument(t, 2)
	write(t, d, 1, func(e *Edit) error { return join(hits.Add(e, "", 1), setName("sealed")(e)) })
	full := reload(t, d, 2)
	lost := write(t, full, 2, func(e *Edit) error {
		return join(tags.Add(e, "lost", "lost"), hits.Add(e, "", 10), setName("lost")(e))
	})
	pending := write(t, d, 3, func(e *Edit) error {
		return join(tags.Add(e, "lost", "again"), tags.Remove(e, "lost"), hits.Add(e, "", 100), setName("pending")(e), gone.Bury(e, "", e.Register("name", "")))
	})
	out, _ := reauthor(t, d, heir, []*Change{pending})
	apply(t, out, lost)
	if n := hits.Get(out, ""); n != 111 {
		t.Errorf("counted %d, want 111", n)
	}
	if v, _ := tags.Get(out, "lost"); v != "lost" {
		t.Errorf("a removal that had not seen it took out what was lost: %q", v)
	}
	if v, _ := name.Get(out, ""); v != "pending" {
		t.Errorf("the name is %q, and the last choice was another", v)
	}
	if !gone.Join(out.Register("gone", ""), out.Register("name", "")) {
		t.Error("what was lost is buried by who had not seen it")
	}
}

func join(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// What does not fit into one change is written in several, a text as well.
func TestReauthorMuch(t *testing.T) {
	d := newDocument(t, 2)
	long := strings.Repeat("é", maxTyped)
	var pending []*Change
	pending = append(pending, write(t, d, 1, func(e *Edit) error { return second(notes.Create(e, "1", long[:maxTyped])) }))
	for i := range 12 {
		pending = append(pending, write(t, d, 1, func(e *Edit) error {
			s, _ := notes.Get(e, notes.IDs(e)[0])
			return join(notes.Replace(e, notes.IDs(e)[0], s+long[:maxTyped]), tags.Add(e, string(rune('a'+i%4)), long))
		}))
	}
	out, made := reauthor(t, d, heir, pending)
	if len(made) < 2 || means(out) != means(d) {
		t.Errorf("%d changes", len(made))
	}
	sealed := out // and then others know it, and most of the text goes
	gone := write(t, sealed, 2, func(e *Edit) error { return notes.Replace(e, notes.IDs(e)[0], "short") })
	if out, _ = reauthor(t, sealed, Writer{2, 2}, []*Change{gone}); show(out) != show(sealed) {
		t.Error("the text is another after it was cut short again")
	}
}

// A writer that is known already, and changes that others build on, are errors.
func TestReauthorRefuses(t *testing.T) {
	d := newDocument(t, 2)
	first := write(t, d, 1, setName("a"))
	last := write(t, d, 2, setName("b"))
	if _, _, err := reload(t, d, 3).Reauthor(heir, map[Hash]bool{last.Hash: true}, nil); err == nil {
		t.Error("what another writer wrote was dropped in silence")
	}
	if _, _, err := d.Reauthor(Writer{2}, nil, nil); err == nil {
		t.Error("the writer became its own heir")
	}
	if _, _, err := d.Reauthor(heir, map[Hash]bool{first.Hash: true}, nil); err == nil {
		t.Error("a change was withdrawn from under another one")
	}
}
