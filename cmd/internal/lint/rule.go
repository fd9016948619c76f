package lint

import (
	"fmt"
	"go/token"
)

// Rule is one house rule.
type Rule struct {
	Name  string // also the directory of its samples and the name of its subtest
	Check func(*Tree) []Finding
}

// Finding is one breach of a rule.
type Finding struct {
	Pos     token.Position // Line 0 means the whole file or directory
	What    string         // what is wrong
	Why     string         // why that is a rule here
	Instead string         // what to write in its place
}

func (f Finding) String() string {
	where := f.Pos.Filename
	if f.Pos.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, f.Pos.Line)
	}
	return fmt.Sprintf("%s: %s\n\twhy:     %s\n\tinstead: %s", where, f.What, f.Why, f.Instead)
}

// Rules returns all rules. The last one, on reasons that excuse nothing, has
// to run after the others.
func Rules() []Rule {
	return []Rule{
		{"top-level", TopLevel},
		{"packages", Packages},
		{"layers", Layers},
		{"homes", Homes},
		{"purity", Purity},
		{"sizes", Sizes},
		{"banned", Banned},
		{"automerge", Automerge},
		{"docs", Docs},
		{"skips", Skips},
		{"labels", Labels},
		{"links", Links},
		{"claims", Claims},
		{"notes", Notes},
	}
}
