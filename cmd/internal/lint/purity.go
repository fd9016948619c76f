package lint

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// pure names the packages whose functions depend on their arguments alone.
// strict ones also have no locks, because nothing in them is shared.
func pure(dir string) (ok, strict bool) {
	switch {
	case under(dir, "replica/internal/core"):
		return true, true
	case under(dir, "replica/internal/wire"), under(dir, "replica/sim"), under(dir, "crdt"), under(dir, "encryption"):
		return true, false
	}
	return false, false
}

const whyPure = "the same inputs must give the same outputs: it is what makes replicas converge, a seed replay and a test deterministic"

// impureImport is a package, with all below it, that reaches for the world.
type impureImport struct{ path, instead string }

func impureImports() []impureImport {
	return []impureImport{
		{"os", "take the bytes or an fs.FS; a package that owns a file keeps that to one source file"},
		{"net", "leave the network to p2p"},
		{"syscall", "leave it to the edge"},
		{"runtime", "leave it to the edge"},
		{"context", "nothing here waits, so nothing needs cancelling"},
		{"crypto/rand", "take an io.Reader"},
	}
}

// impureNames are names of packages that are otherwise fine.
func impureNames() map[string][]string {
	return map[string][]string{
		"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local", "LoadLocation"},
		"maps": {"Keys", "Values", "All"},
	}
}

// Purity checks the packages that are values: no clock, goroutine, I/O,
// global randomness, and nothing that depends on the order of a map.
func Purity(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		ok, strict := pure(f.Dir())
		if !ok || f.Test {
			continue
		}
		c := &purityCheck{t: t, f: f, strict: strict, info: t.typecheck(f.Dir()).info, sorted: map[ast.Node]bool{}}
		for _, spec := range f.AST.Imports {
			c.imported(spec)
		}
		ast.Inspect(f.AST, c.visit)
		out = append(out, c.out...)
	}
	return out
}

// purityCheck walks one file.
type purityCheck struct {
	t      *Tree
	f      *File
	strict bool
	info   *types.Info
	sorted map[ast.Node]bool // calls whose result is sorted at once
	out    []Finding
}

func (c *purityCheck) add(n ast.Node, what, instead string) {
	c.out = append(c.out, Finding{c.t.pos(n.Pos()), what + " in a pure package", whyPure, instead})
}

func (c *purityCheck) imported(spec *ast.ImportSpec) {
	p := importPath(spec)
	if c.strict && under(p, "sync") {
		c.add(spec, "import of "+p, "one goroutine owns the value; the loop around it does the locking")
	}
	for _, bad := range impureImports() {
		if under(p, bad.path) && p != "net/netip" && !c.t.excused(c.f, spec.Pos(), "allow", p) {
			c.add(spec, "import of "+p, bad.instead+fmt.Sprintf(" (//lint:allow %s reason, on the import, where there is one)", p))
		}
	}
}

func (c *purityCheck) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.add(n, "go statement", "return an effect and let the loop run it")
	case *ast.SelectStmt:
		c.add(n, "select", "let the loop choose, and step the value with what it chose")
	case *ast.ChanType:
		c.add(n, "channel", "return a slice or call a function")
	case *ast.SendStmt:
		c.add(n, "send", "return an effect")
	case *ast.RangeStmt:
		c.ranged(n)
	case *ast.CallExpr:
		c.call(n)
	case *ast.SelectorExpr:
		c.selected(n)
	}
	return true
}

// ranged finds a range over a map without a reason why its order is not seen.
func (c *purityCheck) ranged(n *ast.RangeStmt) {
	typ := c.info.Types[n.X].Type
	if typ == nil || !isMap(typ) || c.t.excused(c.f, n.Pos(), "order-free", "") {
		return
	}
	c.add(n, "range over a map",
		"range over slices.Sorted(maps.Keys(m)); use maps.Copy, clear or len for what they do; or say in // order-free: why no order can be seen")
}

// isMap also looks into type parameters whose every type is a map.
func isMap(typ types.Type) bool {
	if p, ok := types.Unalias(typ).(*types.TypeParam); ok {
		typ = p.Constraint().Underlying().(*types.Interface).EmbeddedType(0)
		if u, ok := typ.(*types.Union); ok {
			typ = u.Term(0).Type()
		}
	}
	_, ok := typ.Underlying().(*types.Map)
	return ok
}

// call remembers what is sorted at once, as in slices.Sorted(maps.Keys(m)).
func (c *purityCheck) call(n *ast.CallExpr) {
	pkg, name := c.f.packageRef(n.Fun)
	if pkg == "slices" && strings.HasPrefix(name, "Sorted") && len(n.Args) > 0 {
		if inner, ok := n.Args[0].(*ast.CallExpr); ok {
			c.sorted[inner.Fun] = true
		}
	}
}

func (c *purityCheck) selected(n *ast.SelectorExpr) {
	pkg, name := c.f.packageRef(n)
	if !slices.Contains(impureNames()[pkg], name) || c.t.excused(c.f, n.Pos(), "allow", pkg+"."+name) {
		return
	}
	switch {
	case pkg == "time":
		c.add(n, "time."+name, "take the instant as an argument; the caller owns the clock")
	case !c.sorted[n] && !c.t.excused(c.f, n.Pos(), "order-free", ""):
		c.add(n, "maps."+name+" unsorted", "wrap it in slices.Sorted, or say in // order-free: why no order can be seen")
	}
}
