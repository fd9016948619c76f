package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// Place opens the store of one test. It may be called again after the store
// was closed.
type Place func() (store.Store, error)

// Run checks an implementation. Each test asks for a place with an empty
// store of its own; at says whether it keeps records while it is closed.
func Run(t *testing.T, durable bool, place func(t *testing.T) Place) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			open := place(t)
			s := mustOpen(t, open)
			t.Cleanup(func() { s.Close() })
			c.test(t, s)
		})
	}
	if durable {
		for _, c := range durableCases {
			t.Run(c.name, func(t *testing.T) { c.test(t, place(t)) })
		}
	}
}

var cases = []struct {
	name string
	test func(*testing.T, store.Store)
}{
	{"a missing record is ErrNotFound", testMissing},
	{"a put is read back, overwritten and deleted", testPutGetDelete},
	{"the last operation of a batch wins", testLastWins},
	{"a batch can be committed again", testCommitAgain},
	{"an empty batch changes nothing", testEmptyBatch},
	{"tables are apart", testTables},
	{"keys and values may be empty or any bytes", testAnyBytes},
	{"scan is in order, within prefix and from", testScan},
	{"scan stops without an error at ErrStop", testStop},
	{"scan returns the error of its callback", testCallbackError},
	{"scan survives a panic of its callback", testCallbackPanic},
	{"scan sees one snapshot", testSnapshot},
	{"scan sees one snapshot while deletes go on", testSnapshotDelete},
	{"scan may read, scan and commit from its callback", testReentrant},
	{"bytes are owned as documented", testOwnership},
	{"a batch of 10 MB is atomic", testLargeBatch},
	{"a batch of 20,000 records is atomic", testManyRecords},
	{"values of 1 MiB and of the limit", testLargeValues},
	{"keys of the limit", testLongKeys},
	{"over the limit is ErrTooLarge and changes nothing", testTooLarge},
	{"concurrent commits all arrive", testConcurrent},
	{"concurrent readers see whole batches", testReadersSeeWholeBatches},
	{"random operations agree with a map", testModel},
	{"after Close everything is ErrClosed", testClosed},
	{"Close during commits loses nothing acknowledged", testCloseDuringCommits},
}

var durableCases = []struct {
	name string
	test func(*testing.T, Place)
}{
	{"records survive Close and Open", testReopen},
	{"a second opener is ErrInUse", testInUse},
	{"what was acknowledged before Close is there after", testCloseDuringCommitsDurable},
	{"random operations agree with a map over reopening", testModelReopen},
}

func mustOpen(t *testing.T, open Place) store.Store {
	t.Helper()
	s, err := open()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

func mustCommit(t testing.TB, s store.Store, b *store.Batch) {
	t.Helper()
	if err := s.Commit(b); err != nil {
		t.Fatalf("commit of %d operations: %v", b.Len(), err)
	}
}

// put commits one record for each pair of strings.
func put(t testing.TB, s store.Store, table store.Table, pairs ...string) {
	t.Helper()
	b := new(store.Batch)
	for i := 0; i < len(pairs); i += 2 {
		b.Put(table, []byte(pairs[i]), []byte(pairs[i+1]))
	}
	mustCommit(t, s, b)
}

func want(t testing.TB, s store.Store, table store.Table, key, value string) {
	t.Helper()
	got, err := s.Get(table, []byte(key))
	if err != nil || string(got) != value || got == nil {
		t.Fatalf("Get(%d, %q) = %.40q, %v; want %.40q", table, key, got, err, value)
	}
}

func wantMissing(t testing.TB, s store.Store, table store.Table, key string) {
	t.Helper()
	if got, err := s.Get(table, []byte(key)); !errors.Is(err, store.ErrNotFound) || got != nil {
		t.Fatalf("Get(%d, %q) = %.40q, %v; want ErrNotFound", table, key, got, err)
	}
}

// list returns key=value of what a scan finds.
func list(t testing.TB, s store.Store, table store.Table, prefix, from []byte) []string {
	t.Helper()
	out := []string{}
	err := s.Scan(table, prefix, from, func(key, value []byte) error {
		out = append(out, string(key)+"="+string(value))
		return nil
	})
	if err != nil {
		t.Fatalf("Scan(%d, %q, %q): %v", table, prefix, from, err)
	}
	return out
}

// number is a key that sorts as its number.
func number(i int) []byte { return fmt.Appendf(nil, "%08d", i) }

// pattern is n bytes that differ from place to place and from seed to seed.
func pattern(seed, n int) []byte {
	block := fmt.Appendf(nil, "%d:%d;", seed, n)
	return bytes.Repeat(block, n/len(block)+1)[:n]
}
