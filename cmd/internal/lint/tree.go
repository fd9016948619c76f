package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Tree is a module's source, parsed once and read by all rules. It is not
// safe for concurrent use: rules mark the notes that they honour.
type Tree struct {
	Module string // import path of the root, from go.mod
	Fset   *token.FileSet
	Files  []*File  // Go files by path, without testdata
	Paths  []string // every file by path, without what belongs to nobody's review (.git, node_modules)

	fsys  fs.FS
	std   *Std
	typed map[string]*typedPackage // by directory, filled on demand
}

// File is one Go file.
type File struct {
	Path      string // slash-separated, from the root
	Src       []byte
	AST       *ast.File
	Test      bool // its name ends in _test.go
	Generated bool

	imports map[string]string // name in this file to import path
	notes   []*note
}

// Dir returns the directory of the file, "." for the root.
func (f *File) Dir() string { return path.Dir(f.Path) }

// inTest says whether only tests link the file: it is one, or it is in a
// package such as storetest that supports them.
func (f *File) inTest() bool { return f.Test || strings.HasSuffix(f.Dir(), "test") }

// Load reads and parses the module in fsys. A file that does not parse is an
// error: the compiler's message is better than any rule's.
func Load(fsys fs.FS, std *Std) (*Tree, error) {
	t := &Tree{Fset: token.NewFileSet(), fsys: fsys, std: std, typed: map[string]*typedPackage{}}
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, fmt.Errorf("load module: %w", err)
	}
	for line := range strings.Lines(string(mod)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			t.Module = strings.TrimSpace(name)
		}
	}
	if err := fs.WalkDir(fsys, ".", t.visit); err != nil {
		return nil, fmt.Errorf("load module %s: %w", t.Module, err)
	}
	return t, nil
}

func (t *Tree) visit(p string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if d.IsDir() {
		if d.Name() == ".git" || d.Name() == "node_modules" {
			return fs.SkipDir
		}
		return nil
	}
	t.Paths = append(t.Paths, p)
	if path.Ext(p) != ".go" || inDir(p, "testdata") {
		return nil
	}
	return t.parse(p)
}

func (t *Tree) parse(p string) error {
	src, err := fs.ReadFile(t.fsys, p)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(t.Fset, p, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	f := &File{
		Path: p, Src: src, AST: parsed,
		Test:      strings.HasSuffix(p, "_test.go"),
		Generated: ast.IsGenerated(parsed),
		imports:   map[string]string{},
	}
	for _, spec := range parsed.Imports {
		f.imports[importName(spec)] = importPath(spec)
	}
	f.notes = t.readNotes(f)
	t.Files = append(t.Files, f)
	return nil
}

// importName is the name by which the file refers to the import.
func importName(spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	return baseName(importPath(spec))
}

// baseName guesses a package's name from its path: the last element that is
// not a version, without the go- or -go that repositories carry.
func baseName(importPath string) string {
	elems := strings.Split(importPath, "/")
	last := elems[len(elems)-1]
	if len(elems) > 1 && len(last) > 1 && last[0] == 'v' && strings.Trim(last[1:], "0123456789") == "" {
		last = elems[len(elems)-2]
	}
	return strings.TrimSuffix(strings.TrimPrefix(last, "go-"), "-go")
}

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // unreachable: the parser accepted the literal
	}
	return p
}

// packageRef returns the import path and name that e selects from, as in
// "time", "Sleep", or two empty strings when e selects from no import.
func (f *File) packageRef(e ast.Expr) (pkg, name string) {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	if pkg, ok = f.imports[id.Name]; !ok {
		return "", ""
	}
	return pkg, sel.Sel.Name
}

// packages returns the Go files of each directory, directories by name.
func (t *Tree) packages() []*pkg {
	var out []*pkg
	for _, f := range t.Files {
		i, ok := slices.BinarySearchFunc(out, f.Dir(), func(p *pkg, dir string) int { return strings.Compare(p.Dir, dir) })
		if !ok {
			out = slices.Insert(out, i, &pkg{Dir: f.Dir()})
		}
		out[i].Files = append(out[i].Files, f)
	}
	return out
}

// pkg is the Go files of one directory.
type pkg struct {
	Dir   string
	Files []*File
}

// sources returns the files that are not tests.
func (p *pkg) sources() []*File {
	return slices.DeleteFunc(slices.Clone(p.Files), func(f *File) bool { return f.Test })
}

// local returns the directory of an import path of this module.
func (t *Tree) local(importPath string) (dir string, ok bool) {
	if importPath == t.Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, t.Module+"/")
}

func (t *Tree) pos(p token.Pos) token.Position { return t.Fset.Position(p) }

// inDir says whether any directory of the path p has the given name.
func inDir(p, name string) bool {
	return slices.Contains(strings.Split(path.Dir(p), "/"), name)
}

// under says whether the path p is dir or below it.
func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
