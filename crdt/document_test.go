package crdt

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/change"
)

type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

var (
	name  = StampRegister[string]{Field: "name"}
	mark  = MaxRegister[int64]{Field: "mark", Compare: func(a, b int64) int { return int(a - b) }}
	first = MinRegister[int64]{Field: "first", Compare: func(a, b int64) int { return int(a - b) }}
	tags  = AddWinsSet[string]{Field: "tag"}
	grown = GrowOnlySet{Field: "grown"}
	flag  = EnableWinsFlag{Field: "flag"}
	hits  = Counter{Field: "hits"}
	notes = Text{Field: "note"}
	gone  = Tombstone{Field: "gone"}
)

func newDocument(t tester, writer byte) *Document {
	t.Helper()
	return NewDocument(Writer{writer})
}

// write commits what f writes; nil if that is nothing.
func write(t tester, d *Document, now int64, f func(*Edit) error) *Change {
	t.Helper()
	e := d.Edit(now)
	if err := f(e); err != nil {
		t.Fatal(err)
	}
	c, err := e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func apply(t tester, d *Document, changes ...*Change) {
	t.Helper()
	list := make([]Change, len(changes))
	for i, c := range changes {
		list[i] = *c
	}
	if _, err := d.Apply(list); err != nil {
		t.Fatal(err)
	}
}

func setName(s string) func(*Edit) error {
	return func(e *Edit) error { return name.Set(e, "", s) }
}

func reload(t tester, d *Document, writer byte) *Document {
	t.Helper()
	saved, err := d.Save()
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadDocument(saved, Writer{writer})
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// show prints what a document holds, without who reads it.
func show(d *Document) string {
	n, ok := name.Get(d, "")
	m, _ := mark.Get(d, "")
	f, _ := first.Get(d, "")
	out := fmt.Sprintf("%q %v %d %d %v %v %d %v", n, ok, m, f, flag.Up(d, ""), grown.Has(d, "x"), hits.Get(d, ""),
		gone.Join(d.Register("gone", ""), d.Register("name", "")))
	for _, el := range d.Elements("tag") {
		v, in := tags.Get(d, el)
		out += fmt.Sprintf(" %s=%s %v", el, v, in)
	}
	for _, id := range notes.IDs(d) {
		s, _ := notes.Get(d, id)
		out += fmt.Sprintf(" %v=%q", id, s)
	}
	return out
}

// randomWrite makes one of all the writes there are.
func randomWrite(t *rapid.T) func(*Edit) error {
	s := rapid.SampledFrom([]string{"a", "b", "cé", "dd🙃"}).Draw(t, "string")
	n := rapid.Int64Range(-3, 9).Draw(t, "number")
	return rapid.SampledFrom([]func(*Edit) error{
		setName(s),
		func(e *Edit) error { return mark.Raise(e, "", n) },
		func(e *Edit) error { return first.Lower(e, "", n) },
		func(e *Edit) error { return tags.Add(e, s, s) },
		func(e *Edit) error { return tags.Remove(e, s) },
		func(e *Edit) error { return grown.Add(e, "x") },
		func(e *Edit) error { return flag.Raise(e, "") },
		func(e *Edit) error { return flag.Lower(e, "") },
		func(e *Edit) error { return hits.Add(e, "", n) },
		func(e *Edit) error { return gone.Bury(e, "", e.Register("name", "")) },
		func(e *Edit) error { return typeNote(e, s) },
	}).Draw(t, "write")
}

func typeNote(e *Edit, s string) error {
	if ids := notes.IDs(e); len(ids) > 0 {
		return notes.Replace(e, ids[0], s)
	}
	_, err := notes.Create(e, "1", s)
	return err
}

// TestDocumentsConverge lets three writers work with clocks far apart, hand
// each other changes in whatever causal order, some twice, some after a
// reload, and expects equal bytes of state and equal heads in the end.
func TestDocumentsConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		docs := []*Document{newDocument(t, 1), newDocument(t, 2), newDocument(t, 3)}
		clocks := []int64{0, 1_700_000_000_000, 2_208_988_800_000} // 1970, 2023, 2040
		logs := make([][]Change, len(docs))
		send := func(from, to int) {
			n, err := docs[to].Apply(logs[from])
			if err != nil {
				t.Fatal(err)
			}
			before := len(logs[to])
			for _, c := range logs[from] {
				if !slices.ContainsFunc(logs[to], func(o Change) bool { return o.Hash == c.Hash }) {
					logs[to] = append(logs[to], c)
				}
			}
			if len(logs[to])-before != n {
				t.Fatalf("%d new changes, reported %d", len(logs[to])-before, n)
			}
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			i := rapid.IntRange(0, 2).Draw(t, "who")
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				send(i, (i+1)%3)
			case 1:
				send(i, (i+2)%3)
			case 2:
				docs[i] = reload(t, docs[i], byte(i+1))
			default:
				if c := write(t, docs[i], clocks[i], randomWrite(t)); c != nil {
					logs[i] = append(logs[i], *c)
				}
			}
		}
		for range 2 {
			for i := range docs {
				send(i, (i+1)%3)
				send(i, (i+2)%3)
			}
		}
		for _, d := range docs[1:] {
			if show(d) != show(docs[0]) || !slices.Equal(d.Heads(), docs[0].Heads()) {
				t.Fatalf("different:\n%s\n%s", show(docs[0]), show(d))
			}
		}
		if again := reload(t, docs[0], 9); show(again) != show(docs[0]) {
			t.Fatalf("loads as something else:\n%s\n%s", show(docs[0]), show(again))
		}
	})
}

// TestEditReadsWhatItWrote checks that an edit in the making shows what the
// document shows after it, and that the document shows what one that only
// received the change shows.
func TestEditReadsWhatItWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := newDocument(t, 1), newDocument(t, 2)
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			e := a.Edit(0)
			for range rapid.IntRange(1, 4).Draw(t, "writes") {
				if err := randomWrite(t)(e); err != nil {
					t.Fatal(err)
				}
			}
			wantName, _ := name.Get(e, "")
			wantHits, wantUp := hits.Get(e, ""), flag.Up(e, "")
			c, err := e.Commit()
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := name.Get(a, ""); got != wantName || hits.Get(a, "") != wantHits || flag.Up(a, "") != wantUp {
				t.Fatalf("the edit showed %q %d %v, the document shows %s", wantName, wantHits, wantUp, show(a))
			}
			if c != nil {
				apply(t, b, c)
			}
			if show(a) != show(b) {
				t.Fatalf("the writer has\n%s\nthe reader has\n%s", show(a), show(b))
			}
		}
	})
}

func TestEditsAreAtomicAndSingle(t *testing.T) {
	d := newDocument(t, 1)
	dropped, kept, late := d.Edit(0), d.Edit(0), d.Edit(0)
	if err := name.Set(dropped, "", "dropped"); err != nil {
		t.Fatal(err)
	}
	if c, err := kept.Commit(); c != nil || err != nil || !kept.Empty() {
		t.Fatalf("an empty edit made %v, %v", c, err)
	}
	if err := name.Set(late, "", "late"); err != nil {
		t.Fatal(err)
	}
	write(t, d, 0, setName("kept"))
	if _, err := late.Commit(); err == nil {
		t.Error("an edit of what the document was before is committed")
	}
	if v, _ := name.Get(reload(t, d, 1), ""); v != "kept" {
		t.Errorf("the document has %q", v)
	}
}

func TestCommitIsDeterministic(t *testing.T) {
	make := func() []byte {
		d := newDocument(t, 1)
		return write(t, d, 5, func(e *Edit) error {
			return errors.Join(name.Set(e, "", "x"), mark.Raise(e, "", 3), tags.Add(e, "b", "1"), tags.Add(e, "a", "2"),
				hits.Add(e, "", 2), typeNote(e, "hello"))
		}).Raw
	}
	for range 5 {
		if !bytes.Equal(make(), make()) {
			t.Fatal("the same edit made two different changes")
		}
	}
}

// TestWrongClocks checks that a clock in 2040 or 1970 wins or loses nothing
// for good, and spoils no register but the one that was written.
func TestWrongClocks(t *testing.T) {
	const in2040, in1970, now = 2_208_988_800_000, 0, 1_700_000_000_000
	a, b := newDocument(t, 1), newDocument(t, 2)
	c := write(t, a, in2040, setName("from the future"))
	apply(t, b, c)
	for _, clock := range []int64{now, in1970} {
		apply(t, a, write(t, b, clock, setName("later")))
		if v, _ := name.Get(a, ""); v != "later" {
			t.Errorf("a choice at %d that saw the future has lost: %q", clock, v)
		}
		apply(t, b, write(t, a, in2040, setName("again")))
	}
	apply(t, a, write(t, b, now, func(e *Edit) error { return tags.Add(e, "x", "v") }))
	if got := a.Register("tag", "x")[0].Stamp; got != StampOf(now) {
		t.Errorf("another register was infected: its stamp is in %d", got.Millis())
	}
}

// TestStampsRunOut: even the last stamp there is pins nothing for good.
func TestStampsRunOut(t *testing.T) {
	a, b := newDocument(t, 1), newDocument(t, 9)
	c := write(t, b, math.MaxInt64, func(e *Edit) error {
		e.over.setRegister("name", "", []Entry{{Writer: Writer{5}, Stamp: MaxStamp, N: 1}})
		return name.Set(e, "", "pinned")
	})
	apply(t, a, c)
	if a.Register("name", "")[0].Stamp != MaxStamp {
		t.Fatal("the entry is not at the last stamp")
	}
	for _, d := range []*Document{a, b, a} {
		other := b
		if d == b {
			other = a
		}
		want := fmt.Sprintf("after %x", d.writer[0])
		apply(t, other, write(t, d, 0, setName(want)))
		if v, _ := name.Get(other, ""); v != want {
			t.Errorf("%q, want %q", v, want)
		}
	}
}

// TestNumbersOfAWriterSurviveReload: n never goes back, or a removal that saw
// an earlier entry would hide a later one.
func TestNumbersOfAWriterSurviveReload(t *testing.T) {
	d := newDocument(t, 1)
	for i := range 5 {
		write(t, d, 0, func(e *Edit) error {
			if e.NextN() != uint64(i+1) {
				t.Errorf("next n is %d, want %d", e.NextN(), i+1)
			}
			return name.Set(e, fmt.Sprint(i%2), "x")
		})
		d = reload(t, d, 1)
	}
}

func TestNumbersRunOut(t *testing.T) {
	d := newDocument(t, 1)
	d.lastN = math.MaxUint64
	if err := name.Set(d.Edit(0), "", "x"); !errors.Is(err, ErrSpent) {
		t.Errorf("after the last number: %v", err)
	}
}

func TestWritesRefused(t *testing.T) {
	d := newDocument(t, 1)
	e := d.Edit(0)
	for what, err := range map[string]error{
		"field with a slash": e.Put("a/b", "", Write{}),
		"no field":           e.Put("", "", Write{}),
		"payload":            e.Put("a", "", Write{Payload: make(chan int)}),
		"no such text":       notes.Replace(e, TextID{"1", Writer{1}}, "x"),
		"element not UTF-8":  e.Put("a", "\xff", Write{}),
		"text not UTF-8":     second(notes.Create(e, "1", "\xff")),
		"counter overflow":   errors.Join(hits.Add(e, "", math.MaxInt64), hits.Add(e, "", 1)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if _, err := notes.Create(e, "1", "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := notes.Create(e, "1", "x"); err == nil {
		t.Error("one text is created twice")
	}
}

func second[T any](_ T, err error) error { return err }

// TestCommitReturnsTheChange: what Commit returns parses to itself.
func TestCommitReturnsTheChange(t *testing.T) {
	d := newDocument(t, 1)
	write(t, d, 0, setName("a"))
	heads := d.Heads()
	c := write(t, d, 1_700_000_000_000, setName("b"))
	again, err := change.Parse(c.Raw)
	if err != nil || again.Hash != c.Hash || c.Seq != 2 || c.Time != 0 || !slices.Equal(c.Deps, heads) {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestEqualChoiceCounts: Automerge makes no operation of a scalar that is set
// to what it is, so that a concurrent choice would win. A stamp makes one.
func TestEqualChoiceCounts(t *testing.T) {
	a, b := newDocument(t, 1), newDocument(t, 2)
	apply(t, b, write(t, a, 0, setName("x")))
	concurrent := write(t, b, 5, setName("y"))
	again := write(t, a, 10, setName("x"))
	if again == nil {
		t.Fatal("an equal choice made no change")
	}
	apply(t, b, again)
	apply(t, a, concurrent)
	for _, d := range []*Document{a, b} {
		if v, _ := name.Get(d, ""); v != "x" {
			t.Errorf("%q won over the later choice", v)
		}
	}
}

// TestManyChangesAtOnce: the whole log goes to the core in one piece. One
// change at a time through automerge-go's Apply takes gigabytes for this.
func TestManyChangesAtOnce(t *testing.T) {
	a, b := newDocument(t, 1), newDocument(t, 2)
	var log []Change
	for i := range 2000 {
		log = append(log, *write(t, a, int64(i), setName(fmt.Sprint(i))))
	}
	if n, err := b.Apply(log); n != len(log) || err != nil {
		t.Fatal(n, err)
	}
	if v, _ := name.Get(b, ""); v != "1999" || !slices.Equal(a.Heads(), b.Heads()) {
		t.Errorf("%q", v)
	}
}

// TestEditTooLarge: what would not fit into a change is refused before it
// reaches the core.
func TestEditTooLarge(t *testing.T) {
	d := newDocument(t, 1)
	e := d.Edit(0)
	for i := range 9 {
		if err := name.Set(e, fmt.Sprint(i), string(make([]byte, 60_000))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Commit(); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	if c := write(t, d, 0, setName("small")); c == nil || c.Seq != 1 {
		t.Error("the document is not as it was")
	}
	write(t, d, 0, func(e *Edit) error {
		_, err := notes.Create(e, "1", strings.Repeat("aé🙃", 9_000)) // 63,000 bytes in 27,000 characters
		return err
	})
}
