package crdt

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/starling-sync/starling/crdt/change"
)

// The oracle is the JavaScript Automerge, another build of another version,
// as a judge from outside: it must read what this package writes and the other
// way round, with the same heads.
//
// It needs node. If STARLING_ORACLE_NODE_MODULES names a node_modules
// directory with the version that testdata/oracle/package.json pins, that is
// used; otherwise `npm ci` installs it into the user's cache directory, once,
// which needs npm and the registry. What is missing skips the test, saying so.
const oracleModules = "STARLING_ORACLE_NODE_MODULES"

// oracle returns a directory with the scripts next to their node_modules.
func oracle(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skipf("no oracle: %v", err)
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "read.mjs", "write.mjs"} {
		b, err := os.ReadFile(filepath.Join("testdata", "oracle", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	modules := os.Getenv(oracleModules)
	if modules == "" {
		modules = install(t, dir)
	}
	checkPinned(t, modules)
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// checkPinned fails if the modules are not the version that is pinned.
func checkPinned(t *testing.T, modules string) {
	t.Helper()
	var pinned struct{ Dependencies map[string]string }
	var installed struct{ Version string }
	for path, v := range map[string]any{
		filepath.Join("testdata", "oracle", "package.json"):               &pinned,
		filepath.Join(modules, "@automerge", "automerge", "package.json"): &installed,
	} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if want := pinned.Dependencies["@automerge/automerge"]; want == "" || installed.Version != want {
		t.Fatalf("%s has @automerge/automerge %s, want %s", modules, installed.Version, want)
	}
}

// oracleLimit bounds a run of npm or node, which may wait for a network.
const oracleLimit = 2 * time.Minute

// command returns a command that is killed at oracleLimit.
func command(t *testing.T, dir, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), oracleLimit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	return cmd
}

// install runs npm ci in the user's cache directory unless it was done before.
func install(t *testing.T, from string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no oracle: %s is not set, and there is no cache directory: %v", oracleModules, err)
	}
	lock, err := os.ReadFile(filepath.Join(from, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "starling", "oracle")
	modules := filepath.Join(dir, "node_modules")
	installed, err := os.ReadFile(filepath.Join(dir, "done"))
	if err == nil && bytes.Equal(installed, lock) {
		return modules
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	npm := command(t, dir, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	if out, err := npm.CombinedOutput(); err != nil {
		t.Skipf("no oracle: %s is not set and npm ci: %v\n%s", oracleModules, err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "done"), lock, 0o600); err != nil {
		t.Fatal(err)
	}
	return modules
}

// ask runs a script over questions, one a line, and decodes its answers.
func ask[A any](t *testing.T, dir, script string, questions ...any) []A {
	t.Helper()
	var in, stderr bytes.Buffer
	for _, q := range questions {
		if err := json.NewEncoder(&in).Encode(q); err != nil {
			t.Fatal(err)
		}
	}
	node := command(t, dir, "node", script)
	node.Stdin, node.Stderr = &in, &stderr
	out, err := node.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, stderr.String())
	}
	answers := make([]A, len(questions))
	d := json.NewDecoder(bytes.NewReader(out))
	for i := range answers {
		if err := d.Decode(&answers[i]); err != nil {
			t.Fatalf("%s: answer %d: %v", script, i, err)
		}
	}
	return answers
}

type oracleCell struct {
	Bytes   []byte `json:"bytes,omitempty"`
	Counter *int64 `json:"counter,omitempty"`
	Text    string `json:"text,omitempty"`
	At      int    `json:"at"`
	Remove  int    `json:"remove"`
}

type oracleView struct {
	Heads []string              `json:"heads"`
	Cells map[string]oracleCell `json:"cells"`
}

// cellsOf is what the oracle should see of a document.
func cellsOf(t *testing.T, d *Document) map[string]oracleCell {
	t.Helper()
	cells := map[string]oracleCell{}
	for field, elements := range d.content.registers {
		for element, register := range elements {
			for i := range register {
				b, err := register[i].encode()
				if err != nil {
					t.Fatal(err)
				}
				cells[key{field, element, register[i].Writer}.String()] = oracleCell{Bytes: b}
			}
		}
	}
	for field, texts := range d.content.texts {
		for id, s := range texts {
			cells[key{field, id.Element, id.Creator}.String()] = oracleCell{Text: s}
		}
	}
	for field, elements := range d.content.counters {
		for element, counts := range elements {
			for w, n := range counts {
				cells[key{field, element, w}.String()] = oracleCell{Counter: &n}
			}
		}
	}
	return cells
}

// TestOracleReads has two writers make a document with everything in it, and
// the oracle read it as a document and as single changes.
func TestOracleReads(t *testing.T) {
	dir := oracle(t)
	a, b := newDocument(t, 1), newDocument(t, 2)
	var log []*Change
	for i := range 40 {
		d, other := a, b
		if i%3 == 1 {
			d, other = b, a
		}
		c := write(t, d, int64(i)*1_000_000, func(e *Edit) error { return everything(e, i) })
		log = append(log, c)
		if i%5 != 0 {
			continue
		}
		for _, c := range log { // they meet
			apply(t, other, c)
			apply(t, d, c)
		}
	}
	for _, c := range log {
		apply(t, a, c)
		apply(t, b, c)
	}
	saved, err := a.Save()
	if err != nil {
		t.Fatal(err)
	}
	var raw [][]byte
	for _, c := range log {
		raw = append(raw, c.Raw)
	}
	answers := ask[oracleView](t, dir, "read.mjs", map[string]any{"saved": saved}, map[string]any{"changes": raw})
	for i, got := range answers {
		if want := hexHeads(b); !slices.Equal(got.Heads, want) {
			t.Errorf("answer %d: heads %v, want %v", i, got.Heads, want)
		}
		if got, want := mustJSON(t, got.Cells), mustJSON(t, cellsOf(t, b)); got != want {
			t.Errorf("answer %d:\n%s\nwant\n%s", i, got, want)
		}
	}
}

func everything(e *Edit, i int) error {
	s := fmt.Sprintf("text %d 🙃", i)
	for _, err := range []error{
		name.Set(e, "", s), mark.Raise(e, "", int64(i)), tags.Add(e, s, s), tags.Remove(e, "text 3 🙃"),
		hits.Add(e, "", int64(1-i)), flag.Raise(e, ""), flag.Lower(e, ""), typeNote(e, s),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func hexHeads(d *Document) (heads []string) {
	for _, h := range d.Heads() {
		heads = append(heads, h.String())
	}
	return heads
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestOracleWrites has the oracle make a document of two writers' cells, and
// this package take it in as a document and change by change.
func TestOracleWrites(t *testing.T) {
	dir := oracle(t)
	w1, w2 := Writer{0x11, 1}, Writer{0x22, 2}
	entry := func(n uint64, payload string) oracleCell {
		e := Entry{Stamp: StampOf(int64(n)), N: n, Payload: must(encoder.Marshal(payload))}
		return oracleCell{Bytes: must(e.encode())}
	}
	note, hit := key{"note", "1", w1}.String(), key{"hits", "", w1}.String()
	type turn struct {
		Actor string                `json:"actor"`
		Cells map[string]oracleCell `json:"cells"`
	}
	turns := []turn{
		{w1.hex(), map[string]oracleCell{"name/" + w1.String(): entry(1, "first"), note: {Text: "abc"}, hit: {Counter: new(int64(5))}}},
		{w2.hex(), map[string]oracleCell{"name/" + w2.String(): entry(2, "second"), note: {At: 1, Remove: 1, Text: "🙃"}}},
		{w1.hex(), map[string]oracleCell{hit: {Counter: new(int64(-7))}}},
	}
	got := ask[struct {
		Heads   []string
		Saved   string
		Changes []string
	}](t, dir, "write.mjs", map[string]any{"turns": turns})[0]

	loaded, err := LoadDocument(unbase64(t, got.Saved), Writer{9})
	if err != nil {
		t.Fatal(err)
	}
	applied := newDocument(t, 9)
	for _, raw := range got.Changes {
		c, err := change.Parse(unbase64(t, raw))
		if err != nil {
			t.Fatal(err)
		}
		apply(t, applied, &c)
	}
	for _, d := range []*Document{loaded, applied} {
		if !slices.Equal(hexHeads(d), got.Heads) {
			t.Errorf("heads %v, want %v", hexHeads(d), got.Heads)
		}
		v, _ := name.Get(d, "")
		text, _ := notes.Get(d, TextID{"1", w1})
		if v != "second" || text != "a🙃c" || hits.Get(d, "") != -2 || !utf8.ValidString(text) {
			t.Errorf("%s", show(d))
		}
	}
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
