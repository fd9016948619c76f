package change

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/change/savedtest"
)

type sid = savedtest.ID

func at(number int64, actor int) sid { return sid{Number: number, Actor: actor} }

// validSaved is a saved document with every form of operation: two writers, four
// changes, of which two know nothing of each other.
func validSaved(t testing.TB) *savedtest.Document {
	row := func(o savedtest.Op, s string) savedtest.Op {
		o.Action, o.Type, o.Value = uint64(Set), uint64(Text), []byte(s)
		return o
	}
	one, nine := ninth, ninth
	one[0] = 1
	d := &savedtest.Document{
		Actors: [][]byte{one[:], nine[:]},
		Changes: []savedtest.Change{
			{Actor: 0, Seq: 1, LastOp: 5, Extra: 7},
			{Actor: 1, Seq: 1, LastOp: 8, Extra: 7, Time: -5, Deps: []int64{0}},
			{Actor: 0, Seq: 2, LastOp: 7, Extra: 7, Time: 1 << 40, Deps: []int64{0}},
			{Actor: 0, Seq: 3, LastOp: 10, Extra: 7, Deps: []int64{1, 2}},
		},
		Ops: []savedtest.Op{
			row(savedtest.Op{ID: at(1, 0), Key: "a", Next: []sid{at(6, 0), at(6, 1)}}, "first"),
			row(savedtest.Op{ID: at(6, 0), Key: "a", Next: []sid{at(9, 0)}}, "one"),
			row(savedtest.Op{ID: at(6, 1), Key: "a", Next: []sid{at(9, 0)}}, "other"),
			row(savedtest.Op{ID: at(9, 0), Key: "a"}, "both"),
			{ID: at(3, 0), Key: "c", Action: uint64(Set), Type: uint64(Counter), Value: []byte{1}, Next: []sid{at(7, 1), at(10, 0)}},
			{ID: at(7, 1), Key: "c", Action: uint64(Increment), Type: uint64(Int), Value: []byte{2}},
			{ID: at(2, 0), Key: "t", Action: uint64(MakeText)},
			row(savedtest.Op{ID: at(4, 0), Obj: at(2, 0), Insert: true}, "h"),
			row(savedtest.Op{ID: at(7, 0), Obj: at(2, 0), Elem: at(4, 0), Insert: true}, "é"),
			row(savedtest.Op{ID: at(5, 0), Obj: at(2, 0), Elem: at(4, 0), Insert: true, Next: []sid{at(8, 1)}}, "i"),
		},
	}
	if _, _, err := restoreWithoutHeads(d.Marshal()); err != nil {
		d.Changes[3].Deps = []int64{2, 1} // in the order of their hashes
	}
	mend(d)
	return d
}

// restoreWithoutHeads is ParseSaved without what it looks at last.
func restoreWithoutHeads(saved []byte) (*savedDocument, []Change, error) {
	f, err := readFrame(saved, MaxSaved)
	if err != nil {
		return nil, nil, err
	}
	s := &savedDocument{left: MaxSavedRestored}
	r := reader{f.contents}
	for _, step := range []func() error{
		func() error { return s.readActors(&r) }, func() error { return s.readHeads(&r) }, func() error { return s.readColumns(&r) },
		s.readChanges, s.readRows, s.assign,
	} {
		if err := step(); err != nil {
			return nil, nil, err
		}
	}
	changes, err := s.build()
	return s, changes, err
}

// mend gives a document the heads that its changes have, if they can be made.
func mend(d *savedtest.Document) {
	d.Heads, d.Places = nil, nil
	d.Heads, d.Places = mendedHeads(d.Marshal())
}

func mendedHeads(saved []byte) (heads [][]byte, places []uint64) {
	s, changes, err := restoreWithoutHeads(saved)
	if err != nil {
		return nil, nil
	}
	byHash := map[Hash]uint64{}
	for i, c := range s.changes {
		if !c.followed {
			byHash[changes[i].Hash] = uint64(i)
		}
	}
	for _, h := range slices.SortedFunc(maps.Keys(byHash), Hash.Compare) {
		heads, places = append(heads, bytes.Clone(h[:])), append(places, byHash[h])
	}
	return heads, places
}

// same says whether two changes are the same, whether they keep their operations or not.
func same(a, b Change) bool {
	ops := slices.EqualFunc(slices.Collect(a.Ops()), slices.Collect(b.Ops()), func(o, p Op) bool {
		return fmt.Sprint(o) == fmt.Sprint(p)
	})
	a.ops, b.ops = nil, nil
	return ops && reflect.DeepEqual(a, b)
}

func TestParseSaved(t *testing.T) {
	changes, err := ParseSaved(validSaved(t).Marshal())
	if err != nil {
		t.Fatal(err)
	}
	var ops uint64
	for _, c := range changes {
		again, err := Parse(c.Raw)
		if err != nil || !same(again, c) {
			t.Fatalf("%+v is parsed as %+v, %v", c, again, err)
		}
		ops += c.Len
	}
	if len(changes) != 4 || ops != 12 || changes[3].Len != 2 || changes[2].Time != 1<<40 || len(changes[1].Actors) != 1 {
		t.Errorf("%d operations in %+v", ops, changes)
	}
	last := slices.Collect(changes[3].Ops())
	if !slices.Equal(last[0].Pred, []OpID{{6, changes[0].Actor}, {6, changes[1].Actor}}) || last[1].Action != Delete || last[1].Key != "c" {
		t.Errorf("the last change is %+v", last)
	}
}

// TestParseSavedOfNothing: a document without changes has no columns either.
func TestParseSavedOfNothing(t *testing.T) {
	if changes, err := ParseSaved(new(savedtest.Document).Marshal()); err != nil || len(changes) != 0 {
		t.Errorf("%v, %v", changes, err)
	}
}

// realSaved returns documents that the core saved.
func realSaved(t testing.TB) map[string][]byte {
	t.Helper()
	return realFiles(t, "*.saved")
}

func TestParseRealSaved(t *testing.T) {
	for name, raw := range realSaved(t) {
		if n := checkParsedSaved(t, raw); n == 0 {
			t.Errorf("%s is not accepted", name)
		}
	}
}

// checkParsedSaved checks what is read from a document, and returns how many changes
// that is.
func checkParsedSaved(t testing.TB, raw []byte) int {
	t.Helper()
	changes, err := ParseSaved(raw)
	if err != nil {
		if !errors.Is(err, ErrMalformed) {
			t.Fatalf("error does not wrap ErrMalformed: %v", err)
		}
		return 0
	}
	known, seqs := map[Hash]bool{}, map[[ActorSize]byte]uint64{}
	for i, c := range changes {
		again, err := Parse(c.Raw)
		if err != nil || !same(again, c) {
			t.Fatalf("change %d of %x is %+v, parsed as %+v, %v", i, raw, c, again, err)
		}
		if seqs[c.Actor]++; c.Seq != seqs[c.Actor] {
			t.Fatalf("change %d of %x has sequence number %d", i, raw, c.Seq)
		}
		for _, dep := range c.Deps {
			if !known[dep] {
				t.Fatalf("change %d of %x comes before its dependency", i, raw)
			}
		}
		known[c.Hash] = true
	}
	return len(changes)
}

// FuzzSaved alters columns, which are put together with checksum and heads that are
// right for them, and whole documents.
func FuzzSaved(f *testing.F) {
	seeds := slices.Collect(maps.Values(realSaved(f)))
	seeds = append(seeds, validSaved(f).Marshal())
	for _, raw := range seeds {
		p, err := savedtest.Split(raw)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, uint8(0), []byte{})
		for i, c := range slices.Concat(p.Changes, p.Ops) {
			f.Add(raw, uint8(i), c.Bytes)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, at uint8, column []byte) {
		checkParsedSaved(t, raw)
		if len(raw) > 1<<16 {
			return
		}
		p, err := savedtest.Split(raw)
		if err != nil {
			return
		}
		if n := len(p.Changes); int(at) < n {
			p.Changes[at].Bytes = column
		} else if int(at) < n+len(p.Ops) {
			p.Ops[int(at)-n].Bytes = column
		}
		p.Heads, p.Places = nil, nil
		p.Heads, p.Places = mendedHeads(p.Marshal())
		checkParsedSaved(t, p.Marshal())
	})
}

// TestExactReadsWhatIsWritten: a column is accepted if and only if the values that
// are in it are written so.
func TestExactReadsWhatIsWritten(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		// Few numbers, so that many are lengths of runs.
		column := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 3, 0x7d, 0x7e, 0x7f, 0x80}), 0, 8).Draw(t, "column")
		r := exact[uint64]{rest: reader{column}, read: readNumber, most: MaxSavedOps}
		loose := runs[uint64]{rest: reader{column}, read: readNumber}
		w := runWriter[uint64]{write: appendUint}
		var err, looseErr error
		for n := 0; err == nil && looseErr == nil && (loose.more() || r.left > 0 || len(r.rest.rest) > 0) && n < 1000; n++ {
			var v, looseV uint64
			var ok, looseOK bool
			v, ok, err = r.next()
			if looseV, looseOK, looseErr = loose.next(); err == nil && (v != looseV || ok != looseOK || looseErr != nil) {
				t.Fatalf("%x: %d %v, not %d %v, %v", column, v, ok, looseV, looseOK, looseErr)
			}
			if looseOK {
				w.value(looseV)
			} else {
				w.null()
			}
		}
		if err == nil {
			err = r.end()
		}
		if written := w.finish(); err == nil && !bytes.Equal(written, column) {
			t.Fatalf("%x is accepted, but is written as %x", column, written)
		} else if err == nil {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("nothing was accepted")
	}
}

// TestExactAcceptsWhatIsWritten reads every column that is written.
func TestExactAcceptsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.IntRange(-1, 2)).Draw(t, "values")
		w := runWriter[uint64]{write: appendUint}
		for _, v := range values {
			if v < 0 {
				w.null()
			} else {
				w.value(uint64(v))
			}
		}
		r := exact[uint64]{rest: reader{w.finish()}, read: readNumber, most: MaxSavedOps}
		for i, want := range values {
			if v, ok, err := r.next(); err != nil || ok != (want >= 0) || ok && v != uint64(want) {
				t.Fatalf("value %d is %d, %v, %v", i, v, ok, err)
			}
		}
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestParseSavedOfBombs: what claims to be large is refused before it is made. The
// inputs are small, and few bytes are allocated for each.
func TestParseSavedOfBombs(t *testing.T) {
	long := "\x80\x80\x80\x80\x80\x80\x80\x80\x10" // 2^60
	bombs := map[string]struct {
		most  uint64 // bytes allocated
		alter func(*savedtest.Parts)
	}{
		"a column that inflates to 64 MiB": {5 * MaxSavedInflated, func(p *savedtest.Parts) { p.Ops[column(p.Ops, 87)].Bytes = make([]byte, 64<<20) }},
		"2^60 changes":                     {1 << 20, func(p *savedtest.Parts) { p.Changes[0].Bytes = []byte(long[:8] + "\x10\x00") }},
		"2^60 operations":                  {1 << 20, func(p *savedtest.Parts) { p.Ops[column(p.Ops, 66)].Bytes = []byte(long + "\x01") }},
		"2^60 successors":                  {1 << 20, func(p *savedtest.Parts) { p.Ops[column(p.Ops, 128)].Bytes = []byte(long + "\x01") }},
		"2^60 dependencies":                {1 << 20, func(p *savedtest.Parts) { p.Changes[column(p.Changes, 64)].Bytes = []byte(long + "\x01") }},
		"a value of 2^60 bytes":            {1 << 20, func(p *savedtest.Parts) { p.Ops[column(p.Ops, 86)].Bytes = []byte("\x0a" + long) }},
	}
	for name, b := range bombs {
		p := validSaved(t).Parts()
		b.alter(p)
		raw := p.Marshal()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseSaved(raw)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > b.most {
			t.Errorf("%s: %d bytes of input took %d", name, len(raw), n)
		}
		t.Logf("%s: %d bytes: %v", name, len(raw), err)
	}
}

// TestParseSavedOfLongKeys: a key that a document has once is in every change that
// writes it, which are counted before they are made.
func TestParseSavedOfLongKeys(t *testing.T) {
	d := validSaved(t)
	d.Changes, d.Ops, d.Actors = nil, nil, d.Actors[:1]
	key := strings.Repeat("k", 1<<16)
	for i := range int64(2000) {
		d.Changes = append(d.Changes, savedtest.Change{Seq: i + 1, LastOp: i + 1, Extra: 7})
		d.Ops = append(d.Ops, savedtest.Op{ID: at(i+1, 0), Key: key, Action: uint64(Set), Type: uint64(True)})
	}
	raw := d.Marshal()
	if _, err := ParseSaved(raw); err == nil || !strings.Contains(err.Error(), "changes of more than") {
		t.Errorf("%d bytes: %v", len(raw), err)
	}
}

// TestParseSavedOfLargeChange: a change that is too large to be exchanged as it is
// comes back compressed, as it must have come in.
func TestParseSavedOfLargeChange(t *testing.T) {
	d := validSaved(t)
	d.Changes, d.Ops, d.Actors = d.Changes[:1], d.Ops[:1], d.Actors[:1]
	d.Changes[0].LastOp, d.Ops[0].Next, d.Ops[0].Value = 1, nil, bytes.Repeat([]byte("v"), MaxSize)
	mend(d)
	changes, err := ParseSaved(d.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	c := changes[0]
	if again, err := Parse(c.Raw); err != nil || !same(again, c) || len(c.Raw) > MaxSize || len(c.Plain()) < MaxSize {
		t.Errorf("%d bytes, %d plain, %v", len(c.Raw), len(c.Plain()), err)
	}
}
