package crdt

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A join is described to the property tests by what it makes of a register.
var joins = map[string]func([]Entry) any{
	"StampRegister": func(r []Entry) any {
		v, by, ok := StampRegister[int64]{Valid: small}.Join(r)
		return fmt.Sprint(v, by.Writer, ok)
	},
	"MaxRegister": func(r []Entry) any {
		v, ok := MaxRegister[int64]{Compare: cmp.Compare[int64], Valid: small}.Join(r)
		return fmt.Sprint(v, ok)
	},
	"MinRegister": func(r []Entry) any {
		v, ok := MinRegister[int64]{Compare: cmp.Compare[int64], Valid: small}.Join(r)
		return fmt.Sprint(v, ok)
	},
	"AddWinsSet": func(r []Entry) any {
		v, by, ok := AddWinsSet[int64]{Valid: small}.Join(r)
		return fmt.Sprint(v, by.Writer, ok)
	},
	"EnableWinsFlag": func(r []Entry) any { return EnableWinsFlag{}.Join(r) },
	"GrowOnlySet":    func(r []Entry) any { return GrowOnlySet{}.Join(r) },
	"Tombstone":      func(r []Entry) any { return Tombstone{}.Join(r[:len(r)/2], r[len(r)/2:]) },
}

func small(v int64) bool { return v < 5 }

// entryGen makes what any writer, honest or not, may have put there.
func entryGen() *rapid.Generator[Entry] {
	payload := rapid.SampledFrom([][]byte{
		{0x00}, {0x01}, {0x02}, {0x04}, {0x06}, {0xf5}, {0xf4}, {0xf6}, {0x20}, {0x61, 'a'}, {0x18, 0x01}, {0xff}, {}, nil, {0x01, 0x01},
	})
	stamp := rapid.SampledFrom([]Stamp{0, 1, 2, 1 << 16, StampOf(1e12), MaxStamp - 1, MaxStamp})
	return rapid.Custom(func(t *rapid.T) Entry {
		e := Entry{
			Writer:  Writer{rapid.ByteRange(1, 5).Draw(t, "writer")},
			N:       rapid.Uint64Range(1, 6).Draw(t, "n"),
			Stamp:   stamp.Draw(t, "stamp"),
			Payload: payload.Draw(t, "payload"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "seen") {
			if e.Seen == nil {
				e.Seen = Vector{}
			}
			e.Seen[Writer{rapid.ByteRange(1, 5).Draw(t, "seen writer")}] = rapid.Uint64Range(1, 6).Draw(t, "seen n")
		}
		return e
	})
}

// registerGen makes a register whose entries of one writer and number are
// equal, as they are when they come from one change.
func registerGen() *rapid.Generator[[]Entry] {
	return rapid.Custom(func(t *rapid.T) []Entry {
		all := rapid.SliceOfN(entryGen(), 0, 12).Draw(t, "entries")
		slices.SortStableFunc(all, func(a, b Entry) int {
			return cmp.Or(a.Writer.Compare(b.Writer), cmp.Compare(a.N, b.N))
		})
		return slices.CompactFunc(all, func(a, b Entry) bool { return a.Writer == b.Writer && a.N == b.N })
	})
}

// TestJoinsSeeSets checks that joins are functions of the set of entries:
// equal under permutation and duplication, so commutative and idempotent.
func TestJoinsSeeSets(t *testing.T) {
	for name, join := range joins {
		if name == "Tombstone" {
			continue // takes two lists; see TestTombstoneSeesSets
		}
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			register := registerGen().Draw(t, "register")
			want := join(register)
			shuffled := rapid.Permutation(register).Draw(t, "shuffled")
			if got := join(shuffled); got != want {
				t.Fatalf("%v, in another order %v", want, got)
			}
			again := slices.Concat(shuffled, rapid.SliceOf(rapid.SampledFrom(append(register, Entry{Writer: Writer{9}}))).Draw(t, "again"))
			again = slices.DeleteFunc(again, func(e Entry) bool { return e.N == 0 })
			if got := join(again); got != want {
				t.Fatalf("%v, with repetitions %v", want, got)
			}
		}))
	}
}

// TestJoinsOfParts checks that it does not matter how entries reach a
// register: two halves that were reduced before they met, in either order or
// in three parts, give what the whole gives, so the merge is associative.
func TestJoinsOfParts(t *testing.T) {
	for name, join := range joins {
		if name == "Tombstone" {
			continue
		}
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			register := registerGen().Draw(t, "register")
			var parts [3][]Entry
			for _, e := range register {
				i := rapid.IntRange(0, 2).Draw(t, "part")
				parts[i] = append(parts[i], e)
			}
			merge := func(a, b []Entry) []Entry { return latest(slices.Concat(a, b)) }
			left := merge(merge(parts[0], parts[1]), parts[2])
			right := merge(parts[0], merge(parts[2], parts[1]))
			if name == "MaxRegister" || name == "MinRegister" || name == "GrowOnlySet" {
				// These keep what was replaced; a document holds the last of each writer.
				register = latest(register)
			}
			if want := join(register); join(left) != want || join(right) != want {
				t.Fatalf("whole %v, parts %v and %v", want, join(left), join(right))
			}
		}))
	}
}

func TestTombstoneSeesSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tombstones, edits := registerGen().Draw(t, "tombstones"), registerGen().Draw(t, "edits")
		want := Tombstone{}.Join(tombstones, edits)
		tombstones = rapid.Permutation(slices.Concat(tombstones, tombstones)).Draw(t, "t")
		edits = rapid.Permutation(slices.Concat(edits, edits)).Draw(t, "e")
		if got := (Tombstone{}).Join(tombstones, edits); got != want {
			t.Fatalf("%v, otherwise delivered %v", want, got)
		}
	})
}

func TestVectorJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.MapOf(rapid.Custom(func(t *rapid.T) Writer { return Writer{rapid.ByteRange(1, 4).Draw(t, "w")} }), rapid.Uint64())
		a, b, c := Vector(gen.Draw(t, "a")), Vector(gen.Draw(t, "b")), Vector(gen.Draw(t, "c"))
		join := func(vs ...Vector) Vector {
			out := Vector{}
			for _, v := range vs {
				out.Join(v)
			}
			return out
		}
		if !reflect.DeepEqual(join(a, b), join(b, a)) || !reflect.DeepEqual(join(join(a, b), c), join(a, join(b, c))) || !reflect.DeepEqual(join(a, a), join(a)) {
			t.Fatalf("not a join: %v %v %v", a, b, c)
		}
	})
}

func TestCounterJoin(t *testing.T) {
	for _, c := range []struct {
		counts []int64
		want   int64
	}{
		{nil, 0}, {[]int64{1, -2}, -1}, {[]int64{math.MaxInt64, 1}, math.MaxInt64},
		{[]int64{math.MinInt64, -1}, math.MinInt64}, {[]int64{math.MaxInt64, math.MinInt64}, -1},
		{[]int64{math.MaxInt64, math.MaxInt64, math.MinInt64}, math.MaxInt64 - 1},
		{[]int64{math.MinInt64}, math.MinInt64}, {[]int64{math.MaxInt64}, math.MaxInt64},
	} {
		counts := map[Writer]int64{}
		for i, n := range c.counts {
			counts[Writer{byte(i)}] = n
		}
		if got := (Counter{}).Join(counts); got != c.want {
			t.Errorf("%v: %d, want %d", c.counts, got, c.want)
		}
	}
}

func TestStamps(t *testing.T) {
	full := StampOf(7) | 0xffff
	if full.Next() != StampOf(8) {
		t.Errorf("a full counter gives %x, want a carry into the milliseconds", uint64(full.Next()))
	}
	if MaxStamp.Next() != MaxStamp {
		t.Error("the last stamp wraps")
	}
	for ms, want := range map[int64]Stamp{-1: 0, math.MinInt64: 0, 1: 1 << 16, math.MaxInt64: MaxStamp &^ 0xffff} {
		if got := StampOf(ms); got != want {
			t.Errorf("StampOf(%d) is %x, want %x", ms, uint64(got), uint64(want))
		}
	}
	register := []Entry{{Stamp: StampOf(2_000)}, {Stamp: StampOf(1_000)}}
	if got := After(0, register); got != StampOf(2_000)+1 {
		t.Errorf("after a later entry: %x", uint64(got))
	}
	if got := After(3_000, register); got != StampOf(3_000) {
		t.Errorf("after an earlier entry: %x", uint64(got))
	}
}

func TestWriters(t *testing.T) {
	w := Writer{0xff, 15: 1}
	s := w.String()
	if got, ok := parseWriter(s); !ok || got != w || len(s) != writerSize {
		t.Errorf("%q reads as %x", s, got)
	}
	for _, bad := range []string{"", s[1:], s + "A", s[:21] + "R", s[:21] + "=", s[:20] + "\n" + s[21:], "/" + s[1:]} {
		if _, ok := parseWriter(bad); ok {
			t.Errorf("%q is taken for a writer", bad)
		}
	}
}

func TestKeys(t *testing.T) {
	w := Writer{1}
	for _, k := range []key{{"f", "", w}, {"f", "e", w}, {"f", "a/b", w}, {"f", "/", w}, {"f", "a/", w}} {
		if got, ok := parseKey(k.String()); !ok || got != k {
			t.Errorf("%q reads as %+v", k, got)
		}
	}
	for _, bad := range []string{"", "f", w.String(), "/" + w.String(), "f//" + w.String(), "f/", "f/e", "f/" + w.String() + "/"} {
		if k, ok := parseKey(bad); ok {
			t.Errorf("%q is taken for %+v", bad, k)
		}
	}
}

func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []Order
		for range rapid.IntRange(1, 60).Draw(t, "inserts") {
			i := rapid.IntRange(0, len(list)).Draw(t, "at")
			var a, b Order
			if i > 0 {
				a = list[i-1]
			}
			if i < len(list) {
				b = list[i]
			}
			w := Writer{rapid.Byte().Draw(t, "writer"), rapid.Byte().Draw(t, "writer")}
			o := Between(a, b, w)
			if !ValidOrder(o) || o <= a || b != "" && o >= b {
				t.Fatalf("%q is not between %q and %q", o, a, b)
			}
			if p := Between(a, b, Writer{0xaa, 0xaa, 0xaa}); p == o {
				t.Fatalf("two writers chose %q", o)
			}
			list = slices.Insert(list, i, o)
		}
	})
}

func TestOrderStaysShort(t *testing.T) {
	for name, next := range map[string]func(Order) Order{
		"appending":        func(o Order) Order { return Between(o, "", Writer{1}) },
		"putting in front": func(o Order) Order { return Between("", o, Writer{1}) },
	} {
		o := Between("", "", Writer{1})
		for range 1000 {
			o = next(o)
		}
		if len(o) > 64 {
			t.Errorf("%s 1000 times gives %d bytes", name, len(o))
		}
	}
	for _, bad := range []string{"", "a b", "V-", "ä", string(make([]byte, 5))} {
		if ValidOrder(bad) {
			t.Errorf("%q is taken for an order", bad)
		}
		if o := Between(bad, bad, Writer{1}); !ValidOrder(o) {
			t.Errorf("between malformed neighbours: %q", o)
		}
	}
}

func TestSplice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.StringOf(rapid.SampledFrom([]rune("abé🙃\u00e8\u0301")))
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		at, remove, insert := splice(a, b)
		runes := []rune(a)
		if got := string(slices.Concat(runes[:at], []rune(insert), runes[at+remove:])); got != b {
			t.Fatalf("%q becomes %q, want %q", a, got, b)
		}
	})
	if at, remove, insert := splice("hello world", "hello big world"); at != 6 || remove != 0 || insert != "big " {
		t.Errorf("not the smallest splice: %d %d %q", at, remove, insert)
	}
}
