package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// model is what the records of table 1 have to be.
type model map[string]string

// step commits a random batch to both.
func (m model) step(t *testing.T, s store.Store, r *rand.Rand) {
	t.Helper()
	b := new(store.Batch)
	for range 1 + r.IntN(30) {
		key := strings.Repeat(string(rune('a'+r.IntN(3))), r.IntN(4)) + fmt.Sprint(r.IntN(40))
		if r.IntN(3) == 0 {
			b.Delete(1, []byte(key))
			delete(m, key)
			continue
		}
		value := string(pattern(r.IntN(1000), r.IntN(3000)))
		b.Put(1, []byte(key), []byte(value))
		m[key] = value
	}
	mustCommit(t, s, b)
}

// compare reads by Get, and by a Scan of a random part.
func (m model) compare(t *testing.T, s store.Store, r *rand.Rand) {
	t.Helper()
	key := fmt.Sprint(r.IntN(40))
	if value, ok := m[key]; ok {
		want(t, s, 1, key, value)
	} else {
		wantMissing(t, s, 1, key)
	}
	prefix := []string{"", "a", "bb", "c1", "1"}[r.IntN(5)]
	from := []string{"", "a2", "bb", "cc", "15", "0"}[r.IntN(6)]
	expected := []string{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(k, prefix) && k >= from {
			expected = append(expected, k+"="+m[k])
		}
	}
	if got := list(t, s, 1, []byte(prefix), []byte(from)); !slices.Equal(got, expected) {
		t.Fatalf("scan %q from %q: %d records, want %d", prefix, from, len(got), len(expected))
	}
}

func testModel(t *testing.T, s store.Store) {
	r := rand.New(rand.NewPCG(1, 2))
	m := model{}
	for range 300 {
		m.step(t, s, r)
		m.compare(t, s, r)
	}
}

func testModelReopen(t *testing.T, open Place) {
	r := rand.New(rand.NewPCG(3, 4))
	m := model{}
	for range 8 {
		s := mustOpen(t, open)
		m.compare(t, s, r)
		for range 40 {
			m.step(t, s, r)
		}
		m.compare(t, s, r)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
