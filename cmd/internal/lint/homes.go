package lint

import (
	"fmt"
	"slices"
	"strings"
)

// home says which packages may import a third-party module at all.
type home struct {
	module string
	dirs   []string // patterns as in layers, or inTests; none: nowhere
	why    string
	to     string // what to do instead
}

// inTests stands for every _test.go file and every package such as storetest.
const inTests = "_test"

func homes() []home {
	throughStore := "take a store.Store"
	return []home{
		{automerge, []string{"crdt", "bench/...", inTests},
			"malformed bytes abort the process inside the Automerge core, so exactly one package stands in front of it", "use package crdt"},
		{badger, []string{"replica/store/disk", "bench/...", inTests},
			"Badger needs tuning, a group commit and a seal on each record to be trusted; that is done in one place", throughStore},
		{"github.com/dgraph-io/ristretto", []string{"replica/store/disk"},
			"it belongs to Badger", throughStore},
		{libp2p, []string{"p2p/...", "bench/...", inTests},
			"streams are handed out only after the hello; a host next door would be a way around it", "take an io.ReadWriteCloser that p2p authenticated"},
		{"github.com/multiformats", []string{"p2p/...", "bench/...", "cmd/starling/...", inTests},
			"addresses are strings outside the network layer", "pass the address as a string"},
		{"github.com/spf13", []string{"cmd/starling/...", "bench/..."},
			"flags are the command line's business; a library has a Config", "add a field to the package's Config"},
		{"github.com/mdp/qrterminal", []string{"cmd/starling/..."},
			"only a program has a terminal", "return the text and let cmd draw it"},
		{"github.com/emersion/go-vcard", []string{"cmd/starling/...", "bench/...", inTests},
			"vCard is a format of files that people import; the replica knows contacts", "convert at the edge, into model.Contact"},
		{"github.com/HdrHistogram", []string{"bench/...", "cmd/starling/...", inTests},
			"histograms of latency are a measurement, not a feature", "return the durations and let bench count them"},
		{"filippo.io/age", []string{"encryption", inTests},
			"what a backup is encrypted to, and that it is signed, is decided in one place", "use encryption.NewBackup and OpenBackup"},
		{"pgregory.net/rapid", []string{inTests}, "it is a test library", "move the code to a _test.go file"},
		{"go.uber.org/goleak", []string{inTests}, "it is a test library", "move the code to a _test.go file"},
		{"github.com/c2sp/wycheproof", []string{inTests}, "it is test data", "move the code to a _test.go file"},
		{"github.com/marcopolo/simnet", []string{"bench/...", inTests}, "it is a simulated network", "move the code to a test or to p2ptest"},
		{"github.com/stretchr/testify", nil,
			"a second assertion language hides plain ifs and prints less than a good message", "write an if and t.Errorf with got and want"},
		{"go.uber.org/mock", nil,
			"a mock repeats the implementation's calls and passes when both are wrong", "write a small real fake and run it through the conformance suite"},
		{"golang.org/x/exp", nil,
			"it has no compatibility promise, and what was good in it is in the standard library", "use slices, maps, cmp, log/slog, math/rand/v2"},
		{"github.com/pkg/errors", nil, "the standard library wraps errors", `use fmt.Errorf with %w`},
	}
}

// Homes checks that each third-party module is imported only where it lives.
func Homes(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		for _, spec := range f.AST.Imports {
			for _, h := range homes() {
				if !under(importPath(spec), h.module) || h.holds(f) {
					continue
				}
				if t.excused(f, spec.Pos(), "allow", importPath(spec)) {
					continue
				}
				where := "nowhere"
				if len(h.dirs) > 0 {
					where = strings.Join(h.dirs, ", ")
				}
				out = append(out, Finding{t.pos(spec.Pos()),
					fmt.Sprintf("import of %s (its home: %s)", importPath(spec), where), h.why, h.to})
			}
		}
	}
	return out
}

func (h home) holds(f *File) bool {
	return slices.ContainsFunc(h.dirs, func(dir string) bool {
		return dir == inTests && f.inTest() || matches(dir, f.Dir())
	})
}
