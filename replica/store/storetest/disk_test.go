package storetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

func TestMemoryConforms(t *testing.T) {
	Run(t, false, func(*testing.T) Place {
		return func() (store.Store, error) { return store.NewMemory(), nil }
	})
}

func TestDiskConforms(t *testing.T) {
	Run(t, true, func(*testing.T) Place { return NewDisk().Open })
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome Outcome
		err     error
		visible bool // after the commit, in the same store
		durable bool // after a crash
	}{
		{"durable", Durable, nil, true, true},
		{"volatile", Volatile, nil, true, false},
		{"full", Full, store.ErrDiskFull, false, false},
		{"crash before", CrashBefore, ErrCrashed, false, false},
		{"crash after", CrashAfter, ErrCrashed, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewDisk()
			d.Plan = func(n int, b *store.Batch) Outcome {
				if n == 2 {
					return c.outcome
				}
				return Durable
			}
			s := mustOpen(t, d.Open)
			put(t, s, 1, "a", "1")
			b := new(store.Batch)
			b.Put(1, []byte("b"), []byte("2"))
			if err := s.Commit(b); !errors.Is(err, c.err) {
				t.Fatalf("commit: %v, want %v", err, c.err)
			}
			_, err := s.Get(1, []byte("b"))
			if visible := err == nil; visible != c.visible {
				t.Fatalf("visible is %v: %v", visible, err)
			}
			d.Crash()
			if _, err := s.Get(1, []byte("a")); !errors.Is(err, ErrCrashed) {
				t.Fatalf("Get after the crash: %v", err)
			}
			s = mustOpen(t, d.Open)
			want(t, s, 1, "a", "1")
			_, err = s.Get(1, []byte("b"))
			if durable := err == nil; durable != c.durable {
				t.Fatalf("durable is %v: %v", durable, err)
			}
		})
	}
}

func TestVolatileBecomesDurableWithTheNext(t *testing.T) {
	d := NewDisk()
	d.Plan = func(n int, b *store.Batch) Outcome { return []Outcome{Volatile, Durable, Volatile}[n-1] }
	s := mustOpen(t, d.Open)
	put(t, s, 1, "a", "")
	put(t, s, 1, "b", "")
	put(t, s, 1, "c", "")
	d.Crash()
	if got := list(t, mustOpen(t, d.Open), 1, nil, nil); !slices.Equal(got, []string{"a=", "b="}) {
		t.Fatalf("after the crash: %q", got)
	}
}

func TestDamage(t *testing.T) {
	d := NewDisk()
	s := mustOpen(t, d.Open)
	put(t, s, 1, "a", "1", "b", "2", "c", "3")
	d.Damage(1, []byte("b"))
	RequireDamaged(t, s, 1, []string{"a", "c"}, []string{"b"})
	put(t, s, 1, "b", "new")
	want(t, s, 1, "b", "new")
}
