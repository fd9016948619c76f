package change

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/change/savedtest"
)

// savedCase is a saved document that is refused, and a part of the reason.
type savedCase struct {
	reason string
	raw    []byte
}

// refusedSaved returns saved documents that are refused. Those that are altered as
// changes and operations have the heads that belong to that, if there are such.
func refusedSaved(t testing.TB) map[string]savedCase {
	cases := map[string]savedCase{}
	rows := func(name, reason string, alter func(*savedtest.Document)) {
		d := validSaved(t)
		alter(d)
		mend(d)
		cases[name] = savedCase{reason, d.Marshal()}
	}
	refusedSavedChanges(rows)
	refusedSavedOps(rows)
	parts := func(name, reason string, alter func(*savedtest.Parts)) {
		p := validSaved(t).Parts()
		alter(p)
		cases[name] = savedCase{reason, p.Marshal()}
	}
	refusedSavedParts(parts)
	refusedSavedColumns(parts)
	raw := validSaved(t).Marshal()
	for name, c := range map[string]savedCase{
		"nothing":            {"magic", nil},
		"another magic":      {"magic", slices.Concat([]byte{0x84}, raw[1:])},
		"another checksum":   {"checksum", slices.Concat(raw[:4], []byte{raw[4] ^ 1}, raw[5:])},
		"a change":           {"chunk type 1", slices.Concat(raw[:8], []byte{1}, raw[9:])},
		"a compressed one":   {"chunk type 2", slices.Concat(raw[:8], []byte{2}, raw[9:])},
		"cut off":            {"chunk", raw[:len(raw)-1]},
		"followed by a byte": {"behind the chunk", append(slices.Clone(raw), 0)},
		"twice":              {"behind the chunk", slices.Concat(raw, raw)},
	} {
		cases[name] = c
	}
	return cases
}

func refusedSavedChanges(add func(name, reason string, alter func(*savedtest.Document))) {
	add("actors in another order", "actors are not sorted", func(d *savedtest.Document) { slices.Reverse(d.Actors) })
	add("an actor twice", "actors are not sorted", func(d *savedtest.Document) { d.Actors[1] = d.Actors[0] })
	add("an actor of 15 bytes", "15 bytes", func(d *savedtest.Document) { d.Actors[0] = d.Actors[0][:15] })
	add("an actor of 17 bytes", "17 bytes", func(d *savedtest.Document) { d.Actors[1] = append(d.Actors[1], 0) })
	add("an actor without changes", "made no change", func(d *savedtest.Document) { d.Actors = append(d.Actors, bytes.Repeat([]byte{255}, 16)) })
	add("an actor beyond the last", "actor 2 of 2", func(d *savedtest.Document) { d.Changes[3].Actor = 2 })
	for name, alter := range map[string]func(*savedtest.Document){
		"a gap of sequence numbers": func(d *savedtest.Document) { d.Changes[3].Seq = 4 },
		"a first sequence number 2": func(d *savedtest.Document) { d.Changes[1].Seq = 2 },
		"a sequence number twice":   func(d *savedtest.Document) { d.Changes[3].Seq = 2 },
	} {
		add(name, errSeq.Error(), alter)
	}
	add("sequence number 0", "number 0", func(d *savedtest.Document) { d.Changes[1].Seq = 0 })
	for name, alter := range map[string]func(*savedtest.Document){
		"a last operation too high":   func(d *savedtest.Document) { d.Changes[3].LastOp = 11 },
		"a last operation too low":    func(d *savedtest.Document) { d.Changes[3].LastOp = 9 },
		"a change without operations": func(d *savedtest.Document) { d.Changes[2].LastOp = 10 },
		"changes of a writer reversed": func(d *savedtest.Document) {
			d.Changes[2].LastOp, d.Changes[3].LastOp = 10, 7
		},
		"an operation of no change": func(d *savedtest.Document) { d.Ops[5].ID = at(30, 1) },
		"operations with a gap":     func(d *savedtest.Document) { d.Ops[9].Next[0] = at(9, 1); d.Changes[1].LastOp = 9 },
		"an id twice":               func(d *savedtest.Document) { d.Ops[9].ID = at(4, 0); d.Ops = d.Ops[:8]; d.Ops[4].ID = at(2, 0) },
		"a deletion of no change":   func(d *savedtest.Document) { d.Ops[9].Next = append(d.Ops[9].Next, at(9, 1)) },
	} {
		add(name, errGap.Error(), alter)
	}
	add("a last operation beyond 32 bits", "number 4294967297", func(d *savedtest.Document) { d.Changes[3].LastOp = 1<<32 + 1 })
	add("a dependency on itself", "does not come before", func(d *savedtest.Document) { d.Changes[1].Deps[0] = 1 })
	add("a dependency on a later one", "does not come before", func(d *savedtest.Document) { d.Changes[1].Deps[0] = 3 })
	add("a dependency twice", "not sorted", func(d *savedtest.Document) { d.Changes[1].Deps = []int64{0, 0} })
	add("dependencies in another order", "not sorted", func(d *savedtest.Document) { slices.Reverse(d.Changes[3].Deps) })
	add("too many dependencies", "more than 64", func(d *savedtest.Document) { d.Changes[1].Deps = make([]int64, MaxDeps+1) })
	add("a negative dependency", "number -1", func(d *savedtest.Document) { d.Changes[1].Deps[0] = -1 })
	add("something behind a change", "extra", func(d *savedtest.Document) { d.Changes[1].Extra = 1<<4 | 7 })
	add("extra that is not bytes", "extra", func(d *savedtest.Document) { d.Changes[1].Extra = 0 })
}

func refusedSavedOps(add func(name, reason string, alter func(*savedtest.Document))) {
	for name, alter := range map[string]func(*savedtest.Document){
		"keys in another order":            func(d *savedtest.Document) { d.Ops[3], d.Ops[4] = d.Ops[4], d.Ops[3] },
		"values of a key in another order": func(d *savedtest.Document) { d.Ops[1], d.Ops[2] = d.Ops[2], d.Ops[1] },
		"a text before the root":           func(d *savedtest.Document) { d.Ops[6], d.Ops[7] = d.Ops[7], d.Ops[6] },
		"characters in another order":      func(d *savedtest.Document) { d.Ops[8], d.Ops[9] = d.Ops[9], d.Ops[8] },
		"a character before its element":   func(d *savedtest.Document) { d.Ops[7], d.Ops[8] = d.Ops[8], d.Ops[7] },
		"a character of no element":        func(d *savedtest.Document) { d.Ops[8].Elem = at(3, 0) },
		"an object that is not made":       func(d *savedtest.Document) { d.Ops[9].Obj = at(4, 0) },
		"an object that is a value":        func(d *savedtest.Document) { d.Ops[9].Obj = at(9, 0) },
	} {
		add(name, errOrder.Error(), alter)
	}
	for name, alter := range map[string]func(*savedtest.Document){
		"a stored deletion":              func(d *savedtest.Document) { d.Ops[7].Action, d.Ops[7].Insert = 3, false },
		"an overwritten character":       func(d *savedtest.Document) { d.Ops[8].Insert = false },
		"a character with a predecessor": func(d *savedtest.Document) { d.Ops[7].Next = []sid{at(7, 0)} },
		"a character behind a later one": func(d *savedtest.Document) { d.Ops[8].Elem = at(8, 1) },
		"a deletion of two characters":   func(d *savedtest.Document) { d.Ops[8].Next = []sid{at(8, 1)} },
		"a character of no text":         func(d *savedtest.Document) { d.Ops[7].Value = nil },
		"a number as a character":        func(d *savedtest.Document) { d.Ops[7].Type = uint64(Int); d.Ops[7].Value = []byte{1} },
		"a text with a value":            func(d *savedtest.Document) { d.Ops[6].Value = []byte{1} },
		"an increment by a text":         func(d *savedtest.Document) { d.Ops[5].Type = uint64(Text) },
		"an increment of nothing":        func(d *savedtest.Document) { d.Ops[4].Next = d.Ops[4].Next[1:] },
		"an insertion into the root":     func(d *savedtest.Document) { d.Ops[4].Insert = true },
		"a map":                          func(d *savedtest.Document) { d.Ops[4].Action = 0; d.Ops[4].Type = 0; d.Ops[4].Value = nil },
		"a list":                         func(d *savedtest.Document) { d.Ops[6].Action = 2 },
		"a mark":                         func(d *savedtest.Document) { d.Ops[6].Action = 7 },
		"an action of 32 bits":           func(d *savedtest.Document) { d.Ops[6].Action = 1 << 20 },
	} {
		add(name, "", alter)
	}
	for name, alter := range map[string]func(*savedtest.Document){
		"a replacement under another key": func(d *savedtest.Document) { d.Ops[6].Next = []sid{at(9, 0)} },
		"a deletion of two keys":          func(d *savedtest.Document) { d.Ops[6].Next = []sid{at(10, 0)} },
		"a replacement of an increment":   func(d *savedtest.Document) { d.Ops[5].Next = []sid{at(10, 0)} },
		"a replacement of a character by a value": func(d *savedtest.Document) {
			d.Ops[9].Next = append(d.Ops[9].Next, at(9, 0))
			slices.Reverse(d.Ops[9].Next)
			slices.Reverse(d.Ops[9].Next)
		},
	} {
		add(name, errReplace.Error(), alter)
	}
	for name, alter := range map[string]func(*savedtest.Document){
		"a successor twice":           func(d *savedtest.Document) { d.Ops[4].Next = append(d.Ops[4].Next, at(10, 0)) },
		"successors in another order": func(d *savedtest.Document) { slices.Reverse(d.Ops[4].Next) },
		"a successor that is itself":  func(d *savedtest.Document) { d.Ops[9].Next[0] = at(5, 0) },
		"a successor before":          func(d *savedtest.Document) { d.Ops[9].Next[0] = at(4, 0) },
	} {
		add(name, "successors are not sorted", alter)
	}
	for name, alter := range map[string]func(*savedtest.Document){
		"an id of an actor beyond the last":       func(d *savedtest.Document) { d.Ops[5].ID.Actor = 2 },
		"an object of an actor beyond the last":   func(d *savedtest.Document) { d.Ops[9].Obj.Actor = 2 },
		"an element of an actor beyond the last":  func(d *savedtest.Document) { d.Ops[9].Elem.Actor = 2 },
		"a successor of an actor beyond the last": func(d *savedtest.Document) { d.Ops[9].Next[0].Actor = 2 },
	} {
		add(name, "actor 2 of 2", alter)
	}
	add("number 0", errAlone.Error(), func(d *savedtest.Document) { d.Ops[5].ID.Number = 0 })
	add("a successor 0", "", func(d *savedtest.Document) { d.Ops[9].Next[0].Number = 0 })
	add("an element of the root", errNoKey.Error(), func(d *savedtest.Document) { d.Ops[0].Key = "" })
	add("a key of a text", "", func(d *savedtest.Document) { d.Ops[9].Key = "k" })
	add("a key that is not UTF-8", "UTF-8", func(d *savedtest.Document) { d.Ops[6].Key = "t\xff" })
	add("a value that is not UTF-8", "UTF-8", func(d *savedtest.Document) { d.Ops[0].Value = []byte{255} })
	add("a float of four bytes", "", func(d *savedtest.Document) { d.Ops[0].Type, d.Ops[0].Value = uint64(Float), []byte{1, 2, 3, 4} })
	add("a value of an unknown type", "type 10", func(d *savedtest.Document) { d.Ops[0].Type = 10 })
}

func refusedSavedParts(add func(name, reason string, alter func(*savedtest.Parts))) {
	add("no heads", "0 heads", func(p *savedtest.Parts) { p.Heads, p.Places = nil, nil })
	add("another head", "do not lead", func(p *savedtest.Parts) { p.Heads[0][31] ^= 1 })
	add("a head that is followed", "2 heads", func(p *savedtest.Parts) {
		p.Heads, p.Places = append(p.Heads, bytes.Repeat([]byte{255}, 32)), append(p.Places, 0)
	})
	add("a head twice", "heads are not sorted", func(p *savedtest.Parts) { p.Heads, p.Places = append(p.Heads, p.Heads[0]), append(p.Places, 3) })
	add("a head at another place", "do not lead", func(p *savedtest.Parts) { p.Places[0] = 2 })
	add("a head beyond the last change", "do not lead", func(p *savedtest.Parts) { p.Places[0] = 4 })
	add("no places of heads", "place of a head", func(p *savedtest.Parts) { p.Places = nil })
	add("a byte behind the heads", "behind the last head", func(p *savedtest.Parts) { p.Tail = []byte{0} })
	add("a changed value", "do not lead", func(p *savedtest.Parts) { p.Ops[column(p.Ops, 87)].Bytes[13] ^= 1 })
	add("a changed time", "do not lead", func(p *savedtest.Parts) { p.Changes[column(p.Changes, 35)].Bytes[1] ^= 1 })
	add("a short column compressed", "short column is compressed", func(p *savedtest.Parts) { p.DeflateFrom = 20 })
	add("a long column not compressed", "long one is not", func(p *savedtest.Parts) {
		p.DeflateFrom = 1 << 20
		p.Ops[column(p.Ops, 87)].Bytes = make([]byte, 256)
	})
}

func column(columns []savedtest.Column, spec uint64) int {
	return slices.IndexFunc(columns, func(c savedtest.Column) bool { return c.Spec == spec })
}

func refusedSavedColumns(add func(name, reason string, alter func(*savedtest.Parts))) {
	for spec, name := range map[uint64]string{53: "messages", 87: "extra bytes", 115: "an unknown column"} {
		add("a column of "+name, "unknown", func(p *savedtest.Parts) {
			p.Changes = p.Changes[:6]
			i, _ := slices.BinarySearchFunc(p.Changes, spec, func(c savedtest.Column, s uint64) int { return int(c.Spec) - int(s) })
			p.Changes = slices.Insert(p.Changes, i, savedtest.Column{Spec: spec, Bytes: []byte{4, 1, 'm'}})
		})
	}
	add("a column of marks", "unknown", func(p *savedtest.Parts) {
		p.Ops = append(p.Ops[:13], savedtest.Column{Spec: 165, Bytes: []byte{10, 1, 'm'}})
	})
	add("columns in another order", "not in order", func(p *savedtest.Parts) { p.Ops[0], p.Ops[1] = p.Ops[1], p.Ops[0] })
	add("a column twice", "not in order", func(p *savedtest.Parts) { p.Ops = slices.Insert(p.Ops[:13], 0, p.Ops[0]) })
	add("an empty column", "is empty", func(p *savedtest.Parts) { p.Ops[0].Bytes = nil })
	for name, spec := range map[string]uint64{"actors": 1, "sequence numbers": 3, "last operations": 19, "times": 35, "dependencies": 64, "extra": 86} {
		add("no column of "+name+" of changes", "", func(p *savedtest.Parts) { i := column(p.Changes, spec); p.Changes = slices.Delete(p.Changes, i, i+1) })
	}
	for name, spec := range map[string]uint64{"objects": 1, "keys": 21, "actors": 33, "numbers": 35, "insertions": 52, "actions": 66, "values": 87, "types": 86, "successors": 128, "actors of successors": 129} {
		add("no column of "+name, "", func(p *savedtest.Parts) { i := column(p.Ops, spec); p.Ops = slices.Delete(p.Ops, i, i+1) })
	}
	// The actors of the four changes are 0, 1, 0, 0: 7e 00 01 02 00.
	for name, actors := range map[string]string{
		"a run of one":              "\x01\x00\x7f\x01\x02\x00",
		"two runs of one value":     "\x7e\x00\x01\x7f\x00\x7f\x00",
		"two literal runs":          "\x7f\x00\x7f\x01\x02\x00",
		"a literal run of equals":   "\x7c\x00\x01\x00\x00",
		"a run cut in two":          "\x7e\x00\x01\x02\x00\x02\x00",
		"nulls at the end":          "\x7e\x00\x01\x02\x00\x00\x01",
		"a null":                    "\x7e\x00\x01\x00\x02",
		"one more":                  "\x7e\x00\x01\x03\x00",
		"one less":                  "\x7d\x00\x01\x00",
		"a number in long form":     "\x7e\x80\x00\x01\x02\x00",
		"a run length in long form": "\x7e\x00\x01\x82\x00\x00",
		"a run of 2^60":             "\x7e\x00\x01\x80\x80\x80\x80\x80\x80\x80\x80\x10\x00",
		"a literal run of 2^63":     "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f\x00\x01\x00\x00",
		"a run of 2^60 nulls":       "\x7e\x00\x01\x00\x80\x80\x80\x80\x80\x80\x80\x80\x10",
		"a run of no nulls":         "\x7e\x00\x01\x00\x00\x02\x00",
	} {
		add("of actors, "+name, "", func(p *savedtest.Parts) { p.Changes[0].Bytes = []byte(actors) })
	}
	// The three characters of ten operations are insertions: 07 03.
	for name, inserts := range map[string]string{
		"one more": "\x07\x04", "one less": "\x07\x02", "an empty run": "\x07\x01\x00\x02", "a run of 2^60": "\x07\x80\x80\x80\x80\x80\x80\x80\x80\x10",
		"a run at the end": "\x07\x03\x01", "no first run": "\x00\x07\x03",
	} {
		add("of insertions, "+name, "", func(p *savedtest.Parts) { p.Ops[column(p.Ops, 52)].Bytes = []byte(inserts) })
	}
}

func TestParseSavedRefuses(t *testing.T) {
	if _, err := ParseSaved(validSaved(t).Marshal()); err != nil {
		t.Fatal(err)
	}
	cases := refusedSaved(t)
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		changes, err := ParseSaved(c.raw)
		switch {
		case !errors.Is(err, ErrMalformed):
			t.Errorf("%s: %v, %v", name, changes, err)
		case !strings.Contains(err.Error(), c.reason):
			t.Errorf("%s: refused for another reason than %q: %v", name, c.reason, err)
		case c.reason != "do not lead" && strings.Contains(err.Error(), "do not lead"):
			t.Errorf("%s: only the heads tell it: %v", name, err)
		}
	}
	t.Logf("%d refused", len(cases))
}

// TestParseSavedKeepsItsLimits: one more than a limit allows, in runs that take a few
// bytes.
func TestParseSavedKeepsItsLimits(t *testing.T) {
	run := func(n int64, value byte) []byte { return append(appendInt(nil, n), value) }
	for name, c := range map[string]struct {
		reason string
		alter  func(*savedtest.Parts)
	}{
		"changes":    {"a run of more than 131072", func(p *savedtest.Parts) { p.Changes[0].Bytes = run(MaxSavedChanges+1, 0) }},
		"operations": {"a run of more than 1048576", func(p *savedtest.Parts) { p.Ops[column(p.Ops, 66)].Bytes = run(MaxSavedOps+1, 1) }},
		"successors": {"more than 1048576 successors", func(p *savedtest.Parts) {
			p.Ops[column(p.Ops, 128)].Bytes = append([]byte{0x7f}, appendUint(nil, MaxSavedOps+1)...)
		}},
		"actors": {"exceeds 16384", func(p *savedtest.Parts) { p.Actors = slices.Repeat(p.Actors, MaxSavedActors) }},
		"heads":  {"exceeds 16384", func(p *savedtest.Parts) { p.Heads = slices.Repeat(p.Heads, MaxSavedActors+1) }},
		"bytes":  {"longer than 8388608 bytes", func(p *savedtest.Parts) { p.Tail = make([]byte, MaxSaved) }},
	} {
		p := validSaved(t).Parts()
		c.alter(p)
		if _, err := ParseSaved(p.Marshal()); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
