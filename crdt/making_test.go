package crdt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/automerge/automerge-go"
	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/change"
)

// byCore lets the core make the change that c is, of a document that has all before it.
func byCore(t tester, before *Document, c *Change) Change {
	t.Helper()
	core, err := before.inCore()
	if err != nil {
		t.Fatal(err)
	}
	if err := core.SetActorID(before.writer.hex()); err != nil {
		t.Fatal(err)
	}
	texts := map[change.OpID]*automerge.Text{}
	for o := range c.Ops() {
		if err := doInCore(core, texts, &o); err != nil {
			t.Fatal(err)
		}
	}
	hash, err := core.Commit("", automerge.CommitOptions{Time: new(time.UnixMilli(0))})
	if err != nil {
		t.Fatal(err)
	}
	made, err := core.Change(hash)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := change.Parse(made.Save())
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// doInCore does what o did; of texts only those that the change made itself, which grow
// at their ends.
func doInCore(core *automerge.Doc, texts map[change.OpID]*automerge.Text, o *change.Op) error {
	root := core.RootMap()
	switch {
	case !o.Obj.IsZero():
		if texts[o.Obj] == nil || !o.Insert {
			return fmt.Errorf("%+v is not of this change", o)
		}
		return texts[o.Obj].Append(string(o.Value))
	case o.Action == change.MakeText:
		if err := root.Set(o.Key, automerge.NewText("")); err != nil {
			return err
		}
		v, err := root.Get(o.Key)
		texts[o.ID] = v.Text()
		return err
	case o.Action == change.Increment:
		v, err := root.Get(o.Key)
		if err != nil {
			return err
		}
		return v.Counter().Inc(o.Int())
	case o.Type == change.Counter:
		return root.Set(o.Key, automerge.NewCounter(o.Int()))
	default:
		return root.Set(o.Key, o.Value)
	}
}

// TestChangesAreThoseOfTheCore: what Commit makes is to the last bit what Automerge makes
// of the same writes, whatever came before.
func TestChangesAreThoseOfTheCore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := newDocument(t, 1), newDocument(t, 2)
		typed := 0
		for i := range rapid.IntRange(1, 12).Draw(t, "changes") {
			d, other := a, b
			if rapid.Bool().Draw(t, "who") {
				d, other = b, a
			}
			if rapid.IntRange(0, 2).Draw(t, "tell") == 0 {
				tellAll(t, other, d)
			}
			before, err := LoadDocument(saveOf(t, d), d.writer)
			if err != nil {
				t.Fatal(err)
			}
			c := write(t, d, int64(i), func(e *Edit) error {
				for range rapid.IntRange(1, 3).Draw(t, "writes") {
					if err := randomWriteWithoutTexts(t)(e); err != nil {
						return err
					}
				}
				if rapid.IntRange(0, 3).Draw(t, "text") > 0 {
					return nil
				}
				typed++
				_, err := notes.Create(e, fmt.Sprint(typed), rapid.SampledFrom([]string{"", "a", "né🙃"}).Draw(t, "typed"))
				return err
			})
			if c == nil {
				continue
			}
			if want := byCore(t, before, c); want.Hash != c.Hash || !bytes.Equal(want.Plain(), c.Raw) {
				t.Fatalf("made\n%x, the core makes\n%x", c.Raw, want.Plain())
			}
		}
	})
}

func randomWriteWithoutTexts(t *rapid.T) func(*Edit) error {
	s := rapid.SampledFrom([]string{"a", "b", "cé"}).Draw(t, "string")
	n := rapid.Int64Range(-3, 9).Draw(t, "number")
	return rapid.SampledFrom([]func(*Edit) error{
		setName(s),
		func(e *Edit) error { return mark.Raise(e, "", n) },
		func(e *Edit) error { return tags.Add(e, s, s) },
		func(e *Edit) error { return tags.Remove(e, s) },
		func(e *Edit) error { return hits.Add(e, s, n) },
	}).Draw(t, "write")
}

// TestStoredComesBack: what is kept as it was saved with the changes since is the same
// document, and goes on in the same way.
func TestStoredComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, other := newDocument(t, 1), newDocument(t, 2)
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				saveOf(t, d)
			case 1:
				write(t, other, int64(i), randomWrite(t))
				tellAll(t, other, d)
			case 2:
				tellAll(t, d, other)
			default:
				write(t, d, int64(i), randomWrite(t))
			}
			if rapid.Bool().Draw(t, "later") {
				continue
			}
			saved, packs, err := d.Stored()
			if rapid.Bool().Draw(t, "as they are") && err == nil {
				write(t, d, int64(i), randomWrite(t))
				before := packs
				if saved, packs, err = d.Packs(); len(packs) < len(before) || !slices.EqualFunc(packs[:len(before)], before, bytes.Equal) {
					t.Fatalf("%d packs were altered, or are among %d", len(before), len(packs))
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := LoadDocument(saved, d.writer, packs...)
			if err != nil {
				t.Fatal(err)
			}
			if len(packs) > manyPacks {
				t.Fatalf("%d packs", len(packs))
			}
			if show(again) != show(d) || fmt.Sprint(again.heads, again.lastN, again.lastOp) != fmt.Sprint(d.heads, d.lastN, d.lastOp) {
				t.Fatalf("%s\n%s", show(again), show(d))
			}
			if fmt.Sprint(again.content) != fmt.Sprint(d.content) {
				t.Fatalf("%v\n%v", again.content, d.content)
			}
			d = again
		}
	})
}

// TestStoredRefuses: changes that do not follow what was saved.
func TestStoredRefuses(t *testing.T) {
	d := newDocument(t, 1)
	var packs [][]byte
	for _, s := range []string{"1", "2"} {
		write(t, d, 0, setName(s))
		_, all, err := d.Stored()
		if err != nil || len(all) != len(packs)+1 {
			t.Fatal(all, err)
		}
		packs = all
	}
	one, two := packs[0], packs[1]
	for name, packs := range map[string][][]byte{
		"a gap": {two}, "twice": {one, one}, "cut": {one, two[:len(two)-1]}, "order": {two, one}, "nothing": {{}},
		"longer": {append(slices.Clone(one), 0)}, "an unknown kind": {append([]byte{7}, one[1:]...)}, "a writer alone": {one[:17]},
		"of another writer": {append([]byte{packElided, 9}, one[2:]...), two},
		"many in many":      {deflate([][]byte{deflate([][]byte{one, two})})}, "many, cut": {cut(deflate([][]byte{one, two}), 1)},
		"many, one of them cut":  {deflate([][]byte{one, cut(two, 1)})},
		"many, of another size":  {slices.Concat([]byte{packMany, 0x7f}, deflate([][]byte{one, two})[2:])},
		"many, of a size beyond": {append([]byte{packMany}, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f)}, "many without a size": {{packMany}},
		"many, and one is longer than all": {manyOf(append([]byte{200}, one...))},
	} {
		if _, err := LoadDocument(nil, Writer{1}, packs...); err == nil {
			t.Errorf("%s loads", name)
		}
	}
	for _, packs := range [][][]byte{{one, two}, {deflate([][]byte{one, two})}, {one, deflate([][]byte{two})}} {
		if again, err := LoadDocument(nil, Writer{1}, packs...); err != nil || show(again) != show(d) {
			t.Errorf("%v", err)
		}
	}
	saved := saveOf(t, d)
	if _, err := LoadDocument(saved, Writer{1}, two); err == nil {
		t.Error("a change that was saved loads once more")
	}
}

func cut(b []byte, n int) []byte { return b[:len(b)-n] }

// manyOf is a pack of many with that in its frame.
func manyOf(plain []byte) []byte {
	return packing.EncodeAll(plain, binary.AppendUvarint([]byte{packMany}, uint64(len(plain))))
}

// FuzzPacks: what is not a pack is an error.
func FuzzPacks(f *testing.F) {
	d := newDocument(f, 1)
	for _, s := range []string{"1", "2", "3"} {
		write(f, d, 0, setName(s))
		if _, _, err := d.Stored(); err != nil {
			f.Fatal(err)
		}
	}
	first := d.packs[0]
	for _, p := range append(slices.Clone(d.packs), deflate(d.packs[1:])) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, pack []byte) {
		for _, packs := range [][][]byte{{pack}, {first, pack}} {
			again, err := LoadDocument(nil, Writer{1}, packs...)
			if err != nil {
				continue
			}
			if _, err := LoadDocument(saveOf(t, again), Writer{2}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
