package localapi_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/starling-sync/starling/"

// imports returns what the files of a package of this module import, those of
// all systems together, tests left out.
func imports(t *testing.T, pkg string) []string {
	t.Helper()
	var paths []string
	dir := filepath.Join("..", "..", filepath.FromSlash(pkg))
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		t.Fatalf("%s imports nothing: the test reads the wrong place", dir)
	}
	return paths
}

// reach returns everything that pkg imports, through packages of this module.
func reach(t *testing.T, pkg string) []string {
	t.Helper()
	seen := map[string]bool{pkg: true}
	var all []string
	for todo := []string{pkg}; len(todo) > 0; todo = todo[1:] {
		for _, path := range imports(t, todo[0]) {
			if seen[path] {
				continue
			}
			seen[path] = true
			all = append(all, path)
			if ours, ok := strings.CutPrefix(path, module); ok && !seen[ours] {
				todo = append(todo, ours)
			}
		}
	}
	return all
}

// The client is linked into programs that have no C compiler and want none of
// the engine: the standard library and the model, nothing else. Of the
// standard library it leaves out what may bring cgo by choice.
func TestClientImports(t *testing.T) {
	for _, path := range reach(t, "replica/localapi/client") {
		switch {
		case path == module+"crdt/model":
		case path == "C" || path == "os/user" || path == "runtime/cgo" || path == "plugin":
			t.Errorf("client reaches %s", path)
		case strings.Contains(strings.Split(path, "/")[0], "."):
			t.Errorf("client reaches %s, which is not of the standard library", path)
		}
	}
}

// The handler needs an interface, no engine and no network of its own.
func TestHandlerImports(t *testing.T) {
	allowed := []string{module + "crdt/model", module + "replica/localapi/client", "golang.org/x/sys/unix"}
	for _, path := range reach(t, "replica/localapi") {
		if strings.Contains(path, ".") && !slices.Contains(allowed, path) || path == "C" {
			t.Errorf("localapi reaches %s", path)
		}
	}
}
