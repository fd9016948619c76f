package lint

import (
	"go/ast"
	"go/types"
)

// dangerous are methods of automerge-go that lose data, hang or abort.
func dangerous() map[string]string {
	return map[string]string{
		"Apply":           "10,000 changes at once take 20 GB, and a change taken from Changes applies the whole result set",
		"Merge":           "a.Merge(b) beside b.Merge(a) deadlocks",
		"Fork":            "it costs 14 ms on 10,000 entries and copies the actor",
		"NewSyncState":    "its messages carry no integrity check and can abort the process, and a session can fall silent with different heads",
		"LoadSyncState":   "its messages carry no integrity check and can abort the process",
		"SaveIncremental": "it takes 340 µs where Change(hash) takes 9 µs, and its range depends on the last save",
		"ReceiveMessage":  "sync messages carry no integrity check: a flipped bit gives another document or aborts",
		"GenerateMessage": "a session can fall silent with different heads",
		"Path":            "Path.Set(int) stores a float, and it writes through nested maps, which lose concurrent edits",
	}
}

// Automerge checks that the files which import automerge-go keep away from
// what is dangerous in it. A receiver that is not of a type of ours counts as
// Automerge's. Tests may do as they like, and benchmarks compare.
func Automerge(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if f.Test || under(f.Dir(), "bench") || !f.importsPath(automerge) {
			continue
		}
		info := t.typecheck(f.Dir()).info
		ast.Inspect(f.AST, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			why, bad := dangerous()[sel.Sel.Name]
			if bad && f.foreign(sel, info) && !t.excused(f, call.Pos(), "allow", "automerge."+sel.Sel.Name) {
				out = append(out, Finding{t.pos(sel.Sel.Pos()), "automerge " + sel.Sel.Name, why,
					"LoadIncremental on the raw bytes of changes in causal order, and compare the heads afterwards; write with RootMap().Set"})
			}
			return true
		})
	}
	return out
}

func (f *File) importsPath(p string) bool {
	for _, imported := range f.imports {
		if imported == p {
			return true
		}
	}
	return false
}

// foreign says whether what sel selects from is Automerge's: the package
// itself, or a value whose type is not known from our own source or the
// standard library.
func (f *File) foreign(sel *ast.SelectorExpr, info *types.Info) bool {
	if pkg, _ := f.packageRef(sel); pkg != "" {
		return pkg == automerge
	}
	typ := info.Types[sel.X].Type
	if ptr, ok := typ.(*types.Pointer); ok {
		typ = ptr.Elem()
	}
	return typ == nil || typ == types.Typ[types.Invalid]
}
