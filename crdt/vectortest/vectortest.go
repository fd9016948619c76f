// Package vectortest reads and writes frozen test vectors. A vector is one case of
// a format: a text file of "key: value" lines in testdata/vectors. The first three
// are comment, kind and expect, which is "ok" or the name of an error; what follows
// is the package's. Keys may repeat; bytes are hexadecimal.
//
// A vector that was recorded is never edited. A package makes all of its vectors
// anew in a test and compares them (Reproduced), so that the code which wrote them
// still writes the same, and reads every file in another, so that it still reads
// what was written once.
package vectortest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os" //lint:allow os it is for tests, which read and add to testdata
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Dir is where the vectors of a package are.
const Dir = "testdata/vectors"

// Vector is one case. Its name is that of its file, without ".txt"; what stands
// before the first "-" in it is its kind.
type Vector struct {
	Name   string
	Fields [][2]string
}

// New begins a vector.
func New(name, comment, expect string) *Vector {
	kind, _, _ := strings.Cut(name, "-")
	v := &Vector{Name: name}
	return v.Text("comment", comment).Text("kind", kind).Text("expect", expect)
}

// Text adds a field.
func (v *Vector) Text(key, value string) *Vector {
	v.Fields = append(v.Fields, [2]string{key, value})
	return v
}

// Hex adds a field for each value.
func (v *Vector) Hex(key string, values ...[]byte) *Vector {
	for _, b := range values {
		v.Text(key, hex.EncodeToString(b))
	}
	return v
}

// Num adds a decimal field.
func (v *Vector) Num(key string, n uint64) *Vector { return v.Text(key, strconv.FormatUint(n, 10)) }

// Get returns the first field with a key, "" if there is none.
func (v *Vector) Get(key string) string {
	for _, f := range v.Fields {
		if f[0] == key {
			return f[1]
		}
	}
	return ""
}

// All returns the bytes of every field with a key.
func (v *Vector) All(t testing.TB, key string) (out [][]byte) {
	t.Helper()
	for _, f := range v.Fields {
		if f[0] != key {
			continue
		}
		b, err := hex.DecodeString(f[1])
		if err != nil {
			t.Fatalf("%s: %s: %v", v.Name, key, err)
		}
		out = append(out, b)
	}
	return out
}

// Bytes returns those of the first field with a key, nil if there is none.
func (v *Vector) Bytes(t testing.TB, key string) []byte {
	t.Helper()
	all := v.All(t, key)
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

// Number returns a decimal field, 0 if there is none.
func (v *Vector) Number(t testing.TB, key string) uint64 {
	t.Helper()
	text := v.Get(key)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %s: %v", v.Name, key, err)
	}
	return n
}

// Marshal returns the file.
func (v *Vector) Marshal() []byte {
	var out bytes.Buffer
	for _, f := range v.Fields {
		fmt.Fprintf(&out, "%s: %s\n", f[0], f[1])
	}
	return out.Bytes()
}

// Read returns the vectors of the package that is tested, of these kinds, by name.
// Without kinds it returns all.
func Read(t testing.TB, kinds ...string) (all []*Vector) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(Dir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if v := read(t, path); len(kinds) == 0 || slices.Contains(kinds, v.Get("kind")) {
			all = append(all, v)
		}
	}
	return all
}

// Try tries each vector and compares the outcome with what it expects: an error by
// its name, or none. It returns how many of each kind hold and how many are refused,
// and wants more of the latter.
func Try(t *testing.T, all []*Vector, errs map[string]error, try func(*Vector) error) (good, bad map[string]int) {
	t.Helper()
	good, bad = map[string]int{}, map[string]int{}
	held, refused := 0, 0
	for _, v := range all {
		want, known := errs[v.Get("expect")]
		if !known && v.Get("expect") != "ok" {
			t.Errorf("%s expects the unknown %q", v.Name, v.Get("expect"))
		}
		if want == nil {
			good[v.Get("kind")]++
			held++
		} else {
			bad[v.Get("kind")]++
			refused++
		}
		if err := try(v); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s (%s): got %v, want %s", v.Name, v.Get("comment"), err, v.Get("expect"))
		}
	}
	if held == 0 || refused <= held {
		t.Errorf("%d positive and %d negative vectors: some are missing", held, refused)
	}
	return good, bad
}

func read(t testing.TB, path string) *Vector {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := &Vector{Name: strings.TrimSuffix(filepath.Base(path), ".txt")}
	for line := range strings.Lines(string(raw)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok {
			t.Fatalf("%s: line without a key: %q", path, line)
		}
		v.Text(key, value)
	}
	return v
}

// Reproduced compares vectors that were made anew with those that are frozen. It
// never changes a file: with update it adds those that do not exist.
func Reproduced(t testing.TB, made []*Vector, update bool) {
	t.Helper()
	seen := map[string]bool{}
	for _, v := range made {
		if seen[v.Name] {
			t.Errorf("%s is made twice", v.Name)
		}
		seen[v.Name] = true
		path := filepath.Join(Dir, v.Name+".txt")
		frozen, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && update {
			if err := errors.Join(os.MkdirAll(Dir, 0o755), os.WriteFile(path, v.Marshal(), 0o644)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(frozen, v.Marshal()) {
			t.Errorf("%s: the code makes other bytes than the frozen ones", v.Name)
		}
	}
}
