package crdt

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/automerge/automerge-go"
	"pgregory.net/rapid"
)

func TestApplyRefusesWhatCannotFollow(t *testing.T) {
	a := newDocument(t, 1)
	one := write(t, a, 0, setName("1"))
	two := write(t, a, 0, setName("2"))
	other := newDocument(t, 1) // the same writer begins again: a copied database
	fork := write(t, other, 0, setName("fork"))

	b := newDocument(t, 2)
	for name, c := range map[string]struct {
		changes []Change
		want    error
	}{
		"gap in the sequence": {[]Change{*two}, ErrMissing},
		"wrong order":         {[]Change{*two, *one}, ErrMissing},
		"fork in one call":    {[]Change{*one, *fork}, ErrConflict},
		"missing dependency":  {[]Change{*write(t, reload(t, a, 3), 0, setName("3"))}, ErrMissing},
	} {
		if n, err := b.Apply(c.changes); !errors.Is(err, c.want) || n != 0 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if len(b.Heads()) != 0 || b.Has(one.Hash) {
			t.Errorf("%s: something reached the document", name)
		}
	}
	apply(t, b, one, two)
	if _, err := b.Apply([]Change{*fork}); !errors.Is(err, ErrConflict) {
		t.Errorf("fork: %v", err)
	}
	alone, low := *two, *two
	alone.Hash, alone.Seq, alone.Deps = Hash{1}, 3, nil
	low.Hash, low.Seq, low.Deps, low.StartOp = Hash{2}, 3, []Hash{two.Hash}, two.StartOp-1
	for name, c := range map[string]Change{"without the writer's previous change": alone, "start operation too low": low} {
		if _, err := b.Apply([]Change{c}); err == nil || errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := b.Apply([]Change{*two, *one}); n != 0 || err != nil {
		t.Errorf("known changes again: %d, %v", n, err)
	}
	if !b.Has(one.Hash) || b.Has(fork.Hash) || !slices.Equal(b.Heads(), a.Heads()) {
		t.Error("the refused change left a trace")
	}
}

// TestSilenceOfTheCoreIsNoticed gives the core another change than the document has: it
// drops it without a word, its heads show it, and the document stays as it was.
func TestSilenceOfTheCoreIsNoticed(t *testing.T) {
	a := newDocument(t, 1)
	c := write(t, a, 0, setName("1"))
	b := newDocument(t, 2)
	apply(t, b, c)
	before := show(b)
	b.fresh[0] = *write(t, reload(t, a, 1), 0, setName("2")) // whose dependency is missing
	if _, err := b.Save(); err == nil {
		t.Fatal("the core has not got the change, and Save said nothing")
	}
	if len(b.saved) != 0 || len(b.fresh) != 1 || show(b) != before {
		t.Errorf("after Save failed: %x, %v, %s", b.saved, b.fresh, show(b))
	}
	b.fresh[0] = *c
	if again := reload(t, b, 3); show(again) != before {
		t.Errorf("%s, want %s", show(again), before)
	}
}

// TestBrokenDocumentsSayNothing: after half a change was made.
func TestBrokenDocumentsSayNothing(t *testing.T) {
	d := newDocument(t, 1)
	c := write(t, d, 0, setName("1"))
	e := d.Edit(0)
	if err := name.Set(e, "", "2"); err != nil {
		t.Fatal(err)
	}
	e.ops = append(e.ops, func(m *making) error { return m.replace("no such text", "x") })
	if _, err := e.Commit(); !errors.Is(err, ErrBroken) {
		t.Fatal(err)
	}
	_, saveErr := d.Save()
	_, commitErr := d.Edit(0).Commit()
	_, applyErr := d.Apply([]Change{*c})
	_, changesErr := d.Changes()
	for _, err := range []error{saveErr, commitErr, applyErr, changesErr} {
		if !errors.Is(err, ErrBroken) {
			t.Errorf("a broken document goes on: %v", err)
		}
	}
	if d.Has(c.Hash) {
		t.Error("a broken document claims to have changes")
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	d := newDocument(t, 1)
	write(t, d, 0, setName("a name"))
	saved, err := d.Save()
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(saved); n++ {
		if _, err := LoadDocument(saved[:n], Writer{2}); err == nil {
			t.Fatalf("a prefix of %d bytes loads", n)
		}
	}
	for bit := range len(saved) * 8 {
		damaged := bytes.Clone(saved)
		damaged[bit/8] ^= 1 << (bit % 8)
		if _, err := LoadDocument(damaged, Writer{2}); err == nil {
			t.Fatalf("loads with bit %d flipped", bit)
		}
	}
	if _, err := LoadDocument(append(bytes.Clone(saved), saved...), Writer{2}); !errors.Is(err, errSaved) {
		t.Errorf("two documents in one: %v", err)
	}
}

func TestHeadsInRefusesLongCounts(t *testing.T) {
	for name, body := range map[string][]byte{
		"actors": {0xff, 0xff, 0xff, 0xff, 0x0f}, "actor of one byte": slices.Concat([]byte{1, 1, 7}, make([]byte, 20)),
		"heads": {0, 0xff, 0xff, 0x03}, "nothing": {},
	} {
		hashed := append([]byte{0, byte(len(body))}, body...)
		sum := sha256.Sum256(hashed)
		if _, err := headsIn(slices.Concat(savedMagic, sum[:4], hashed)); !errors.Is(err, errSaved) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// malformedCells are what writer 9 should not write, by key.
func malformedCells() map[string]any {
	own, stranger := Writer{9}.String(), Writer{8}.String()
	entry := func(stamp Stamp, payload ...byte) []byte {
		return must((&Entry{Writer: Writer{9}, Stamp: stamp, N: 1, Payload: payload}).encode())
	}
	good := entry(MaxStamp, 0x61, 'x')
	return map[string]any{
		"name/" + stranger:           good, // a writer without changes
		"name/":                      good,
		"name":                       good,
		"name/x/" + own + "/":        good,
		"/" + own:                    good,
		"name/" + own:                "a string",
		"mark/" + own:                entry(MaxStamp, 0x61, 'x'), // a text, where a number belongs
		"name/int/" + own:            int64(7),
		"name/float/" + own:          1.5,
		"name/null/" + own:           nil,
		"name/empty/" + own:          []byte{},
		"name/cut/" + own:            good[:len(good)-1],
		"name/behind/" + own:         append(bytes.Clone(good), 0),
		"name/long/" + own:           []byte{0x83, 0x18, 0x01, 0x01, 0x61, 'x'},
		"name/n0/" + own:             []byte{0x83, 0x01, 0x00, 0x61, 'x'},
		"name/negative/" + own:       []byte{0x83, 0x20, 0x01, 0x61, 'x'},
		"name/indefinite/" + own:     []byte{0x9f, 0x01, 0x01, 0x61, 'x', 0xff},
		"name/five/" + own:           []byte{0x85, 0x01, 0x01, 0x61, 'x', 0xf6, 0xf6},
		"name/seen null/" + own:      []byte{0x84, 0x01, 0x01, 0x61, 'x', 0xf6},
		"name/seen empty/" + own:     []byte{0x84, 0x01, 0x01, 0x61, 'x', 0xa0},
		"name/seen short/" + own:     []byte{0x84, 0x01, 0x01, 0x61, 'x', 0xa1, 0x41, 0x01, 0x01},
		"name/seen text/" + own:      []byte{0x84, 0x01, 0x01, 0x61, 'x', 0xa1, 0x61, 'a', 0x01},
		"name/tag/" + own:            []byte{0x83, 0x01, 0x01, 0xc1, 0x00},
		"note/x/" + own:              good, // an entry, where a text belongs
		"hits/" + own:                good,
		"tag/" + string([]rune{'ä'}): good,
	}
}

// TestMalformedCellsAreIgnored puts into a document what no honest writer
// puts there, through Automerge itself.
func TestMalformedCellsAreIgnored(t *testing.T) {
	d := newDocument(t, 1)
	write(t, d, 0, setName("good"))
	saved, err := d.Save()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := automerge.Load(saved)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.SetActorID(Writer{9}.hex()); err != nil {
		t.Fatal(err)
	}
	for key, value := range malformedCells() {
		if err := doc.RootMap().Set(key, value); err != nil {
			t.Fatal(key, err)
		}
	}
	if _, err := doc.Commit(""); err != nil {
		t.Fatal(err)
	}
	hostile, err := LoadDocument(doc.Save(), Writer{2})
	if err != nil {
		t.Fatal(err)
	}
	if show(hostile) != show(d) {
		t.Errorf("malformed cells count:\n%s\n%s", show(d), show(hostile))
	}
	for _, el := range hostile.Elements("name") {
		if v, ok := name.Get(hostile, el); ok && el != "" {
			t.Errorf("element %q has %q", el, v)
		}
	}
	apply(t, hostile, write(t, d, 0, setName("better")))
	if v, _ := name.Get(hostile, ""); v != "better" {
		t.Errorf("after an honest change: %q", v)
	}
}

// TestEntryRoundTrip checks that entries are read as they were written, and
// FuzzEntry that nothing else is read at all.
func TestEntryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := entryGen().Draw(t, "entry")
		if _, ok := Decode[any](e.Payload); !ok {
			e.Payload = []byte{0xf6}
		}
		b, err := e.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, ok := decodeEntry(e.Writer, b)
		if !ok || fmt.Sprint(got) != fmt.Sprint(e) {
			t.Fatalf("%v reads as %v, %v", e, got, ok)
		}
	})
}

func FuzzEntry(f *testing.F) {
	f.Add([]byte{0x83, 0x01, 0x01, 0x61, 'x'})
	f.Add([]byte{0x84, 0x01, 0x01, 0xf6, 0x82, 0x01, 0x61, 'x'})
	f.Add(must((&Entry{N: 1, Payload: []byte{0xf6}, Seen: Vector{{1}: 2, {2}: 3}}).encode()))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := decodeEntry(Writer{1}, b)
		if !ok {
			return
		}
		if again, err := e.encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is read, but written as %x (%v)", b, again, err)
		}
	})
}
