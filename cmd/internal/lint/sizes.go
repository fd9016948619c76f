package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"slices"
)

// The sizes from which a reason is asked for, in lines.
const (
	maxFunction = 70
	maxFile     = 500
)

// Sizes checks the length of functions and files, tests included.
func Sizes(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if f.Generated {
			continue
		}
		out = append(out, fileSize(t, f)...)
		for _, fn := range functions(f) {
			out = append(out, functionSize(t, f, fn)...)
		}
	}
	return out
}

func fileSize(t *Tree, f *File) []Finding {
	clause := t.pos(f.AST.Package).Line
	n := bytes.Count(f.Src, []byte("\n"))
	if n <= maxFile || f.excusedBetween(1, clause, "long", "") {
		return nil
	}
	return []Finding{{token.Position{Filename: f.Path}, fmt.Sprintf("file of %d lines, over %d", n, maxFile),
		"a file is read as one unit; past a few screens nobody holds it in mind, and everything new lands in it because it fits nowhere else",
		"split it by noun, or write //lint:long with the reason above the package clause"}}
}

func functionSize(t *Tree, f *File, fn *ast.FuncDecl) []Finding {
	first, last := t.pos(fn.Pos()).Line, t.pos(fn.End()).Line
	if last-first+1 <= maxFunction || f.excusedBetween(first, last, "long", "") {
		return nil
	}
	return []Finding{{t.pos(fn.Pos()), fmt.Sprintf("function %s of %d lines, over %d", fn.Name.Name, last-first+1, maxFunction),
		"what does not fit on a screen is not checked by eye, and its branches multiply",
		"name the steps and make each a function, or write //lint:long with the reason in its comment"}}
}

func functions(f *File) []*ast.FuncDecl {
	var out []*ast.FuncDecl
	for _, d := range f.AST.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			out = append(out, fn)
		}
	}
	return out
}

// Lengths returns the sorted lengths in lines of the functions that are
// neither tests nor generated.
func Lengths(t *Tree) []int {
	var out []int
	for _, f := range t.Files {
		if f.Test || f.Generated {
			continue
		}
		for _, fn := range functions(f) {
			out = append(out, t.pos(fn.End()).Line-t.pos(fn.Pos()).Line+1)
		}
	}
	slices.Sort(out)
	return out
}
