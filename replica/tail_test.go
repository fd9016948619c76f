package replica

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/replica/store"
)

// keptWith is a store with documents of one pack, each with a tail of one or without.
func keptWith(t *testing.T, tailed map[account.DocumentID]bool) *store.Memory {
	t.Helper()
	s, b := store.NewMemory(), &store.Batch{}
	for id, tail := range tailed {
		b.Put(tableDocs, id[:], encode(docRecord{Kind: 1, Leaf: [32]byte{1}, Packs: [][]byte{{1}}}))
		if tail {
			b.Put(tableDocs, tailKey(id), encode(tailRecord{Whole: [32]byte{1}, Leaf: [32]byte{2}, Packs: [][]byte{{2}}}))
		}
	}
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
	return s
}

// described is what is read of a document.
func described(d *docStored) string {
	if d == nil {
		return "none"
	}
	return fmt.Sprintf("leaf %d packs %d of which %d", d.Leaf[0], d.Packs, d.onDisk.packs)
}

const (
	bare   = "leaf 1 packs [[1]] of which 1"
	tailed = "leaf 2 packs [[1] [2]] of which 1"
)

// Documents are read with their tails, alone and all of them, from any place on.
func TestTailsAreRead(t *testing.T) {
	one, two, three := account.DocumentID{1}, account.DocumentID{2}, account.DocumentID{3}
	s := keptWith(t, map[account.DocumentID]bool{one: true, two: false, three: true})
	all := map[account.DocumentID]string{one: tailed, two: bare, three: tailed, {4}: "none"}
	for id, want := range all {
		if doc, err := getDocument(s, id); err != nil || described(doc) != want {
			t.Errorf("%s is %s, want %s, %v", id, described(doc), want, err)
		}
	}
	for _, c := range []struct {
		prefix, from []byte
		stop         int
		want         []account.DocumentID
	}{
		{nil, nil, 0, []account.DocumentID{one, two, three}},
		{nil, nil, 2, []account.DocumentID{one, two}},
		{nil, two[:], 0, []account.DocumentID{two, three}},
		{nil, three[:], 0, []account.DocumentID{three}},
		{one[:], nil, 0, []account.DocumentID{one}},
		{[]byte{9}, nil, 0, nil},
	} {
		var got []account.DocumentID
		err := eachDocument(s, c.prefix, c.from, func(id account.DocumentID, doc *docStored) error {
			if described(doc) != all[id] {
				t.Errorf("%s is %s, want %s", id, described(doc), all[id])
			}
			if got = append(got, id); len(got) == c.stop {
				return store.ErrStop
			}
			return nil
		}, refuseMalformed)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("from %x: %v, want %v, %v", c.from, got, c.want, err)
		}
	}
	failed := errors.New("failed")
	if err := eachDocument(s, three[:], nil, func(account.DocumentID, *docStored) error { return failed }, refuseMalformed); !errors.Is(err, failed) {
		t.Errorf("the last document fails with %v", err)
	}
}

// What is not a tail of its record is said, and its document does not count as read.
func TestTailsOfNothing(t *testing.T) {
	id, next := account.DocumentID{1}, account.DocumentID{2}
	for name, spoil := range map[string]func(b *store.Batch){
		"of another record": func(b *store.Batch) {
			b.Put(tableDocs, tailKey(id), encode(tailRecord{Whole: [32]byte{7}, Leaf: [32]byte{2}, Packs: [][]byte{{2}}}))
		},
		"no record": func(b *store.Batch) { b.Delete(tableDocs, id[:]) },
		"rubble":    func(b *store.Batch) { b.Put(tableDocs, tailKey(id), []byte("rubble")) },
	} {
		t.Run(name, func(t *testing.T) {
			s, b := keptWith(t, map[account.DocumentID]bool{id: true, next: true}), &store.Batch{}
			spoil(b)
			if err := s.Commit(b); err != nil {
				t.Fatal(err)
			}
			if doc, err := getDocument(s, id); !errors.Is(err, store.ErrDamaged) || doc != nil {
				t.Errorf("alone it is %s, %v", described(doc), err)
			}
			told := ""
			err := eachDocument(s, nil, nil, func(id account.DocumentID, doc *docStored) error {
				told += fmt.Sprint(id[0], " ", described(doc))
				return nil
			}, func(d *store.DamagedError) error {
				told += fmt.Sprintf("%x malformed, ", d.Key[0])
				return nil
			})
			if err != nil || told != "1 malformed, 2 "+tailed {
				t.Errorf("all are %s, %v", told, err)
			}
		})
	}
}

// between commits something between the first read and the next.
type between struct {
	store.Store
	batch *store.Batch
}

func (s *between) Get(t store.Table, key []byte) ([]byte, error) {
	value, err := s.Store.Get(t, key)
	if s.batch != nil {
		err = errors.Join(err, s.Store.Commit(s.batch))
		s.batch = nil
	}
	return value, err
}

// A tail that goes into its record, or begins, while the document is read: it is as it
// was before or after.
func TestTailMovesWhileItIsRead(t *testing.T) {
	id := account.DocumentID{1}
	folded, begun, again := &store.Batch{}, &store.Batch{}, &store.Batch{}
	whole := docRecord{Kind: 1, Leaf: [32]byte{3}, Packs: [][]byte{{1}, {2}, {3}}}
	folded.Put(tableDocs, id[:], encode(whole))
	folded.Delete(tableDocs, tailKey(id))
	begun.Put(tableDocs, tailKey(id), encode(tailRecord{Whole: [32]byte{1}, Leaf: [32]byte{2}, Packs: [][]byte{{2}}}))
	again.Put(tableDocs, id[:], encode(whole))
	again.Put(tableDocs, tailKey(id), encode(tailRecord{Whole: [32]byte{3}, Leaf: [32]byte{4}, Packs: [][]byte{{4}}}))
	for _, c := range []struct {
		name   string
		tailed bool
		batch  *store.Batch
		want   string
	}{
		{"folded", true, folded, "leaf 3 packs [[1] [2] [3]] of which 3"},
		{"folded, with a new tail", true, again, "leaf 4 packs [[1] [2] [3] [4]] of which 3"},
		{"begun", false, begun, bare},
	} {
		s := &between{keptWith(t, map[account.DocumentID]bool{id: c.tailed}), c.batch}
		if doc, err := getDocument(s, id); err != nil && !errors.Is(err, store.ErrNotFound) || described(doc) != c.want {
			t.Errorf("%s: %s, want %s, %v", c.name, described(doc), c.want, err)
		}
	}
}

// A tail is written while it is small beside its record, with what is in that unaltered.
func TestTailOf(t *testing.T) {
	of := func(n, size int) (packs [][]byte) {
		for range n {
			packs = append(packs, make([]byte, size))
		}
		return packs
	}
	for name, c := range map[string]struct {
		disk  onDisk
		packs [][]byte
		want  int // packs; -1 for none
	}{
		"a new document":     {onDisk{}, of(1, 40), -1},
		"a small one":        {onDisk{size: tailFrom - 1, packs: 2}, of(3, 40), -1},
		"the first":          {onDisk{size: tailFrom, packs: 2}, of(3, 40), 1},
		"the last":           {onDisk{size: 4 * tailFrom, packs: 2, tail: true}, of(2+tailPacks, 40), tailPacks},
		"too many":           {onDisk{size: 4 * tailFrom, packs: 2, tail: true}, of(3+tailPacks, 40), -1},
		"as large":           {onDisk{size: tailFrom, packs: 2}, of(3, tailFrom/2), 1},
		"too large":          {onDisk{size: tailFrom, packs: 2}, of(3, tailFrom/2+1), -1},
		"of what was saved":  {onDisk{size: tailFrom}, of(2, 40), 2},
		"after it was saved": {onDisk{tail: true}, nil, -1},
	} {
		got := c.disk.tailOf(c.packs, tailFrom)
		if n := len(got); got == nil && c.want >= 0 || got != nil && n != c.want {
			t.Errorf("%s: %d packs of %d, want %d", name, n, len(c.packs), c.want)
		}
	}
}
