package storetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// RequireDamaged checks that of a table the good keys can be read, and that
// Get and Scan name the bad ones. The store has no others in this table.
func RequireDamaged(t *testing.T, s store.Store, table store.Table, good, bad []string) {
	t.Helper()
	var got []string
	err := s.Scan(table, nil, nil, func(key, value []byte) error {
		got = append(got, string(key))
		return nil
	})
	if !slices.Equal(got, good) {
		t.Fatalf("scan found %q, want %q", got, good)
	}
	var scan *store.DamagedScan
	if !errors.As(err, &scan) || !errors.Is(err, store.ErrDamaged) || scan.Count != len(bad) || scan.Err != nil {
		t.Fatalf("scan returned %v, want %d damaged records", err, len(bad))
	}
	for i, r := range scan.Records {
		if r.Table != table || string(r.Key) != bad[i] {
			t.Fatalf("scan names table %d key %q, want %d %q", r.Table, r.Key, table, bad[i])
		}
	}
	for _, key := range bad {
		var damaged *store.DamagedError
		_, err := s.Get(table, []byte(key))
		if !errors.As(err, &damaged) || damaged.Table != table || string(damaged.Key) != key {
			t.Fatalf("Get(%q) returned %v", key, err)
		}
	}
	requireDamageBesideOtherErrors(t, s, table)
}

// requireDamageBesideOtherErrors checks that damage is not hidden by how a
// scan ends. The first record has to be good.
func requireDamageBesideOtherErrors(t *testing.T, s store.Store, table store.Table) {
	t.Helper()
	mine := errors.New("mine")
	for _, end := range []error{store.ErrStop, mine} {
		n := 0
		err := s.Scan(table, nil, nil, func(key, value []byte) error {
			if n++; n == 2 {
				return end
			}
			return nil
		})
		if !errors.Is(err, store.ErrDamaged) || errors.Is(err, mine) != (end == mine) {
			t.Fatalf("a scan that ended with %v returned %v", end, err)
		}
	}
}
