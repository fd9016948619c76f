package lint

import (
	"go/token"
	"io/fs"
	"slices"
	"strings"
)

// topLevel is everything that may stand in the root directory.
func topLevel() []string {
	return []string{
		"crdt", "encryption", "replica", "p2p", "cmd", "bench",
		"go.mod", "go.sum", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "RELIABILITY.md",
		".ci", ".github", ".git", ".gitattributes", ".gitignore",
	}
}

// TopLevel checks the root directory. What .gitignore names with a leading
// slash, such as a built binary, is not looked at.
func TopLevel(t *Tree) []Finding {
	entries, err := fs.ReadDir(t.fsys, ".")
	if err != nil {
		return []Finding{{token.Position{Filename: "."}, err.Error(), "the root must be readable", "make it readable"}}
	}
	allowed := append(topLevel(), ignoredAtRoot(t)...)
	var out []Finding
	for _, e := range entries {
		if !slices.Contains(allowed, e.Name()) {
			out = append(out, Finding{token.Position{Filename: e.Name()}, "not a top-level entry of this repository",
				"the root is the table of contents; every entry there is one layer or one document that a stranger reads first",
				"hang an internal package under its owner, and put a specification beside the code that implements it"})
		}
	}
	return out
}

func ignoredAtRoot(t *Tree) []string {
	src, err := fs.ReadFile(t.fsys, ".gitignore")
	if err != nil {
		return nil
	}
	var names []string
	for line := range strings.Lines(string(src)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "/"); ok {
			names = append(names, strings.Trim(name, "/"))
		}
	}
	return names
}
