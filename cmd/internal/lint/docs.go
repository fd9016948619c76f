package lint

import (
	"go/ast"
	"slices"
	"strings"
)

// Docs checks that every exported name has a comment. Methods that a
// well-known interface of the standard library defines need none, nor do the
// members of a const or var group that has one.
func Docs(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if f.Test || f.Generated {
			continue
		}
		for _, d := range f.AST.Decls {
			for _, name := range undocumented(d) {
				out = append(out, Finding{t.pos(name.Pos()), "exported " + name.Name + " has no comment",
					"the comment is the contract: units, who owns the bytes, which errors, from which goroutine",
					"write what a caller must know, beginning with the name; or do not export it"})
			}
		}
	}
	return out
}

func undocumented(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && !(d.Recv != nil && wellKnown(d.Name.Name)) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		if d.Doc == nil || d.Lparen == 0 {
			return undocumentedSpecs(d)
		}
		return undocumentedTypes(d)
	}
	return nil
}

func undocumentedSpecs(d *ast.GenDecl) []*ast.Ident {
	if d.Doc != nil {
		return nil
	}
	out := undocumentedTypes(d)
	for _, s := range d.Specs {
		if v, ok := s.(*ast.ValueSpec); ok && v.Doc == nil && v.Comment == nil {
			out = append(out, exported(v.Names)...)
		}
	}
	return out
}

// undocumentedTypes looks at the types of a group, which each need a comment.
func undocumentedTypes(d *ast.GenDecl) []*ast.Ident {
	var out []*ast.Ident
	for _, s := range d.Specs {
		if ts, ok := s.(*ast.TypeSpec); ok && ts.Doc == nil && ts.Comment == nil {
			out = append(out, exported([]*ast.Ident{ts.Name})...)
		}
	}
	return out
}

func exported(names []*ast.Ident) []*ast.Ident {
	return slices.DeleteFunc(slices.Clone(names), func(id *ast.Ident) bool { return !id.IsExported() })
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// wellKnown names methods whose contract is that of fmt, errors, encoding,
// sort, heap or slog.
func wellKnown(method string) bool {
	return strings.HasPrefix(method, "Marshal") || strings.HasPrefix(method, "Unmarshal") || slices.Contains([]string{"String", "GoString", "Format", "Error", "Unwrap", "Is", "LogValue",
		"Len", "Less", "Swap", "Push", "Pop"}, method)
}
