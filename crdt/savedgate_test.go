package crdt

import (
	"crypto/sha256"
	"errors"
	cmdline "flag"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/change/savedtest"
)

var gateSaved = cmdline.Int("gate-saved", 2_000, "altered saved documents that TestSavedGate offers")

// TestSavedGate alters saved documents and offers what ParseSaved reads from them to
// a document that is empty and to one that has a part of it and more: operations,
// numbers, writers, dependencies and order of changes, with hashes, heads and checksums
// that are right, and bytes of columns. What is applied goes into the Automerge core,
// is saved, loaded and read, in child processes as in TestGate. More of them:
//
//	go test ./crdt -run '^TestSavedGate$' -v -gate-saved 1000000 -timeout 0
func TestSavedGate(t *testing.T) {
	if os.Getenv(gateChild) != "" {
		g := newSavedGate(t)
		inChild(t, func(i int, before func()) (parsed bool, applied int) {
			return g.try(t, g.altered(rand.New(rand.NewPCG(*gateSeed, uint64(i)))), before)
		})
		return
	}
	tally := campaign(t, *gateSaved, 5_000)
	t.Logf("seed %d: %d saved documents tried, %d accepted, %d applied to one of two, %d aborts", *gateSeed, tally.offered, tally.parsed, tally.applied, tally.aborts)
}

// savedGate are documents, and one that has a part of each and more.
type savedGate struct {
	gate
	documents [][]written
	saved     []byte
}

func newSavedGate(t *testing.T) *savedGate {
	d, _ := shared(t)
	other := reload(t, d, 5)
	write(t, other, 1_700_000_000_003, setName("meanwhile"))
	g := &savedGate{}
	var err error
	if g.saved, err = other.Save(); err != nil {
		t.Fatal(err)
	}
	for i, f := range []func(*Edit) error{
		setName("a name"), func(e *Edit) error { return hits.Add(e, "", 3) },
		func(e *Edit) error { return typeNote(e, "a note") }, func(e *Edit) error { return typeNote(e, "a noté") },
		func(e *Edit) error { return errors.Join(setName("two")(e), tags.Add(e, "tag", "v"), raise(e)) },
		func(e *Edit) error { return hits.Add(e, "", -1) },
	} {
		third := reload(t, d, 7)
		write(t, third, 1_700_000_000_000+int64(i), f)
		write(t, d, 1_700_000_000_000+int64(i), f)
		if i%2 == 1 {
			tellAll(t, third, d)
		}
		g.documents = append(g.documents, writtenOf(changesOf(t, saveOf(t, d))))
		if i == 3 {
			tellAll(t, other, d)
		}
	}
	for _, c := range g.documents[len(g.documents)-1] {
		g.next = append(g.next, c.Change)
	}
	return g
}

// altered returns one of the documents, altered.
func (g *savedGate) altered(r *rand.Rand) []byte {
	document := slices.Clone(g.documents[r.IntN(len(g.documents))])
	if r.IntN(8) > 0 {
		for range 1 + r.IntN(2) {
			g.alterChange(r, document)
		}
		rehash(document)
	}
	p := documentOf(document).Parts()
	if r.IntN(4) == 0 {
		for range 1 + r.IntN(2) {
			alterColumn(r, p)
		}
	}
	return p.Marshal()
}

// alterChange alters a change: its operations half of the time.
func (g *savedGate) alterChange(r *rand.Rand, document []written) {
	i := r.IntN(len(document))
	c := &document[i]
	c.ops, c.Deps = slices.Clone(c.ops), slices.Clone(c.Deps)
	switch r.IntN(12) {
	case 0:
		c.Seq += uint64(r.IntN(3)) - 1
	case 1:
		c.StartOp += uint64(r.IntN(3))
	case 2:
		c.Actor = document[r.IntN(len(document))].Actor
	case 3:
		c.Time = r.Int64() >> r.IntN(64)
	case 4:
		if n := len(c.Deps); n > 0 {
			c.Deps[r.IntN(n)] = document[r.IntN(len(document))].Hash
		}
	case 5:
		if j := r.IntN(len(document)); i > 0 {
			document[i], document[j] = document[j], document[i]
		}
	default:
		if len(c.ops) > 0 {
			g.alterOps(r, c.ops)
		}
	}
	for n := range c.ops {
		c.ops[n].ID = change.OpID{Counter: c.StartOp + uint64(n), Actor: c.Actor}
	}
}

// rehash gives changes the hashes that belong to what they are, in their order.
func rehash(document []written) {
	became := map[Hash]Hash{}
	for i := range document {
		c := &document[i]
		c.Deps = slices.Clone(c.Deps)
		for k, dep := range c.Deps {
			if h, ok := became[dep]; ok {
				c.Deps[k] = h
			}
		}
		slices.SortFunc(c.Deps, Hash.Compare)
		before := c.Hash
		c.Hash = sha256.Sum256(change.Marshal(&c.Change, c.ops)[8:])
		became[before] = c.Hash
	}
}

func alterColumn(r *rand.Rand, p *savedtest.Parts) {
	columns := p.Ops
	if r.IntN(3) == 0 || len(columns) == 0 {
		columns = p.Changes
	}
	c := &columns[r.IntN(len(columns))]
	c.Bytes = alterBytes(r, c.Bytes)
}

// try offers what a saved document holds to both documents.
func (g *savedGate) try(t *testing.T, saved []byte, before func()) (parsed bool, applied int) {
	changes, err := change.ParseSaved(saved)
	if err != nil {
		return false, 0
	}
	before()
	loaded, err := LoadDocument(g.saved, Writer{2})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Document{newDocument(t, 2), loaded} {
		n, err := d.Apply(changes)
		if errors.Is(err, ErrBroken) {
			t.Fatalf("%x broke the document: %v", saved, err)
		}
		if err != nil || n == 0 {
			continue
		}
		if show(reload(t, d, 3)) != show(d) {
			t.Fatalf("%x means something else after loading", saved)
		}
		checkSaved(t, saveOf(t, d))
		checkAsCore(t, saveOf(t, d))
		write(t, d, 1_700_000_000_002, setName("after"))
		applied = 1
	}
	return true, applied
}
