package wire

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/starling-sync/starling/crdt/change"
)

// elidable returns a batch of n real changes by the zero writer: each sets one key
// of one of some documents, and replaces what was there.
func elidable(t testing.TB, n, documents int) *Batch {
	t.Helper()
	b := &Batch{}
	last := make([]change.Change, documents)
	for i := range n {
		doc := i % documents
		if doc == len(b.Docs) {
			b.Docs = append(b.Docs, Document{Kind: 1, Entity: fmt.Sprint("chat ", doc)})
		}
		head := change.Change{Seq: last[doc].Seq + 1, StartOp: uint64(i) + 1}
		op := change.Op{Key: "muted/me", Action: change.Set, Type: change.Bytes, Value: []byte{0x83, byte(i), 1, 0}}
		if before := last[doc]; before.Seq > 0 {
			head.Deps = []change.Hash{before.Hash}
			op.Pred = []change.OpID{{Counter: before.StartOp}}
		}
		op.ID.Counter = head.StartOp
		c := parse(t, head, []change.Op{op})
		last[doc] = c
		b.Changes = append(b.Changes, BatchChange{Doc: uint32(doc), Raw: c.Raw})
	}
	return b
}

// sameBatch compares batches, the order among documents apart.
func sameBatch(a, b *Batch) bool {
	grouped := func(changes []BatchChange) []BatchChange {
		changes = slices.Clone(changes)
		slices.SortStableFunc(changes, func(a, b BatchChange) int { return int(a.Doc) - int(b.Doc) })
		return changes
	}
	return slices.Equal(a.Docs, b.Docs) && slices.EqualFunc(grouped(a.Changes), grouped(b.Changes), func(a, b BatchChange) bool {
		return a.Doc == b.Doc && string(a.Raw) == string(b.Raw)
	})
}

// elidedOf returns the CBOR of b, elided, after change has altered it.
func elidedOf(t testing.TB, b *Batch, alter func(*elidedBatch)) []byte {
	t.Helper()
	run, err := b.elide(change.Context{})
	if err != nil {
		t.Fatal(err)
	}
	e := &elidedBatch{Docs: slices.Clone(b.Docs), Run: run}
	if alter != nil {
		alter(e)
	}
	plain, err := encMode.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// TestElidedBatchesRoundTrip: what comes back are the same bytes, those of one
// document together.
func TestElidedBatchesRoundTrip(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {7, 3}, {1000, 10}} {
		b := elidable(t, size[0], size[1])
		raw, err := b.Encode(change.Context{Suffix: "/me"})
		if err != nil {
			t.Fatal(err)
		}
		if raw[0] != codecElided && raw[0] != codecElidedZstd {
			t.Fatalf("codec %d", raw[0])
		}
		got, err := DecodeBatch(change.Context{Suffix: "/me"}, raw)
		if err != nil {
			t.Fatal(err)
		}
		if !sameBatch(got, b) {
			t.Fatalf("%d changes came back otherwise", size[0])
		}
	}
}

// TestElidedBatchOfAnotherWriter: whoever takes it for another's does not get
// changes that are accepted.
func TestElidedBatchOfAnotherWriter(t *testing.T) {
	raw, err := elidable(t, 7, 3).Encode(change.Context{})
	if err != nil {
		t.Fatal(err)
	}
	other := change.Context{Actor: [change.ActorSize]byte{9}}
	b, err := DecodeBatch(other, raw)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Changes {
		if c, err := change.Parse(b.Changes[i].Raw); err != nil || c.Actor != other.Actor {
			t.Errorf("change by %x, %v", c.Actor, err)
		}
	}
}

// TestElidedBombIsRefused: few bytes that stand for many.
func TestElidedBombIsRefused(t *testing.T) {
	long := change.Op{ID: change.OpID{Counter: 1}, Key: string(make([]byte, 1<<16)), Action: change.Set}
	ops := slices.Repeat([]change.Op{long}, 4096)
	for i := range ops {
		ops[i].ID.Counter = uint64(i) + 1
	}
	c, err := change.Parse(change.Marshal(&change.Change{Seq: 1, StartOp: 1}, ops)) // all of one key: 64 KiB
	if err != nil {
		t.Fatal(err)
	}
	run, err := change.Elide(change.Context{}, [][]change.Change{{c}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := change.Restore(change.Context{}, run, MaxBatch); !errors.Is(err, change.ErrMalformed) {
		t.Errorf("%d bytes that stand for %d: %v", len(run), len(ops)<<16, err)
	}
}

// typed returns a batch of documents, each of one change by the zero writer that
// types a text of n characters that do not compress.
func typed(t testing.TB, documents, n int) *Batch {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	b := &Batch{}
	for i := range documents {
		ops := []change.Op{{ID: change.OpID{Counter: 1}, Key: "text", Action: change.MakeText}}
		for j := range uint64(n) {
			o := change.Op{ID: change.OpID{Counter: j + 2}, Obj: change.OpID{Counter: 1}, Insert: true,
				Action: change.Set, Type: change.Text, Value: []byte{byte('0' + random.IntN(64))}}
			if j > 0 {
				o.Elem = change.OpID{Counter: j + 1}
			}
			ops = append(ops, o)
		}
		b.Docs = append(b.Docs, Document{Kind: 1, Entity: fmt.Sprint("chat ", i)})
		b.Changes = append(b.Changes, BatchChange{Doc: uint32(i), Raw: parse(t, change.Change{Seq: 1, StartOp: 1}, ops).Raw})
	}
	return b
}

func parse(t testing.TB, head change.Change, ops []change.Op) change.Change {
	t.Helper()
	c, err := change.Parse(change.Marshal(&head, ops))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLongTextsFitAnEnvelope: as long as the changes do, although an operation for
// each character, on its own, takes more than the core needs for it.
func TestLongTextsFitAnEnvelope(t *testing.T) {
	b := typed(t, 3, 64<<10)
	raw, err := b.Encode(change.Context{})
	if err != nil {
		t.Fatal(err)
	}
	if raw[0] != codecElidedZstd || len(raw) > b.size() {
		t.Errorf("codec %d, %d bytes where the changes take %d", raw[0], len(raw), b.size())
	}
	if got, err := DecodeBatch(change.Context{}, raw); err != nil || !sameBatch(got, b) {
		t.Errorf("came back otherwise, %v", err)
	}
}

// TestBatchThatElisionMakesLonger stays as it is.
func TestBatchThatElisionMakesLonger(t *testing.T) {
	var preds []change.OpID
	for i := range uint64(1000) {
		preds = append(preds, change.OpID{Counter: i + 1})
	}
	c := parse(t, change.Change{Seq: 2, StartOp: 2000},
		[]change.Op{{ID: change.OpID{Counter: 2000}, Key: "k", Action: change.Set, Pred: preds}})
	b := &Batch{Docs: []Document{{Kind: 1}}, Changes: []BatchChange{{Raw: c.Raw}}}
	raw, err := b.Encode(change.Context{})
	if err != nil {
		t.Fatal(err)
	}
	if elided, err := b.encodeElided(change.Context{}); err != nil || len(elided) <= len(raw) || len(raw) > len(plainOf(t, b))+1 {
		t.Errorf("%d bytes, elided %d, %v", len(raw), len(elided), err)
	}
}
