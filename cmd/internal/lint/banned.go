package lint

import (
	"fmt"
	"go/ast"
	"slices"
)

// scope says where a ban holds.
type scope int

const (
	everywhere scope = iota
	libraries        // what others import: no tests, no cmd, no bench
	tests            // _test.go files, but those with a fake clock
)

// ban is some names of a package that are not used here, or with no names the
// import itself.
type ban struct {
	pkg     string
	names   []string
	where   scope
	why     string
	instead string
}

func bans() []ban {
	return []ban{
		{"time", []string{"Sleep"}, tests,
			"a test that sleeps is slow when it passes and flaky when it does not",
			"wait for the event on a channel, or run the test under testing/synctest, where time is virtual"},
		{"time", []string{"Sleep"}, libraries,
			"a sleeping goroutine cannot be stopped",
			"select on a timer and on ctx.Done()"},
		{"io/ioutil", nil, everywhere, "it is deprecated", "use the same functions of io and os"},
		{"fmt", []string{"Print", "Println", "Printf"}, libraries,
			"the standard output belongs to the program that embeds us; scripts parse it",
			"return the value, or log it through the *slog.Logger of the Config"},
		{"log", nil, everywhere,
			"it writes to a global, without levels or keys",
			"take a *slog.Logger in the Config and log at the edge, once"},
		{"log/slog", []string{"Info", "Warn", "Error", "Debug", "Log", "InfoContext", "WarnContext", "ErrorContext", "DebugContext", "SetDefault"}, libraries,
			"the embedder chooses where logs go; the default logger is global state",
			"use the *slog.Logger of the Config; nil there means slog.Default() or none, and the field says which"},
		{"os", []string{"Exit"}, libraries,
			"a library that exits takes its host's unsaved work with it", "return an error"},
		{"os", []string{"Getenv", "LookupEnv", "Environ"}, libraries,
			"an environment variable is an argument that no signature shows",
			"add a field to the Config and let cmd read the environment"},
		{"context", []string{"Background", "TODO"}, libraries,
			"work under a context of its own cannot be cancelled by the one who asked for it",
			"take ctx from the caller; for what outlives the call use context.WithoutCancel, or end it in Close and say so with //lint:allow"},
		{"net/http", []string{"DefaultClient", "DefaultTransport", "DefaultServeMux", "Get", "Post", "PostForm", "Head", "Handle", "HandleFunc", "ListenAndServe"}, everywhere,
			"they are global, have no timeouts, and let any imported package add a route",
			"make an http.Client or http.Server with its timeouts written down, and your own ServeMux"},
		{"math/rand", nil, everywhere,
			"its global source cannot be replayed and its seeded one is weak",
			"use math/rand/v2 with rand.New(rand.NewPCG(seed, 0)), and print the seed; for keys take an io.Reader"},
		{"math/rand/v2", []string{"Int", "IntN", "Int32", "Int32N", "Int64", "Int64N", "Uint", "UintN", "Uint32", "Uint32N", "Uint64", "Uint64N", "N", "Float32", "Float64", "NormFloat64", "ExpFloat64", "Perm", "Shuffle"}, everywhere,
			"a run that drew from the global source cannot be replayed",
			"draw from a *rand.Rand made from a seed, and print the seed when the test fails"},
		{"reflect", []string{"DeepEqual"}, libraries,
			"it compares what a type hides and calls nil and empty different",
			"write an Equal method, or use slices.Equal, maps.Equal, bytes.Equal"},
	}
}

// Banned checks calls and imports that have a better replacement here.
func Banned(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		for _, spec := range f.AST.Imports {
			out = append(out, t.banned(f, spec, importPath(spec), "")...)
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if pkg, name := f.packageRef(sel); name != "" {
					out = append(out, t.banned(f, sel, pkg, name)...)
				}
			}
			return true
		})
		if !f.inTest() && !f.Generated {
			out = append(out, t.panics(f)...)
		}
		if inLibrary(f) && !f.Generated {
			out = append(out, t.inits(f)...)
		}
	}
	return out
}

func (t *Tree) banned(f *File, n ast.Node, pkg, name string) []Finding {
	var out []Finding
	for _, b := range bans() {
		if b.pkg != pkg || !b.covers(name) || !b.where.covers(f) {
			continue
		}
		subject := pkg
		if name != "" {
			subject = baseName(pkg) + "." + name
		}
		if !t.excused(f, n.Pos(), "allow", subject) {
			out = append(out, Finding{t.pos(n.Pos()), subject + " is not used here", b.why,
				b.instead + fmt.Sprintf(" (//lint:allow %s reason, where there is one)", subject)})
		}
	}
	return out
}

// covers says whether the ban is on name, or with "" on the import itself.
func (b ban) covers(name string) bool {
	return name == "" && b.names == nil || slices.Contains(b.names, name)
}

func (s scope) covers(f *File) bool {
	switch s {
	case libraries:
		return inLibrary(f)
	case tests:
		_, fake := f.imports["synctest"]
		return f.Test && !fake
	}
	return true
}

// inLibrary says whether the file is part of what an embedder links.
func inLibrary(f *File) bool {
	return !f.inTest() && f.AST.Name.Name != "main" && !under(f.Dir(), "cmd") && !under(f.Dir(), "bench")
}

// panics finds calls of panic that do not say why they cannot be reached.
func (t *Tree) panics(f *File) []Finding {
	var out []Finding
	ast.Inspect(f.AST, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" && !t.excused(f, call.Pos(), "unreachable", "") {
			out = append(out, Finding{t.pos(call.Pos()), "panic",
				"bad input of any kind gets an error and loses nothing; a panic takes the host down with it",
				"return an error, or say in // unreachable: which check before it makes this impossible"})
		}
		return true
	})
	return out
}

// inits finds init functions.
func (t *Tree) inits(f *File) []Finding {
	var out []Finding
	for _, fn := range functions(f) {
		if fn.Recv == nil && fn.Name.Name == "init" && !t.excused(f, fn.Pos(), "allow", "init") {
			out = append(out, Finding{t.pos(fn.Pos()), "func init in a library",
				"it runs in every program that links the package, in an order that nobody reads, and fails without an error to return",
				"build the value in a constructor, or in a package variable with a function literal or sync.OnceValue"})
		}
	}
	return out
}
