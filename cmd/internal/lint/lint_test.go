package lint

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "record new vectors in "+VectorSums)

// TestRules holds the repository to its rules.
func TestRules(t *testing.T) {
	tree := loadRepository(t)
	for _, rule := range Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			for _, f := range rule.Check(tree) {
				t.Error(f)
			}
		})
	}
}

// TestVectors holds the frozen vectors to their recorded sums, or with
// -update records those that are new.
func TestVectors(t *testing.T) {
	tree := loadRepository(t)
	if *update {
		sums, err := UpdatedSums(tree)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root(t), VectorSums), sums, 0o666); err != nil {
			t.Fatal(err)
		}
		tree = loadRepository(t)
	}
	for _, f := range Vectors(tree) {
		t.Error(f)
	}
}

// TestLengths prints how long functions are; -v shows it.
func TestLengths(t *testing.T) {
	n := Lengths(loadRepository(t))
	at := func(percent int) int { return n[(len(n)-1)*percent/100] }
	t.Logf("%d functions; lines: p50 %d, p95 %d, longest %d", len(n), at(50), at(95), at(100))
	if at(95) > 50 {
		t.Errorf("5 %% of the functions are longer than %d lines\n\twhy:     the tail is what sets code that is easy to change apart from code that is not\n\tinstead: split the longest until the p95 is at most 50", at(95))
	}
}

func loadRepository(t *testing.T) *Tree {
	t.Helper()
	return load(t, os.DirFS(root(t)))
}

func load(t *testing.T, fsys fs.FS) *Tree {
	t.Helper()
	tree, err := Load(fsys, NewStd())
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// root returns the directory that holds go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}
