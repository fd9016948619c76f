package encryption

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// declaredLabels reads every constant of labels.go, so that a new label cannot
// be left out of the checks.
func declaredLabels(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "labels.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found[spec.Names[0].Name] = text
		return true
	})
	return found
}

func TestLabelsAreDistinctAndWellFormed(t *testing.T) {
	form := regexp.MustCompile(`^starling/[a-z0-9-]+/v[0-9]+$`)
	seen := map[string]string{}
	all := declaredLabels(t)
	if len(all) < 30 {
		t.Fatalf("only %d labels found in labels.go: the test reads the file wrongly", len(all))
	}
	for name, text := range all {
		if other, dup := seen[text]; dup {
			t.Errorf("%s and %s are both %q: one use would be accepted for the other", name, other, text)
		}
		seen[text] = name
		if !form.MatchString(text) {
			t.Errorf("%s = %q is not of the form starling/<purpose>/v<n>", name, text)
		}
	}
}

// TestLabelsStandInOneFile finds labels that were written in place.
func TestLabelsStandInOneFile(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if name == "labels.go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(src), `"starling/`) {
			t.Errorf("%s spells a label in place: declare it in labels.go", name)
		}
	}
}

func TestLabelMessageSeparatesLabelAndBody(t *testing.T) {
	a := label("starling/x/v1").message([]byte("y"))
	if string(a) != "starling/x/v1\x00y" {
		t.Fatalf("message = %q", a)
	}
}
