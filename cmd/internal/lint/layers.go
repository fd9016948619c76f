package lint

import (
	"fmt"
	"go/token"
	"slices"
	"strings"
)

// layer is one line of the plan of who may import whom.
type layer struct {
	dir string // the package; a trailing /... means it and all below it
	// may lists what it may import of ours; model goes without saying.
	may []string
	// never lists import paths, each with all below it, that neither the
	// package nor anything of ours that it imports may import.
	never []string
	// only, when not nil, lists all that it may import from third parties.
	only []string
	why  string
}

// The names by which the plan speaks of the fixed libraries.
const (
	automerge = "github.com/automerge/automerge-go"
	badger    = "github.com/dgraph-io/badger"
	libp2p    = "github.com/libp2p"
	cbor      = "github.com/fxamacker/cbor/v2"
	zstd      = "github.com/klauspost/compress"
)

// model is the package that every layer may import, because it knows nothing.
const model = "crdt/model"

// layers returns the plan. The first line that names a package counts, so
// inner packages stand before their owners.
func layers() []layer {
	return []layer{
		{model, nil, nil, []string{},
			"every layer and every client speaks these types, so they may drag in nothing: no cgo, no library"},
		{"crdt/change", nil, []string{automerge, badger, libp2p, "net"}, nil,
			"it is the strict gate in front of the Automerge core and must work, and be fuzzed, without it"},
		{"crdt/change/savedtest", nil, nil, []string{},
			"it writes what crdt/change has to read, and would make the same mistakes if it shared anything with it"},
		{"crdt/vectortest", nil, nil, []string{},
			"the tests of every layer read their vectors with it, so it knows none of them"},
		{"crdt", []string{"crdt/change"}, []string{badger, libp2p, "net"}, nil,
			"a document is a value: what it means may not depend on where it is stored or sent"},
		{"crdt/account", []string{"crdt", "crdt/change"}, []string{badger, libp2p, "net"}, nil,
			"the kinds are pure functions over documents, so that any replica computes the same"},
		{"encryption/...", []string{"encryption/..."}, []string{automerge, badger, libp2p, "net"}, nil,
			"who may read and write is decided over bytes, in isolation from what the bytes mean and how they travel"},
		{"replica/internal/wire", []string{"crdt/change"}, []string{"net", "os"}, []string{cbor, zstd},
			"a decoder of foreign bytes is small enough to fuzz and to write again in another language; changes are elided there, where their form is known"},
		{"replica/internal/core", []string{"crdt", "crdt/change", "crdt/account", "encryption", "replica/internal/wire"},
			[]string{badger, libp2p, "net"}, nil,
			"the exchange is a value that replays from a seed: its only input is the event that it is stepped with"},
		{"replica/internal/hand", []string{"encryption", "replica/internal/core", "replica/internal/wire", "replica/store"},
			[]string{badger, libp2p, "net"}, nil,
			"it only says how a replica is driven by hand; package replica fills it in, so that nothing of it is public"},
		{"replica/sim", []string{"crdt", "crdt/change", "crdt/account", "encryption", "encryption/seeded", "replica",
			"replica/internal/hand", "replica/internal/core", "replica/internal/wire", "replica/store"},
			[]string{libp2p, "net/http"}, nil,
			"a simulated world is real replicas on a simulated network and disk: the real ones are not of it"},
		{"replica/store/...", []string{"replica/store/..."}, []string{automerge, libp2p, "net"}, nil,
			"a store keeps bytes under keys; a store that knew documents could not be swapped or tested alone"},
		{"replica/localapi/client", nil, []string{automerge, badger, libp2p}, []string{},
			"a program that only talks to a daemon links the standard library and nothing else: no cgo"},
		{"replica/localapi/apitest", []string{"replica/localapi/client"}, []string{libp2p}, nil,
			"the conformance suite of client.API holds for every implementation, so it knows none of them"},
		{"replica/localapi", []string{"replica", "crdt", "crdt/account", "encryption", "replica/localapi/client"},
			[]string{libp2p}, nil,
			"the local interface serves a replica whether or not it has a network"},
		{"replica", []string{"crdt", "crdt/change", "crdt/account", "encryption",
			"replica/internal/core", "replica/internal/hand", "replica/internal/wire", "replica/store", "replica/store/disk"},
			[]string{libp2p, "net/http"}, nil,
			"an offline replica costs no libp2p, and the network is one interface that the embedder fills"},
		{"p2p/...", []string{"p2p/...", "encryption"}, []string{automerge, badger}, nil,
			"p2p and replica do not know each other: one authenticates and moves streams, the other decides what to say"},
		{"cmd/internal/lint/...", nil, nil, []string{},
			"the rules are about the code and must not break with it"},
		{"cmd/...", []string{"..."}, nil, nil, "a program joins the layers"},
		{"bench/...", []string{"..."}, nil, nil, "a benchmark, or a test of whole devices, joins the layers"},
	}
}

// Layers checks the imports of every package, tests excepted, against the plan.
func Layers(t *Tree) []Finding {
	var out []Finding
	byDir := map[string]*pkg{}
	for _, p := range t.packages() {
		byDir[p.Dir] = p
	}
	for _, p := range t.packages() {
		if p.Dir == "." || len(p.sources()) == 0 {
			continue
		}
		i := slices.IndexFunc(layers(), func(l layer) bool { return matches(l.dir, p.Dir) })
		if i < 0 {
			out = append(out, Finding{token.Position{Filename: p.Dir}, "package " + p.Dir + " is in no layer",
				"a package that nobody placed is imported from everywhere a year later",
				"add a line for it to layers() in cmd/internal/lint/layers.go, with its reason"})
			continue
		}
		l := layers()[i]
		out = append(out, l.direct(t, p)...)
		out = append(out, l.transitive(t, p, byDir)...)
	}
	return out
}

// direct checks what p imports of ours, and from third parties where that is listed.
func (l layer) direct(t *Tree, p *pkg) []Finding {
	var out []Finding
	for _, f := range p.sources() {
		for _, spec := range f.AST.Imports {
			target := importPath(spec)
			dir, ours := t.local(target)
			switch {
			case target == "C" && p.Dir == "crdt": // where the library is: it needs something of its memory
			case target == "C":
				out = append(out, Finding{t.pos(spec.Pos()), `import "C"`,
					"cgo is for package crdt alone, where automerge-go is; each further place breaks cross builds and is one more way to abort",
					"write it in Go"})
			case ours && dir != model && !slices.ContainsFunc(l.may, func(m string) bool { return matches(m, dir) }):
				out = append(out, l.finding(t, spec.Pos(), p.Dir, dir))
			case !ours && l.only != nil && isThirdParty(target) && !slices.ContainsFunc(l.only, func(o string) bool { return under(target, o) }):
				out = append(out, l.finding(t, spec.Pos(), p.Dir, target))
			}
		}
	}
	return out
}

// transitive walks what p reaches of ours and checks every import on the way.
func (l layer) transitive(t *Tree, p *pkg, byDir map[string]*pkg) []Finding {
	var out []Finding
	type step struct {
		p   *pkg
		via string
		pos token.Pos // the import in p that leads there
	}
	seen := map[string]bool{p.Dir: true}
	queue := []step{{p, p.Dir, token.NoPos}}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, f := range at.p.sources() {
			for _, spec := range f.AST.Imports {
				pos, target := at.pos, importPath(spec)
				if pos == token.NoPos {
					pos = spec.Pos()
				}
				if slices.ContainsFunc(l.never, func(n string) bool { return under(target, n) }) {
					out = append(out, l.finding(t, pos, at.via, target))
				}
				dir, ours := t.local(target)
				if next := byDir[dir]; ours && next != nil && !seen[dir] {
					seen[dir] = true
					queue = append(queue, step{next, at.via + " -> " + dir, pos})
				}
			}
		}
	}
	return out
}

func (l layer) finding(t *Tree, pos token.Pos, from, to string) Finding {
	may := "nothing of ours but " + model
	if len(l.may) > 0 {
		may = strings.Join(append([]string{model}, l.may...), ", ")
	}
	return Finding{t.pos(pos), fmt.Sprintf("%s imports %s", from, to), l.why,
		fmt.Sprintf("%s may import %s; declare a small interface for what it needs and let cmd join the two, "+
			"or change the plan in cmd/internal/lint/layers.go in the same commit, with the reason", l.dir, may)}
}

// matches says whether dir is what the pattern names.
func matches(pattern, dir string) bool {
	if pattern == "..." {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return under(dir, base)
	}
	return dir == pattern
}

// isThirdParty says whether an import path is outside the standard library:
// its first element has a dot, as the go command itself decides.
func isThirdParty(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".")
}
