package disk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// killRounds is the environment variable with the number of rounds of
// TestKill; killSeed the one with the seed.
const (
	killRounds = "STORE_TEST_KILL_ROUNDS"
	killSeed   = "STORE_TEST_KILL_SEED"
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
// prints the number of each when it is durable.
func childCommit(dir string) error {
	s, err := Open(dir, testConfig())
	if err != nil {
		return err
	}
	n, err := head(s)
	if err != nil {
		return err
	}
	for {
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

func fromEnv(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestKill kills a process that commits, again and again, and checks that
// what it acknowledged is there, all of it, and nothing of anything else but
// the whole of the one batch under way.
func TestKill(t *testing.T) {
	rounds, seed := fromEnv(t, killRounds, 10), fromEnv(t, killSeed, 1)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	acknowledged := uint64(0)
	for round := range rounds {
		acknowledged = killAfter(t, dir, 1+r.IntN(40), acknowledged)
		got := checkNumbered(t, dir, round)
		if got != acknowledged && got != acknowledged+1 {
			t.Fatalf("seed %d, round %d: batch %d is the newest, %d was acknowledged", seed, round, got, acknowledged)
		}
		acknowledged = got
	}
	t.Logf("%d rounds, %d batches", rounds, acknowledged)
}

// killAfter runs a child, kills it as soon as it has printed so many lines,
// and returns the last number that it printed before it died.
func killAfter(t *testing.T, dir string, lines int, last uint64) uint64 {
	t.Helper()
	c := child("commit", dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	scan := bufio.NewScanner(out)
	for i := 1; scan.Scan(); i++ {
		n, err := strconv.ParseUint(scan.Text(), 10, 64)
		if err != nil || n != last+1 {
			t.Errorf("the child says %q after %d", scan.Text(), last)
			break
		}
		last = n
		if i == lines {
			c.Process.Kill()
		}
	}
	c.Process.Kill()
	if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return last
}

// checkNumbered returns the number of the newest batch after it has checked
// all of them.
func checkNumbered(t *testing.T, dir string, round uint64) uint64 {
	t.Helper()
	s, err := Open(dir, testConfig())
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	defer s.Close()
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
	if left := count(t, s, []byte{spaceJournal}) + count(t, s, metaKey(markerName)); left != 0 {
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
	txn := s.db.NewTransactionAt(ts, false)
	defer txn.Discard()
	c := newCursor(txn, s.seal, prefix, nil)
	defer c.close()
	n := 0
	for c.next() {
		n++
	}
	return n
}
