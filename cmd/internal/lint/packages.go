package lint

import (
	"fmt"
	"go/token"
	"path"
	"slices"
	"strings"
)

// Packages checks that each package has exactly one package comment and a
// name that says something.
func Packages(t *Tree) []Finding {
	var out []Finding
	for _, p := range t.packages() {
		if strings.HasPrefix(p.Dir, ".") && p.Dir != "." || len(p.sources()) == 0 {
			continue
		}
		out = append(out, packageName(p)...)
		out = append(out, packageComment(t, p)...)
	}
	return out
}

func packageName(p *pkg) []Finding {
	vague := []string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "base", "lib"}
	if !slices.Contains(vague, path.Base(p.Dir)) {
		return nil
	}
	return []Finding{{token.Position{Filename: p.Dir}, "package named " + path.Base(p.Dir),
		"a name that excludes nothing collects everything, and soon every package imports it",
		"name it after what it provides, or move each function next to its one caller"}}
}

func packageComment(t *Tree, p *pkg) []Finding {
	const why = "the package comment is where a reader gets the model: what it is, the nouns and how they relate, what stays compatible"
	var found []*File
	for _, f := range p.Files {
		if f.AST.Doc != nil {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return []Finding{{token.Position{Filename: p.Dir}, "package without a package comment", why,
			"write it above the package clause of doc.go, or of the one file that is the heart of the package"}}
	}
	var out []Finding
	for _, f := range found[1:] {
		out = append(out, Finding{t.pos(f.AST.Doc.Pos()), fmt.Sprintf("second package comment; the first is in %s", found[0].Path),
			why + "; two of them drift apart",
			"merge the two, or put an empty line between a comment about this file and the package clause"})
	}
	want := "Package " + found[0].AST.Name.Name + " "
	if found[0].AST.Name.Name == "main" {
		want = strings.ToUpper(path.Base(p.Dir)[:1]) + path.Base(p.Dir)[1:] + " "
	}
	if text := found[0].AST.Doc.Text(); !strings.HasPrefix(text, want) {
		out = append(out, Finding{t.pos(found[0].AST.Doc.Pos()), "package comment does not begin with " + strings.TrimSpace(want),
			"go doc and pkg.go.dev show its first sentence in lists", fmt.Sprintf("begin with %q", want+"…")})
	}
	return out
}
