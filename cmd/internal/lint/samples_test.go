package lint

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// samples are bad (and a few good) modules, one archive each, in a directory
// named after the rule that judges them. The comment of an archive lists the
// findings that are due, one a line: file, line number if there is one, and
// the beginning of what is wrong.
const samples = "testdata/samples"

func TestSamples(t *testing.T) {
	std := NewStd()
	for _, rule := range append(Rules(), Rule{"vectors", Vectors}) {
		t.Run(rule.Name, func(t *testing.T) {
			refused := false
			for _, file := range sampleFiles(t, rule.Name) {
				t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
					refused = judge(t, std, rule, file) || refused
				})
			}
			if !refused {
				t.Errorf("no sample in %s/%s that the rule refuses", samples, rule.Name)
			}
		})
	}
}

func sampleFiles(t *testing.T, rule string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(samples, rule, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// judge runs the rule over the sample, after all others where it looks at
// what they used, and says whether it found anything.
func judge(t *testing.T, std *Std, rule Rule, file string) bool {
	t.Helper()
	fsys, want := readSample(t, file)
	tree, err := Load(fsys, std)
	if err != nil {
		t.Fatal(err)
	}
	if rule.Name == "notes" {
		for _, other := range Rules()[:len(Rules())-1] {
			other.Check(tree)
		}
	}
	found := rule.Check(tree)
	for _, f := range found {
		if f.Why == "" || f.Instead == "" {
			t.Errorf("finding does not teach: %s", f)
		}
		i := slices.IndexFunc(want, func(w string) bool { return strings.HasPrefix(place(f)+f.What, w) })
		if i < 0 {
			t.Errorf("not expected: %s", f)
			continue
		}
		want = slices.Delete(want, i, i+1)
	}
	for _, w := range want {
		t.Errorf("not found: %s", w)
	}
	return len(found) > 0
}

func place(f Finding) string {
	if f.Pos.Line == 0 {
		return f.Pos.Filename + ": "
	}
	return fmt.Sprintf("%s:%d: ", f.Pos.Filename, f.Pos.Line)
}

// readSample returns the module in the archive and the findings that are due.
// What every module has is added where the archive leaves it out.
func readSample(t *testing.T, file string) (fs.FS, []string) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"go.mod":   "module github.com/starling-sync/starling\n",
		VectorSums: "",
	} {
		if !slices.ContainsFunc(archive.Files, func(f txtar.File) bool { return f.Name == name }) {
			archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(content)})
		}
	}
	fsys, err := txtar.FS(archive)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for l := range strings.Lines(string(archive.Comment)) {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "# ") {
			want = append(want, l)
		}
	}
	return fsys, want
}

// TestSamplesBelongToRules finds a sample that no rule judges.
func TestSamplesBelongToRules(t *testing.T) {
	dirs, err := os.ReadDir(samples)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		known := d.Name() == "vectors" || slices.ContainsFunc(Rules(), func(r Rule) bool { return r.Name == d.Name() })
		if !known {
			t.Errorf("%s: no rule of that name", path.Join(samples, d.Name()))
		}
	}
}

// TestUpdateAddsButNeverChanges shows what -update does with the manifest.
func TestUpdateAddsButNeverChanges(t *testing.T) {
	edited, _ := readSample(t, samples+"/vectors/edited.txtar")
	if sums, err := UpdatedSums(load(t, edited)); err == nil {
		t.Errorf("recorded over an edited vector:\n%s", sums)
	}
	added, _ := readSample(t, samples+"/vectors/added.txtar")
	sums, err := UpdatedSums(load(t, added))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(sums), "\n"); got != 2 {
		t.Errorf("%d lines after adding one to one:\n%s", got, sums)
	}
}
