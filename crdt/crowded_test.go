package crdt

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/change"
)

// begun returns a document of writer 1 with an empty text under "t", and its identifier.
func begun(t tester) (*Document, change.OpID) {
	t.Helper()
	d := newDocument(t, 1)
	c := forged(t, d, Writer{1}, change.Op{Key: "t", Action: change.MakeText})
	apply(t, d, &c)
	return d, change.OpID{Counter: 1, Actor: Writer{1}}
}

func typed(text, behind change.OpID, s string) change.Op {
	return change.Op{Obj: text, Elem: behind, Insert: true, Action: change.Set, Type: change.Text, Value: []byte(s)}
}

// TestTextsOfManyAtOnce: writers who do not see each other type and remove anywhere, and
// the characters stand where the core puts them.
func TestTextsOfManyAtOnce(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		base, text := begun(t)
		documents := []*Document{reload(t, base, 2), reload(t, base, 3), reload(t, base, 4)}
		for range 30 {
			d := documents[r.IntN(len(documents))]
			if r.IntN(4) == 0 {
				tellAll(t, documents[r.IntN(len(documents))], d)
			}
			c := forged(t, d, d.Writer(), typedSomewhere(r, d, text)...)
			apply(t, d, &c)
			checkAsCore(t, saveOf(t, d))
		}
	}
}

// typedSomewhere returns a few operations at random places of a text.
func typedSomewhere(r *rand.Rand, d *Document, text change.OpID) (ops []change.Op) {
	there := d.values.texts[text].visible()
	for i := range 1 + r.IntN(4) {
		behind := change.OpID{}
		if len(there) > 0 && r.IntN(3) > 0 {
			behind = there[r.IntN(len(there))].id
		}
		ops = append(ops, typed(text, behind, string(rune('a'+i))))
	}
	if len(there) > 0 && r.IntN(3) == 0 {
		id := there[r.IntN(len(there))].id
		ops = append(ops, change.Op{Obj: text, Elem: id, Action: change.Delete, Pred: []change.OpID{id}})
	}
	return ops
}

// TestCrowdAtOnePlace: two writers insert as much as a change may hold at the beginning
// of one text, each unseen by the other. Who looked through all of it for each of them
// would not come to the end of this.
func TestCrowdAtOnePlace(t *testing.T) {
	d, text := begun(t)
	for _, w := range []byte{8, 7} {
		alone := reload(t, d, w)
		if w == 7 {
			alone, _ = begun(t)
		}
		ops := make([]change.Op, change.MaxOps)
		for i := range ops {
			ops[i] = typed(text, change.OpID{}, string(rune('0'+w)))
		}
		c := forged(t, alone, Writer{w}, ops...)
		apply(t, d, &c)
	}
	v, _ := d.values.winner("t")
	if got := v.text.String(); got != strings.Repeat("87", change.MaxOps) {
		t.Errorf("%d characters, not in turn: %.40s", len(got), got)
	}
}

// TestCrowdUnderOneKey: many writers put something under one key at once, count it, and
// take some of it away.
func TestCrowdUnderOneKey(t *testing.T) {
	d := newDocument(t, 1)
	var ids []change.OpID
	for w := range byte(3 * few) {
		op := change.Op{Key: "k", Action: change.Set, Type: change.Counter, Value: []byte{w}}
		if w%3 == 0 {
			op.Type = change.Bytes
		}
		c := forged(t, newDocument(t, 1), Writer{10 + w}, op)
		apply(t, d, &c)
		ids = append(ids, change.OpID{Counter: 1, Actor: Writer{10 + w}})
		checkAsCore(t, saveOf(t, d))
	}
	if n := len(d.values.keys["k"].all); n != len(ids) {
		t.Fatalf("%d values, want %d", n, len(ids))
	}
	for step, op := range []change.Op{
		{Action: change.Increment, Type: change.Int, Value: []byte{5}, Pred: []change.OpID{ids[4], ids[23]}},
		{Action: change.Delete, Pred: []change.OpID{ids[0], ids[22], ids[23]}},
		{Action: change.Increment, Type: change.Int, Value: []byte{5}, Pred: []change.OpID{ids[4], ids[20], ids[23]}}, // one is gone
		{Action: change.Delete, Pred: slices.Clone(ids[18:22])},
		{Action: change.Delete, Pred: slices.Clone(ids[2:4])},
		{Action: change.Delete, Pred: slices.Clone(ids)},
	} {
		op.Key = "k"
		c := forged(t, d, Writer{9}, op)
		apply(t, d, &c)
		checkAsCore(t, saveOf(t, d))
		if again := reload(t, d, 2); fmt.Sprint(again.values.ids("k", false)) != fmt.Sprint(d.values.ids("k", false)) {
			t.Errorf("step %d: other values after loading", step)
		}
	}
	if len(d.values.keys) != 0 {
		t.Errorf("%v is left", d.values.keys)
	}
}

// TestIncrementOfAValueReplacesIt: as the core does where one is read from a saved
// document; Apply refuses it.
func TestIncrementOfAValueReplacesIt(t *testing.T) {
	c := &cell{}
	id := change.OpID{Counter: 1, Actor: Writer{1}}
	c.add(value{id: id, typ: change.Bytes})
	c.count(change.OpID{Counter: 2, Actor: Writer{1}}, 5)
	if len(c.all) != 1 {
		t.Fatal("an increment of what is not there took something away")
	}
	if c.count(id, 5); len(c.all) != 0 {
		t.Error("the value is still there")
	}
}

// long returns a change of w whose one value takes n bytes.
func long(t tester, d *Document, w Writer, seed byte, n int) Change {
	t.Helper()
	value := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(value)
	return forged(t, d, w, change.Op{Key: fmt.Sprint("k", seed), Action: change.Set, Type: change.Bytes, Value: value})
}

// compressed returns a change of w that follows d, deflated as Automerge's sync sends long ones.
func compressed(t tester, d *Document, w Writer) Change {
	t.Helper()
	c := long(t, d, w, 1, 1000)
	_, n := binary.Uvarint(c.Raw[savedPrefix+1:])
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(c.Raw[savedPrefix+1+n:]); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	raw := binary.AppendUvarint(append(slices.Clone(c.Raw[:savedPrefix]), 2), uint64(packed.Len()))
	if c, err = change.Parse(append(raw, packed.Bytes()...)); err != nil || bytes.Equal(c.Raw, c.Plain()) {
		t.Fatalf("not compressed: %v", err)
	}
	return c
}

// TestCompressedChangesAreStored: they cannot be elided.
func TestCompressedChangesAreStored(t *testing.T) {
	d := newDocument(t, 1)
	write(t, d, 0, setName("1"))
	c := compressed(t, d, Writer{2})
	apply(t, d, &c)
	write(t, d, 0, setName("2"))
	saved, packs, err := d.Stored()
	if err != nil || len(packs) != 1 {
		t.Fatalf("%d packs, %v", len(packs), err)
	}
	if in, err := inflate(packs[0]); err != nil || len(in) != 3 || in[1][0] != packWhole {
		t.Fatalf("%d packs in one, %v", len(in), err)
	}
	again, err := LoadDocument(saved, Writer{1}, packs...)
	if err != nil || show(again) != show(d) || !slices.Equal(again.Heads(), d.Heads()) {
		t.Fatalf("%v", err)
	}
	all, err := again.Changes()
	if err != nil || len(all) != 3 || !bytes.Equal(all[1].Raw, c.Raw) {
		t.Errorf("%d changes, %v", len(all), err)
	}
	checkAsCore(t, saveOf(t, again))
	// Of one writer alone, a pack can tell of two documents; these are none of ours.
	two, err := change.Elide(elisionOf(Writer{1}), [][]Change{all[:1], all[:1]}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := Writer{1}
	if _, err := LoadDocument(nil, w, slices.Concat([]byte{packElided}, w[:], two)); err == nil {
		t.Error("a pack of two documents loads")
	}
}

// TestLargeDocumentsAreReadByTheCore: what a device has saved may be larger than what it
// takes from another one.
func TestLargeDocumentsAreReadByTheCore(t *testing.T) {
	d := newDocument(t, 1)
	const n = change.MaxSize / 2
	for i := range byte(change.MaxSaved/n + 1) {
		c := long(t, d, Writer{1}, i, n)
		apply(t, d, &c)
	}
	saved := saveOf(t, d)
	if _, err := change.ParseSaved(saved); err == nil {
		t.Fatalf("%d bytes are no more than another device may send", len(saved))
	}
	again := reload(t, d, 2)
	if !slices.Equal(again.Heads(), d.Heads()) || len(again.values.keys) != len(d.values.keys) {
		t.Error("it comes back as another document")
	}
	if _, err := LoadDocument(saved[:len(saved)-1], Writer{2}); err == nil {
		t.Error("cut off it loads")
	}
}

// TestSaveComparesChanges: the core is given what it takes, but not what the document has.
func TestSaveComparesChanges(t *testing.T) {
	d := newDocument(t, 1)
	c := write(t, d, 0, setName("1"))
	other := write(t, newDocument(t, 1), 0, setName("2"))
	d.fresh[0] = *other
	if _, err := d.Save(); err == nil {
		t.Error("the core is at other heads, and Save said nothing")
	}
	d.heads = []Hash{other.Hash}
	if _, err := d.Save(); err == nil {
		t.Error("the core has a change that the document has not")
	}
	d.fresh[0], d.heads = *c, []Hash{c.Hash}
	d.history.known[other.Hash] = past{}
	if _, err := d.Save(); err == nil {
		t.Error("the core has fewer changes than the document")
	}
	delete(d.history.known, other.Hash)
	if _, err := d.Save(); err != nil {
		t.Error(err)
	}
}
