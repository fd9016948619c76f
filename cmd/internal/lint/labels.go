package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
)

var labelPattern = regexp.MustCompile(`^starling/[a-z0-9/-]+/v[0-9]+$`)

// Labels checks that each domain-separation label, "starling/<purpose>/v1",
// is written once in the whole module.
func Labels(t *Tree) []Finding {
	var out []Finding
	first := map[string]token.Position{}
	for _, f := range t.Files {
		if f.Test || under(f.Dir(), "cmd/internal/lint") {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			label, err := strconv.Unquote(lit.Value)
			if err != nil || !labelPattern.MatchString(label) {
				return true
			}
			if at, ok := first[label]; ok {
				out = append(out, Finding{t.pos(lit.Pos()), fmt.Sprintf("label %s is already used at %s:%d", label, at.Filename, at.Line),
					"a label tells two uses of one key apart; a signature made for one purpose would be valid for the other",
					"give this use its own label, or refer to the one constant"})
			} else {
				first[label] = t.pos(lit.Pos())
			}
			return true
		})
	}
	return out
}
