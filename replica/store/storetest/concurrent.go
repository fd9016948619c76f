package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

func testSnapshot(t *testing.T, s store.Store) {
	for i := range 100 {
		put(t, s, 1, string(number(2*i)), "old")
	}
	n := 0
	err := s.Scan(1, nil, nil, func(k, v []byte) error {
		if string(v) != "old" {
			return fmt.Errorf("%s is %s", k, v)
		}
		if n++; n%10 == 1 {
			put(t, s, 1, string(number(n)), "new", string(number(199)), "new", string(number(198)), "new")
		}
		return nil
	})
	if err != nil || n != 100 {
		t.Fatalf("%d records, %v", n, err)
	}
	want(t, s, 1, string(number(198)), "new")
}

func testSnapshotDelete(t *testing.T, s store.Store) {
	const records = 3000
	b := new(store.Batch)
	for i := range records {
		b.Put(1, number(i), pattern(i, 500))
	}
	mustCommit(t, s, b)
	n := 0
	err := s.Scan(1, nil, nil, func(k, v []byte) error {
		if n == 0 {
			b := new(store.Batch)
			for i := range records {
				b.Delete(1, number(i))
			}
			mustCommit(t, s, b)
			for i := range 4 { // enough for the store to tidy up, if it would
				b := new(store.Batch)
				for j := range records {
					b.Put(2, number(i*records+j), pattern(j, 500))
				}
				mustCommit(t, s, b)
			}
		}
		if string(v) != string(pattern(n, 500)) {
			return fmt.Errorf("record %d differs", n)
		}
		n++
		return nil
	})
	if err != nil || n != records {
		t.Fatalf("%d records, %v", n, err)
	}
	if got := list(t, s, 1, nil, nil); len(got) != 0 {
		t.Fatalf("%d records remain", len(got))
	}
}

func testReentrant(t *testing.T, s store.Store) {
	put(t, s, 1, "a", "1", "b", "2")
	err := s.Scan(1, nil, nil, func(k, v []byte) error {
		key, value := string(k), string(v)
		inner := list(t, s, 1, nil, nil)
		if len(inner) != 2 || string(k) != key || string(v) != value {
			return fmt.Errorf("the inner scan found %q and left %q=%q", inner, k, v)
		}
		put(t, s, 2, key, value)
		want(t, s, 2, key, value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// testAtomic commits n records of size bytes over others while a reader looks.
func testAtomic(t *testing.T, s store.Store, n, size int) {
	for version := range 3 {
		b := new(store.Batch)
		for i := range n {
			b.Put(1, number(i), pattern(version, size))
		}
		b.Put(1, number(0), pattern(version, size)) // once more, in another part
		done := make(chan error)
		go func() { done <- s.Commit(b) }()
		for committed := false; !committed; {
			select {
			case err := <-done:
				if err != nil {
					t.Fatalf("commit: %v", err)
				}
				committed = true
			default:
			}
			requireOneVersion(t, s, n)
		}
		want(t, s, 1, string(number(n-1)), string(pattern(version, size)))
	}
}

// requireOneVersion checks that a scan finds none or n records, all the same.
func requireOneVersion(t *testing.T, s store.Store, n int) {
	t.Helper()
	count, first := 0, ""
	err := s.Scan(1, nil, nil, func(k, v []byte) error {
		if count == 0 {
			first = string(v)
		}
		if string(v) != first {
			return fmt.Errorf("record %s is %.20q beside %.20q", k, v, first)
		}
		count++
		return nil
	})
	if err != nil || count != 0 && count != n {
		t.Fatalf("%d of %d records, %v", count, n, err)
	}
}

func testLargeBatch(t *testing.T, s store.Store)  { testAtomic(t, s, 100, 100<<10) }
func testManyRecords(t *testing.T, s store.Store) { testAtomic(t, s, 20_000, 40) }

func testConcurrent(t *testing.T, s store.Store) {
	const writers, each = 32, 50
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				b := new(store.Batch)
				b.Put(1, number(w*each+i), number(i))
				b.Put(2, number(w), number(i))
				if err := s.Commit(b); err != nil {
					errs <- err
					return
				}
				if _, err := s.Get(1, number(w*each+i)); err != nil {
					errs <- fmt.Errorf("own commit is not visible: %w", err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Fatal(err)
	}
	if got := list(t, s, 1, nil, nil); len(got) != writers*each {
		t.Fatalf("%d of %d records", len(got), writers*each)
	}
	for w := range writers {
		want(t, s, 2, string(number(w)), string(number(each-1)))
	}
}

// testReadersSeeWholeBatches moves one unit between two records: every
// snapshot has the same sum.
func testReadersSeeWholeBatches(t *testing.T, s store.Store) {
	const records, rounds = 8, 200
	value := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	b := new(store.Batch)
	for i := range records {
		b.Put(1, number(i), value(rounds))
	}
	mustCommit(t, s, b)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range rounds {
			b := new(store.Batch)
			b.Put(1, number(i%2), value(uint64(rounds-i/2-1)))
			b.Put(1, number(2+i%2), value(uint64(rounds+i/2+1)))
			if err := s.Commit(b); err != nil {
				t.Errorf("commit: %v", err)
				return
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		sum := uint64(0)
		if err := s.Scan(1, nil, nil, func(k, v []byte) error {
			sum += binary.BigEndian.Uint64(v)
			return nil
		}); err != nil || sum != records*rounds {
			t.Fatalf("sum %d, %v", sum, err)
		}
	}
}

func testClosed(t *testing.T, s store.Store) {
	put(t, s, 1, "k", "v")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	b := new(store.Batch)
	b.Put(1, []byte("k"), nil)
	_, get := s.Get(1, []byte("k"))
	scan := s.Scan(1, nil, nil, func(k, v []byte) error { return nil })
	for _, err := range []error{get, scan, s.Commit(b), s.Commit(new(store.Batch))} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}

// closeDuringCommits returns the numbers acknowledged before Close took effect.
func closeDuringCommits(t *testing.T, s store.Store) (acknowledged []int) {
	const writers = 8
	var mu sync.Mutex
	var wg sync.WaitGroup
	started := make(chan struct{}, writers)
	for w := range writers {
		wg.Go(func() {
			for i := w; ; i += writers {
				b := new(store.Batch)
				b.Put(1, number(i), number(i))
				err := s.Commit(b)
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, i)
				mu.Unlock()
				if i == w {
					started <- struct{}{}
				}
			}
		})
	}
	for range writers {
		<-started
	}
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	wg.Wait()
	return acknowledged
}

func testCloseDuringCommits(t *testing.T, s store.Store) {
	if got := closeDuringCommits(t, s); len(got) < 8 {
		t.Fatalf("only %d commits", len(got))
	}
}

func testCloseDuringCommitsDurable(t *testing.T, open Place) {
	acknowledged := closeDuringCommits(t, mustOpen(t, open))
	s := mustOpen(t, open)
	defer s.Close()
	for _, i := range acknowledged {
		want(t, s, 1, string(number(i)), string(number(i)))
	}
}

func testReopen(t *testing.T, open Place) {
	var expected []string
	for round := range 4 {
		s := mustOpen(t, open)
		if got := list(t, s, 1, nil, nil); !slices.Equal(got, expected) {
			t.Fatalf("round %d: %q, want %q", round, got, expected)
		}
		put(t, s, 1, fmt.Sprint(round), "v", "", fmt.Sprint(round))
		expected = list(t, s, 1, nil, nil)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func testInUse(t *testing.T, open Place) {
	s := mustOpen(t, open)
	defer s.Close()
	put(t, s, 1, "k", "v")
	if second, err := open(); !errors.Is(err, store.ErrInUse) || second != nil {
		t.Fatalf("second open: %v, %v", second, err)
	}
	put(t, s, 1, "k", "w")
	want(t, s, 1, "k", "w")
}
