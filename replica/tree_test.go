package replica

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

// A branch with more documents than a message has is told in sums, which are those of
// the documents below, down to branches that are told as documents.
func TestBranches(t *testing.T) {
	const many = wire.MaxLeaves + 88
	s, b, prints := store.NewMemory(), &store.Batch{}, &fingerprint{}
	put := func(id account.DocumentID) {
		leaf := leafOf(id, nil)
		b.Put(tableDocs, id[:], encode(docRecord{Kind: 1, Entity: id.String(), Leaf: leaf}))
		prints.replace(id, [32]byte{}, leaf)
	}
	for i := range many {
		put(account.DocumentID{7, byte(i % 3), byte(i >> 8), byte(i)})
	}
	put(account.DocumentID{8})
	b.Put(tableDocs, []byte("no id"), []byte("rubble"))
	prints.flush(b)
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
	l := &loop{config: &Config{Store: s, Log: slog.New(slog.DiscardHandler)}}
	of := func(prefix ...byte) *wire.Probed {
		t.Helper()
		m, err := l.branch(prefix)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.AppendFrame(nil, m); err != nil {
			t.Fatalf("branch %x cannot be sent: %v", prefix, err)
		}
		same, err := l.likewise(m)
		if err != nil || !slices.Equal(same.Sums, m.Sums) || !slices.Equal(same.Leaves, m.Leaves) {
			t.Fatalf("branch %x is told in another way than it is seen: %v", prefix, err)
		}
		return m
	}
	root, bucket, n := of(), of(7), 0
	var sum [32]byte
	for i, below := range bucket.Sums {
		sum = add(sum, below)
		m := of(7, byte(i))
		n += len(m.Leaves)
		var leaves [32]byte
		for _, leaf := range m.Leaves {
			leaves = add(leaves, leaf.Hash)
		}
		if leaves != below {
			t.Fatalf("the sum of branch 07%02x is not that of its documents", i)
		}
	}
	if sum != root.Sums[7] || n != many {
		t.Errorf("%d documents of %d below a bucket, with another sum", n, many)
	}
	if one := of(8); len(one.Leaves) != 1 || one.Leaves[0].Hash != root.Sums[8] {
		t.Errorf("bucket 8 is %+v", one)
	}
	if none := of(9, 9, 9); len(none.Leaves)+len(none.Sums) != 0 {
		t.Errorf("an empty branch is %+v", none)
	}
	all, err := l.likewise(&wire.Probed{Prefix: []byte{7}})
	if err != nil || len(all.Leaves) != many {
		t.Errorf("%d documents where another device has none, %v", len(all.Leaves), err)
	}
}
