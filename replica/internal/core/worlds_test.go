package core

import (
	"bytes"
	"flag"
	"testing"

	"pgregory.net/rapid"
)

var worlds = flag.Uint64("worlds", 200, "how many seeded worlds to try")

// Honest hosts stay safe whatever happens, and are equal and silent soon
// after faults end. The seed of a world that breaks is in the message.
func TestWorlds(t *testing.T) {
	seen := map[string]int{}
	for seed := range *worlds {
		w := runSeed(seed)
		if w.safety.broken != "" {
			t.Fatal(w.report(seed))
		}
		for what, n := range w.safety.seen {
			seen[what] += n
		}
	}
	for _, what := range []string{"window full", "crash with a group in flight", "sent what the other end has", "buffered ahead", "lie reported", "lie held", "digest moved before the hello came", "left to somebody else", "left until a tick",
		"met again with something in common", "first flight", "first flight that was not needed", "first flight to one that was put back", "lie in a hello",
		"put back and known at once", "put back and told by others", "put back and unknown to all",
		"offered", "transfer cut", "transfer resumed", "resumed at another host", "adopted", "dropped what somebody lacks", "dropped what all have", "cut while documents are merged", "new host got documents",
		"asked for documents by id", "documents refused"} {
		if seen[what] == 0 {
			t.Errorf("in no world: %s", what)
		}
	}
	t.Log(seen)
}

// Worlds that broke once.
func TestKeptWorlds(t *testing.T) {
	for _, kept := range []struct {
		what string
		run  func() *world
	}{
		{"a member was added between the hellos, and the other never heard of it",
			func() *world { return run(kind{hosts: 4}, nil) }},
		{"the backlog was said to be sent while it waited for a frontier or the window",
			func() *world { return run(kind{hosts: 3}, []uint16{0x2a}) }},
		{"two that had nothing when they greeted got documents, and did not tell each other",
			func() *world { return runSeed(29) }},
		{"what was left to a host that has gone was needed by what filled the window",
			func() *world { return runSeed(3393) }},
		{"what was left went ahead of what it rests on",
			func() *world { return runSeed(3164) }},
		{"a chain was taken over without those that it rests on",
			func() *world { return runSeed(4758) }},
		{"a chain was taken over from a liar without one in dispute that it rests on",
			func() *world { return runSeed(3943) }},
		{"what went beyond the window was more than the other end would hold",
			func() *world { return runSeed(5623) }},
		{"two left the same envelope to each other, until a tick",
			func() *world { return runSeed(103) }},
		{"a forged envelope took the place of the real one",
			func() *world {
				k, ops := seededWorld(86)
				k.shorten = false
				return run(k, ops)
			}},
	} {
		if w := kept.run(); w.safety.broken != "" {
			t.Errorf("%s: %s", kept.what, w.report("kept"))
		}
	}
}

// Any world that rapid finds, made as small as it can.
func TestAnyWorld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := kind{hosts: rapid.IntRange(2, 5).Draw(t, "hosts"), knowAll: rapid.Bool().Draw(t, "know all")}
		k.liar = k.hosts > 2 && rapid.Bool().Draw(t, "liar")
		k.backups, k.shorten = rapid.Bool().Draw(t, "backups"), rapid.Bool().Draw(t, "shorten")
		w := run(k, rapid.SliceOfN(rapid.Uint16(), 0, 300).Draw(t, "ops"))
		if w.safety.broken != "" {
			t.Fatal(w.report("above"))
		}
	})
}

// The same calls give the same effects, to the byte.
func TestDeterminism(t *testing.T) {
	for seed := range uint64(10) {
		a, b := runSeed(seed), runSeed(seed)
		if a.trace.String() != b.trace.String() || !bytes.Equal(a.sum.Sum(nil), b.sum.Sum(nil)) {
			t.Fatalf("world %d took two courses", seed)
		}
	}
}
