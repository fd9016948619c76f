package lint

import (
	"go/ast"
	"go/token"
	"slices"
)

// Skips checks that every skipped test says why.
func Skips(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && silentSkip(call) {
				out = append(out, Finding{t.pos(call.Pos()), "test skipped without a reason",
					"CI lists what was skipped and why; a silent skip looks like a pass",
					`write t.Skip("needs …: …"), naming what is missing and how to get it`})
			}
			return true
		})
	}
	return out
}

// silentSkip recognises t.Skip(), t.SkipNow() and t.Skip("") on the usual
// names of a test's argument.
func silentSkip(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	recv, ok := sel.X.(*ast.Ident)
	if !ok || !slices.Contains([]string{"t", "b", "f", "tb", "ts"}, recv.Name) {
		return false
	}
	switch sel.Sel.Name {
	case "SkipNow":
		return true
	case "Skip", "Skipf":
		return len(call.Args) == 0 || isEmptyString(call.Args[0])
	}
	return false
}

func isEmptyString(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Kind == token.STRING && len(lit.Value) == 2
}
