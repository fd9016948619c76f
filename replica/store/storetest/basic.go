package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

func testMissing(t *testing.T, s store.Store) {
	wantMissing(t, s, 1, "k")
	wantMissing(t, s, 0, "")
	wantMissing(t, s, 255, string(make([]byte, store.MaxKey+1)))
	if got := list(t, s, 1, nil, nil); len(got) != 0 {
		t.Fatalf("an empty store lists %q", got)
	}
}

func testPutGetDelete(t *testing.T, s store.Store) {
	put(t, s, 1, "k", "one")
	want(t, s, 1, "k", "one")
	put(t, s, 1, "k", "two")
	want(t, s, 1, "k", "two")
	b := new(store.Batch)
	b.Delete(1, []byte("k"))
	b.Delete(1, []byte("never was there"))
	mustCommit(t, s, b)
	wantMissing(t, s, 1, "k")
	if got := list(t, s, 1, nil, nil); len(got) != 0 {
		t.Fatalf("deleted records are listed: %q", got)
	}
	put(t, s, 1, "k", "three")
	want(t, s, 1, "k", "three")
}

func testLastWins(t *testing.T, s store.Store) {
	b := new(store.Batch)
	b.Put(1, []byte("a"), []byte("first"))
	b.Put(1, []byte("a"), []byte("last"))
	b.Put(1, []byte("b"), []byte("gone"))
	b.Delete(1, []byte("b"))
	b.Delete(1, []byte("c"))
	b.Put(1, []byte("c"), []byte("back"))
	mustCommit(t, s, b)
	if got := list(t, s, 1, nil, nil); !slices.Equal(got, []string{"a=last", "c=back"}) {
		t.Fatalf("got %q", got)
	}
}

func testCommitAgain(t *testing.T, s store.Store) {
	b := new(store.Batch)
	b.Put(1, []byte("a"), []byte("1"))
	mustCommit(t, s, b)
	b.Put(1, []byte("b"), []byte("2"))
	mustCommit(t, s, b)
	b.Reset()
	b.Delete(1, []byte("a"))
	mustCommit(t, s, b)
	if got := list(t, s, 1, nil, nil); !slices.Equal(got, []string{"b=2"}) {
		t.Fatalf("got %q", got)
	}
}

func testEmptyBatch(t *testing.T, s store.Store) {
	put(t, s, 1, "k", "v")
	mustCommit(t, s, new(store.Batch))
	want(t, s, 1, "k", "v")
}

func testTables(t *testing.T, s store.Store) {
	for table := range 256 {
		put(t, s, store.Table(table), "k", fmt.Sprint("in ", table))
	}
	for table := range 256 {
		want(t, s, store.Table(table), "k", fmt.Sprint("in ", table))
		if got := list(t, s, store.Table(table), nil, nil); len(got) != 1 {
			t.Fatalf("table %d lists %q", table, got)
		}
	}
}

func testAnyBytes(t *testing.T, s store.Store) {
	keys := []string{"", "\x00", "\x00\x00", "\x00\xff", "!badger!head", "é", "\xff", "\xff\xff"} // in order
	for _, table := range []store.Table{0, 'd', 'm', 'j', '!', 255} {
		for i, k := range keys {
			put(t, s, table, k, string(pattern(i, i)))
		}
		for i, k := range keys {
			want(t, s, table, k, string(pattern(i, i)))
		}
		var got []string
		if err := s.Scan(table, nil, nil, func(k, v []byte) error {
			got = append(got, string(k))
			return nil
		}); err != nil || !slices.Equal(got, keys) {
			t.Fatalf("table %d: scan gave %q, %v", table, got, err)
		}
		b := new(store.Batch)
		for _, k := range keys {
			b.Delete(table, []byte(k))
		}
		mustCommit(t, s, b)
		if left := list(t, s, table, nil, nil); len(left) != 0 {
			t.Fatalf("table %d keeps %q", table, left)
		}
	}
}

func testScan(t *testing.T, s store.Store) {
	put(t, s, 7, "a", "", "b", "", "ba", "", "bb", "", "bb\x00", "", "bc", "", "b\xff", "", "b\xff\xff", "", "c", "")
	put(t, s, 6, "b", "", "z", "")
	put(t, s, 8, "", "", "b", "")
	for _, c := range []struct {
		prefix, from string
		want         []string
	}{
		{"", "", []string{"a", "b", "ba", "bb", "bb\x00", "bc", "b\xff", "b\xff\xff", "c"}},
		{"b", "", []string{"b", "ba", "bb", "bb\x00", "bc", "b\xff", "b\xff\xff"}},
		{"b", "a", []string{"b", "ba", "bb", "bb\x00", "bc", "b\xff", "b\xff\xff"}},
		{"b", "bb", []string{"bb", "bb\x00", "bc", "b\xff", "b\xff\xff"}},
		{"b", "bb\x00\x00", []string{"bc", "b\xff", "b\xff\xff"}},
		{"b", "b\xff\xff\xff", nil},
		{"b", "c", nil},
		{"bb", "b", []string{"bb", "bb\x00"}},
		{"b\xff", "", []string{"b\xff", "b\xff\xff"}},
		{"", "bz", []string{"b\xff", "b\xff\xff", "c"}},
		{"", "d", nil},
		{"nothing", "", nil},
	} {
		got := list(t, s, 7, []byte(c.prefix), []byte(c.from))
		for i := range got {
			got[i] = got[i][:len(got[i])-1]
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("Scan(%q from %q) = %q, want %q", c.prefix, c.from, got, c.want)
		}
	}
}

func testStop(t *testing.T, s store.Store) {
	put(t, s, 1, "a", "", "b", "", "c", "")
	for _, stop := range []error{store.ErrStop, fmt.Errorf("wrapped: %w", store.ErrStop)} {
		n := 0
		err := s.Scan(1, nil, nil, func(k, v []byte) error {
			if n++; n == 2 {
				return stop
			}
			return nil
		})
		if err != nil || n != 2 {
			t.Fatalf("%d calls, %v", n, err)
		}
	}
}

func testCallbackError(t *testing.T, s store.Store) {
	put(t, s, 1, "a", "", "b", "")
	mine := errors.New("mine")
	n := 0
	err := s.Scan(1, nil, nil, func(k, v []byte) error { n++; return mine })
	if !errors.Is(err, mine) || errors.Is(err, store.ErrDamaged) || n != 1 {
		t.Fatalf("%d calls, %v", n, err)
	}
}

func testCallbackPanic(t *testing.T, s store.Store) {
	put(t, s, 1, "a", "1")
	func() {
		defer func() {
			if p := recover(); p != "mine" {
				t.Fatalf("the panic of the callback became %v", p)
			}
		}()
		_ = s.Scan(1, nil, nil, func(k, v []byte) error { panic("mine") })
	}()
	put(t, s, 1, "b", "2")
	want(t, s, 1, "a", "1")
	if err := s.Close(); err != nil { // nothing is left open
		t.Fatal(err)
	}
}

func testOwnership(t *testing.T, s store.Store) {
	key, value := []byte("key"), []byte("value")
	b := new(store.Batch)
	b.Put(1, key, value)
	b.Delete(1, key[:1])
	key[0], value[0] = 'X', 'X' // the batch has copies
	mustCommit(t, s, b)
	want(t, s, 1, "key", "value")

	got, err := s.Get(1, []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	got[0] = 'Y' // the caller's own
	_ = append(got[:1], "YYYYYYYY"...)
	want(t, s, 1, "key", "value")

	err = s.Scan(1, nil, nil, func(k, v []byte) error {
		clear(k)
		clear(v)
		_ = append(v, "ZZZZZZZZ"...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, s, 1, "key", "value")
}

func testLargeValues(t *testing.T, s store.Store) {
	for i, size := range []int{1 << 20, 512 << 10, 512<<10 - 41, 512<<10 - 42, store.MaxValue} {
		b := new(store.Batch)
		b.Put(1, number(i), pattern(i, size))
		mustCommit(t, s, b)
	}
	for i, size := range []int{1 << 20, 512 << 10, 512<<10 - 41, 512<<10 - 42, store.MaxValue} {
		want(t, s, 1, string(number(i)), string(pattern(i, size)))
	}
	n := 0
	if err := s.Scan(1, nil, nil, func(k, v []byte) error {
		if !bytes.Equal(v, pattern(n, len(v))) {
			return fmt.Errorf("record %d differs", n)
		}
		n++
		return nil
	}); err != nil || n != 5 {
		t.Fatalf("%d records, %v", n, err)
	}
}

func testLongKeys(t *testing.T, s store.Store) {
	long := string(pattern(1, store.MaxKey))
	put(t, s, 1, long, "v", long[:len(long)-1], "shorter")
	want(t, s, 1, long, "v")
	want(t, s, 1, long[:len(long)-1], "shorter")
}

func testTooLarge(t *testing.T, s store.Store) {
	put(t, s, 1, "a", "before")
	for _, over := range []func(b *store.Batch){
		func(b *store.Batch) { b.Put(1, make([]byte, store.MaxKey+1), nil) },
		func(b *store.Batch) { b.Delete(1, make([]byte, store.MaxKey+1)) },
		func(b *store.Batch) { b.Put(1, []byte("b"), make([]byte, store.MaxValue+1)) },
	} {
		b := new(store.Batch)
		b.Put(1, []byte("a"), []byte("after"))
		over(b)
		if err := s.Commit(b); !errors.Is(err, store.ErrTooLarge) {
			t.Fatalf("got %v", err)
		}
		if got := list(t, s, 1, nil, nil); !slices.Equal(got, []string{"a=before"}) {
			t.Fatalf("the store has %.60q", got)
		}
	}
	put(t, s, 1, "a", "later")
	want(t, s, 1, "a", "later")
}
