package disk

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

var (
	kills    = flag.Int("kills", 10, "processes that TestKill kills")
	killSeed = flag.Uint64("kill-seed", 1, "seed of TestKill")
)

// A numbered batch is a record "head" with its number, and copies of the
// number under as many keys as numberedSize says: any part of it can be told
// from the whole.
const (
	smallBatch = 10
	largeBatch = 16_000 // more than fits into a transaction
)

func numberedSize(n uint64) int {
	if n%8 == 5 {
		return largeBatch
	}
	return smallBatch
}

func numbered(n uint64) *store.Batch {
	b := new(store.Batch)
	value := binary.BigEndian.AppendUint64(nil, n)
	b.Put(1, []byte("head"), value)
	for i := range numberedSize(n) {
		b.Put(2, fmt.Appendf(nil, "%d/%05d", n%16, i), value)
	}
	b.Put(3, value, value) // never overwritten
	return b
}

// childCommit commits numbered batches after the newest one there is, and
// prints the number of each when it is durable. When its input ends it closes
// the store.
func childCommit(dir string) error {
	s, err := Open(dir, testConfig())
	if err != nil {
		return err
	}
	n, err := head(s)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		os.Stdin.Read(make([]byte, 1))
	}()
	for {
		select {
		case <-ended:
			return s.Close()
		default:
		}
		n++
		if err := s.Commit(numbered(n)); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// head returns the number of the newest batch, 0 if there is none.
func head(s *Store) (uint64, error) {
	value, err := s.Get(1, []byte("head"))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(value), nil
}

// TestKill kills a process that commits, again and again, and checks that
// what it acknowledged is there, all of it, and nothing of anything else but
// the whole of the one batch under way. More, with figures:
//
//	go test ./replica/store/disk -run '^TestKill$' -v -kills 1000 -timeout 0
func TestKill(t *testing.T) {
	c := &crashes{t: t, dir: t.TempDir(), seed: *killSeed, crash: func(p *os.Process) { p.Kill() }}
	c.run(*kills)
}

// checkNumbered returns the number of the newest batch after it has checked
// all of them.
func checkNumbered(t *testing.T, s *Store, round int) uint64 {
	t.Helper()
	newest, err := head(s)
	if err != nil {
		t.Fatal(err)
	}
	if s.commit.fits(largeBatch, 0, 0) {
		t.Fatal("a large batch does not need the journal")
	}
	next := uint64(1)
	if err := s.Scan(3, nil, nil, func(k, v []byte) error {
		if n := binary.BigEndian.Uint64(k); n != next || string(k) != string(v) {
			return fmt.Errorf("batch %d where %d should be", n, next)
		}
		next++
		return nil
	}); err != nil || next != newest+1 {
		t.Fatalf("round %d: batches up to %d of %d: %v", round, next-1, newest, err)
	}
	for n := newest; n > 0 && n+16 > newest; n-- {
		checkOne(t, s, n)
	}
	ts := s.db.MaxVersion() // the end of the journal need not be visible yet
	if left := countAt(s, ts, []byte{spaceJournal}) + countAt(s, ts, metaKey(markerName)); left != 0 {
		t.Fatalf("round %d: %d values of a journal are left", round, left)
	}
	return newest
}

// checkOne checks that the newest batch n of its residue is there as a whole.
func checkOne(t *testing.T, s *Store, n uint64) {
	t.Helper()
	want := string(binary.BigEndian.AppendUint64(nil, n))
	seen := 0
	if err := s.Scan(2, fmt.Appendf(nil, "%d/", n%16), nil, func(k, v []byte) error {
		if seen < numberedSize(n) && string(v) != want {
			return fmt.Errorf("%s is of batch %x", k, v)
		}
		seen++
		return nil
	}); err != nil || seen != numberedSize(n) {
		t.Fatalf("batch %d: %d records of %d: %v", n, seen, numberedSize(n), err)
	}
}

// count returns how many keys of Badger begin with prefix.
func count(t *testing.T, s *Store, prefix []byte) int {
	t.Helper()
	ts, err := s.snaps.acquire()
	if err != nil {
		t.Fatal(err)
	}
	defer s.snaps.release(ts)
	return countAt(s, ts, prefix)
}

func countAt(s *Store, ts uint64, prefix []byte) (n int) {
	txn := s.db.NewTransactionAt(ts, false)
	defer txn.Discard()
	c := newCursor(txn, s.seal, prefix, nil)
	defer c.close()
	for c.next() {
		n++
	}
	return n
}
