package lint

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"path"
	"path/filepath"
)

// Std type-checks packages of the standard library from source, signatures
// only. One Std serves many trees; it is not safe for concurrent use.
type Std struct {
	ctx  build.Context
	fset *token.FileSet
	done map[string]*types.Package // nil while in progress
}

// NewStd returns a Std for the toolchain that runs the test.
func NewStd() *Std {
	ctx := build.Default
	ctx.CgoEnabled = false // the pure Go variants declare the same API
	return &Std{ctx: ctx, fset: token.NewFileSet(), done: map[string]*types.Package{"unsafe": types.Unsafe}}
}

// Import implements types.Importer. A package that is not in the standard
// library comes back empty: what is selected from it has no type, and the
// rules treat that as foreign.
func (s *Std) Import(importPath string) (*types.Package, error) {
	if p, ok := s.done[importPath]; ok && p != nil {
		return p, nil
	}
	p := types.NewPackage(importPath, path.Base(importPath))
	p.MarkComplete()
	s.done[importPath] = nil
	if bp, err := s.ctx.Import(importPath, filepath.Join(s.ctx.GOROOT, "src"), 0); err == nil && bp.Goroot {
		p = s.check(bp, importPath)
	}
	s.done[importPath] = p
	return p, nil
}

func (s *Std) check(bp *build.Package, importPath string) *types.Package {
	var files []*ast.File
	for _, name := range bp.GoFiles {
		f, err := parser.ParseFile(s.fset, filepath.Join(bp.Dir, name), nil, parser.SkipObjectResolution)
		if err == nil {
			files = append(files, f)
		}
	}
	conf := types.Config{Importer: s, IgnoreFuncBodies: true, FakeImportC: true, Error: func(error) {}}
	p, _ := conf.Check(importPath, s.fset, files, nil) // errors leave holes, which are foreign
	return p
}

// typedPackage is one package of the module with what is known of its types.
type typedPackage struct {
	types *types.Package
	info  *types.Info
}

// typecheck checks the non-test files of one directory and of what it imports
// of ours. What comes from third parties has no type.
func (t *Tree) typecheck(dir string) *typedPackage {
	if p, ok := t.typed[dir]; ok {
		return p
	}
	tp := &typedPackage{info: &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}}
	t.typed[dir] = tp
	var files []*ast.File
	for _, f := range t.Files {
		if f.Dir() == dir && !f.Test && t.built(f) {
			files = append(files, f.AST)
		}
	}
	conf := types.Config{Importer: importer{t}, FakeImportC: true, Error: func(error) {}}
	tp.types, _ = conf.Check(path.Join(t.Module, dir), t.Fset, files, tp.info) // holes are foreign
	return tp
}

// built says whether the file is part of the build on this platform, which
// keeps the variants for other systems from colliding.
func (t *Tree) built(f *File) bool {
	ctx := t.std.ctx
	ctx.CgoEnabled = true
	ctx.JoinPath = path.Join
	ctx.OpenFile = func(p string) (io.ReadCloser, error) { return t.fsys.Open(p) }
	ok, err := ctx.MatchFile(f.Dir(), path.Base(f.Path))
	return err == nil && ok
}

// importer gives our own packages from the tree and the rest from Std.
type importer struct{ t *Tree }

func (i importer) Import(importPath string) (*types.Package, error) {
	if dir, ok := i.t.local(importPath); ok {
		if p := i.t.typecheck(dir).types; p != nil {
			return p, nil
		}
	}
	return i.t.std.Import(importPath)
}
