package crdt

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	cmdline "flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/starling-sync/starling/crdt/change"
)

var (
	gateChanges = cmdline.Int("gate-changes", 20_000, "altered changes that TestGate offers")
	gateSeed    = cmdline.Uint64("gate-seed", 1, "seed of TestGate")
)

// gateChild is set in the child: the number of the first change and of the one
// behind the last.
const gateChild = "STARLING_GATE_CHILD"

// TestGate alters changes and offers them to a document: bytes of the columns and
// of the header, whole operations, and what they refer to, with checksums that are
// right. What the gate lets through goes into the Automerge core, is saved, loaded
// and read. That happens in child processes, so that one that the core ends is
// counted, and its number told. More of them:
//
//	go test ./crdt -run '^TestGate$' -v -gate-changes 100000000 -timeout 0
func TestGate(t *testing.T) {
	if os.Getenv(gateChild) != "" {
		runGate(t)
		return
	}
	tally := campaign(t, *gateChanges, 250_000)
	t.Logf("seed %d: %d changes offered, %d parsed, %d applied, %d aborts", *gateSeed, tally.offered, tally.parsed, tally.applied, tally.aborts)
}

// campaign makes so many tries in child processes that run the same test.
func campaign(t *testing.T, tries, portion int) (tally gateTally) {
	t.Helper()
	var mu sync.Mutex
	var wait sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for from := 0; from < tries; from += portion {
		wait.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			got, err := gateIn(t, from, min(from+portion, tries))
			mu.Lock()
			defer mu.Unlock()
			tally.add(got)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if tally.offered != tries || tally.applied == 0 || tally.parsed == tally.offered {
		t.Errorf("the tally does not add up: %+v", tally)
	}
	return tally
}

type gateTally struct{ offered, parsed, applied, aborts int }

func (g *gateTally) add(o gateTally) {
	g.offered, g.parsed = g.offered+o.offered, g.parsed+o.parsed
	g.applied, g.aborts = g.applied+o.applied, g.aborts+o.aborts
}

// gateIn runs a portion in child processes, a new one behind each that ends early.
func gateIn(t *testing.T, from, to int) (all gateTally, err error) {
	for from < to {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", fmt.Sprint("-gate-seed=", *gateSeed))
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", gateChild, from, to))
		out, runErr := cmd.CombinedOutput()
		var got gateTally
		next := from
		for line := range strings.Lines(string(out)) {
			fmt.Sscanf(line, "gate %d %d %d %d", &next, &got.offered, &got.parsed, &got.applied)
		}
		all.add(got)
		if next >= to {
			return all, runErr
		}
		all.aborts++
		err = errors.Join(err, fmt.Errorf("try %d ended the process: %w: %.2000s", next, runErr, out))
		all.offered++
		from = next + 1
	}
	return all, err
}

// runGate is the child. It says what it has done, and before each change that
// goes into the core which one it is.
func runGate(t *testing.T) {
	g := newGate(t)
	inChild(t, func(i int, before func()) (parsed bool, applied int) {
		c, err := change.Parse(g.altered(rand.New(rand.NewPCG(*gateSeed, uint64(i)))))
		if err != nil {
			return false, 0
		}
		before()
		return true, g.offer(t, c)
	})
}

// inChild makes the tries of a child, each of which calls before when it goes on
// to the core.
func inChild(t *testing.T, try func(i int, before func()) (parsed bool, applied int)) {
	t.Helper()
	var from, to int
	if _, err := fmt.Sscan(os.Getenv(gateChild), &from, &to); err != nil {
		t.Fatal(err)
	}
	var tally gateTally
	say := func(i int) { fmt.Printf("gate %d %d %d %d\n", i, tally.offered, tally.parsed, tally.applied) }
	for i := from; i < to; i++ {
		parsed, applied := try(i, func() { say(i) })
		if parsed {
			tally.parsed++
		}
		tally.applied += applied
		tally.offered++
	}
	say(to)
}

// gate is a document and what may follow it.
type gate struct {
	saved []byte
	next  []Change
}

func newGate(t *testing.T) *gate {
	d, _ := shared(t)
	for _, f := range []func(*Edit) error{
		setName("a name"), func(e *Edit) error { return hits.Add(e, "", 3) },
		func(e *Edit) error { _, err := notes.Create(e, "x", "a note that is typed"); return err },
	} {
		write(t, d, 1_700_000_000_000, f)
	}
	g := &gate{}
	var err error
	if g.saved, err = d.Save(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []func(*Edit) error{
		setName("another name"), func(e *Edit) error { return hits.Add(e, "", 2) },
		func(e *Edit) error { return notes.Replace(e, TextID{"x", Writer{1}}, "a note typed again") },
		func(e *Edit) error { _, err := notes.Create(e, "y", "né"); return err },
		func(e *Edit) error { return errors.Join(setName("two")(e), tags.Add(e, "tag", "v"), raise(e)) },
	} {
		for _, w := range []byte{1, 5} {
			on := reload(t, d, w)
			if c := write(t, on, 1_700_000_000_001, f); c != nil {
				g.next = append(g.next, *c)
			}
		}
	}
	return g
}

func raise(e *Edit) error { return flag.Raise(e, "") }

// altered returns one of the changes, altered in one to three places.
func (g *gate) altered(r *rand.Rand) []byte {
	c := g.next[r.IntN(len(g.next))]
	if r.IntN(2) == 0 {
		return g.alteredOps(r, c)
	}
	raw := slices.Clone(c.Plain())
	head := 9 // magic, checksum, type
	_, n := binary.Uvarint(raw[head:])
	body := raw[head+n:]
	for range 1 + r.IntN(3) {
		body = alterBytes(r, body)
	}
	hashed := append(binary.AppendUvarint([]byte{1}, uint64(len(body))), body...)
	sum := sha256.Sum256(hashed)
	return slices.Concat(raw[:4], sum[:4], hashed)
}

// alterBytes prefers the end, where the columns are.
func alterBytes(r *rand.Rand, b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	i := max(r.IntN(len(b)), r.IntN(len(b)))
	switch r.IntN(5) {
	case 0:
		b[i] ^= 1 << r.IntN(8)
	case 1:
		b[i] = byte(r.Uint32())
	case 2:
		b[i] += byte(r.IntN(3)) - 1
	case 3:
		return slices.Insert(b, i, byte(r.Uint32()))
	case 4:
		return slices.Delete(b, i, min(i+1+r.IntN(3), len(b)))
	}
	return b
}

// alteredOps alters operations and not their bytes.
func (g *gate) alteredOps(r *rand.Rand, c Change) []byte {
	ops := slices.Collect(c.Ops())
	g.alterOps(r, ops)
	c.StartOp += uint64(r.IntN(12) / 10)
	return change.Marshal(&c, ops)
}

func (g *gate) alterOps(r *rand.Rand, ops []change.Op) {
	other := slices.Collect(g.next[r.IntN(len(g.next))].Ops())
	for range 1 + r.IntN(3) {
		o := &ops[r.IntN(len(ops))]
		switch p := &other[r.IntN(len(other))]; r.IntN(8) {
		case 0:
			o.Action = change.Action(r.IntN(8))
		case 1:
			o.Type, o.Value = p.Type, p.Value
		case 2:
			o.Type, o.Value = change.ValueType(r.IntN(12)), bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(10))
		case 3:
			o.Key, o.Obj, o.Elem = p.Key, p.Obj, p.Elem
		case 4:
			o.Pred = p.Pred
		case 5:
			o.Elem = someID(r)
		case 6:
			o.Obj, o.Key = someID(r), ""
		case 7:
			o.Pred = []change.OpID{someID(r)}
		}
		if r.IntN(4) == 0 {
			o.Insert = !o.Insert
		}
	}
}

func someID(r *rand.Rand) change.OpID {
	return change.OpID{Counter: uint64(1 + r.IntN(50)), Actor: Writer{byte(1 + 4*r.IntN(2))}}
}

// offer applies a change if it may, and reads, saves and loads what comes of it.
func (g *gate) offer(t *testing.T, c Change) (applied int) {
	d, err := LoadDocument(g.saved, Writer{2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply([]Change{c}); errors.Is(err, ErrBroken) {
		t.Fatalf("%x broke the document: %v", c.Raw, err)
	} else if err != nil {
		return 0
	}
	if show(reload(t, d, 3)) != show(d) {
		t.Fatalf("%x means something else after loading", c.Raw)
	}
	checkAsCore(t, saveOf(t, d))
	write(t, d, 1_700_000_000_002, setName("after"))
	return 1
}
