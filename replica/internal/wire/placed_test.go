package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/vectortest"
)

// placed is a batch of two documents. The first change of each follows changes that are
// not in it, an own one and one of another writer, by number. Known has their hashes.
func placed(t testing.TB) (b *Batch, known map[change.Place]change.Hash) {
	t.Helper()
	whole := elidable(t, 6, 2)
	other := change.Place{Actor: [16]byte{9}, Seq: 7}
	known = map[change.Place]change.Hash{other: {8, 8}}
	b = &Batch{Docs: whole.Docs}
	before := map[uint32]change.Change{}
	for i, c := range whole.Changes {
		parsed, err := change.Parse(c.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if i < 2 {
			if i == 0 {
				known[change.Place{Seq: 1}] = parsed.Hash
			}
			before[c.Doc] = parsed
			continue
		}
		prior := before[c.Doc]
		head := change.Change{Seq: prior.Seq + 1, StartOp: prior.StartOp + 10, Deps: []change.Hash{prior.Hash}}
		after := []change.Place{{Seq: prior.Seq}}
		if c.Doc == 0 && prior.Seq == 1 {
			head.Deps, after = append(head.Deps, known[other]), append(after, other)
		}
		if c.Doc == 1 && prior.Seq == 1 { // by hash, as nobody knows it by number
			after = nil
		}
		op := change.Op{Key: "muted/me", Action: change.Set, Type: change.Bytes, Value: []byte{0x83, byte(i), 1, 0}, ID: change.OpID{Counter: head.StartOp}}
		order := []int{0, 1}
		if len(head.Deps) == 2 && head.Deps[0].Compare(head.Deps[1]) > 0 {
			order = []int{1, 0}
		}
		deps, places := slices.Clone(head.Deps), slices.Clone(after)
		for k := range head.Deps {
			if len(head.Deps) == 2 {
				head.Deps[k], after[k] = deps[order[k]], places[order[k]]
			}
		}
		made := parse(t, head, []change.Op{op})
		before[c.Doc] = made
		b.Changes = append(b.Changes, BatchChange{Doc: c.Doc, Raw: made.Raw, After: after})
	}
	return b, known
}

// restored is the changes of a batch that was read, with what is known.
func restored(b *Batch, known map[change.Place]change.Hash) (*Batch, error) {
	out := &Batch{Docs: b.Docs}
	for i := range b.Docs {
		changes, err := b.Of(i, func(p change.Place) (change.Hash, bool) { h, ok := known[p]; return h, ok })
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			out.Changes = append(out.Changes, BatchChange{Doc: uint32(i), Raw: c.Raw})
		}
	}
	return out, nil
}

func encodedPlaced(t testing.TB) (b *Batch, known map[change.Place]change.Hash, raw []byte) {
	t.Helper()
	b, known = placed(t)
	raw, err := b.encodeElided(change.Context{})
	if err != nil {
		t.Fatal(err)
	}
	return b, known, raw
}

func TestPlacedBatch(t *testing.T) {
	b, known, raw := encodedPlaced(t)
	got, err := DecodeBatch(change.Context{}, raw)
	if err != nil || len(got.Changes) != 0 {
		t.Fatal(got, err)
	}
	again, err := restored(got, known)
	if err != nil || !sameBatch(again, b) {
		t.Errorf("%v, %v", again, err)
	}
	for i := range b.Docs {
		if last, err := got.Last(i); err != nil || last != 3 {
			t.Errorf("document %d ends with %d, %v", i, last, err)
		}
	}
	if _, err := got.Of(0, nil); !errors.Is(err, change.ErrUnknownChange) {
		t.Errorf("without knowing anything: %v", err)
	}
	if _, err := got.Of(1, nil); err != nil {
		t.Errorf("a document that needs nothing: %v", err)
	}
	known[change.Place{Actor: [16]byte{9}, Seq: 7}] = change.Hash{8, 9}
	if _, err := restored(got, known); !errors.Is(err, ErrMalformed) {
		t.Errorf("behind another change: %v", err)
	}
}

// placedVectors need what is known of other changes.
func placedVectors(t *testing.T) []*vectortest.Vector {
	b, known, raw := encodedPlaced(t)
	if raw[0] != codecElided { // so that the alterations below find their place
		raw = append([]byte{codecElided}, elidedOf(t, b, nil)...)
	}
	one := func(name, comment, expect string, known map[change.Place]change.Hash, raw []byte) *vectortest.Vector {
		v := vectortest.New("placed-"+name, comment, expect)
		for _, line := range sortedPlaces(known) {
			v.Text("known", line)
		}
		return v.Hex("batch", raw)
	}
	in := func(stream, i int, delta byte) []byte {
		return append([]byte{codecElided}, elidedOf(t, b, func(e *elidedBatch) { e.Run[streamAt(e.Run, stream)+i] += delta })...)
	}
	other := map[change.Place]change.Hash{}
	for p, h := range known {
		h[31]++
		other[p] = h
	}
	grouped := &Batch{Docs: b.Docs}
	for doc := range b.Docs {
		for _, c := range b.Changes {
			if int(c.Doc) == doc {
				grouped.Changes = append(grouped.Changes, c)
			}
		}
	}
	return []*vectortest.Vector{
		describeBatch(one("two", "changes that follow one by number, one by number of another writer, and one by hash", "ok", known, raw), grouped),
		one("unknown", "nothing is known", "ErrUnknownChange", nil, raw),
		one("other", "other changes have these numbers", "ErrMalformed", other, raw),
		one("check", "the check of the document", "ErrMalformed", known, in(15, 0, 1)),
		one("itself", "a change that follows itself", "ErrMalformed", known, in(14, 3, 255)),
		one("actor", "an actor that is not there", "ErrMalformed", known, in(14, 0, 1)),
	}
}

func sortedPlaces(known map[change.Place]change.Hash) (lines []string) {
	for p, h := range known {
		lines = append(lines, fmt.Sprintf("%x %d %s", p.Actor, p.Seq, h))
	}
	slices.Sort(lines)
	return lines
}

func tryPlaced(t *testing.T, v *vectortest.Vector) error {
	known := map[change.Place]change.Hash{}
	want := new(vectortest.Vector)
	for _, f := range v.Fields {
		switch f[0] {
		case "known":
			words := strings.Fields(f[1])
			p := change.Place{Actor: [16]byte(unhex(t, words[0]))}
			if _, err := fmt.Sscan(words[1], &p.Seq); err != nil {
				t.Fatal(err)
			}
			known[p] = change.Hash(unhex(t, words[2]))
		case "document", "change":
			want.Fields = append(want.Fields, f)
		}
	}
	b, err := DecodeBatch(change.Context{}, unhex(t, v.Get("batch")))
	if err != nil {
		return err
	}
	again, err := restored(b, known)
	if err != nil {
		return err
	}
	if got := describeBatch(new(vectortest.Vector), again); !slices.Equal(got.Fields, want.Fields) {
		return fmt.Errorf("it says something else: %v", got.Fields)
	}
	return nil
}
