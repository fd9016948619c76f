package lint

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/token"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// VectorSums is the manifest of frozen vectors: one line for each file below
// any testdata/vectors, sorted by path, as sha256sum prints it.
const VectorSums = "cmd/internal/lint/testdata/vectors.sum"

const (
	whyFrozen = "bytes that a released version wrote must be readable forever; a vector that follows the code proves nothing"
	howToAdd  = "record it: go test ./cmd/internal/lint -run Vectors -update"
)

// Vectors checks every file below a testdata/vectors directory against the
// manifest. Files may be added, with one command; an edit or a deletion fails.
func Vectors(t *Tree) []Finding {
	recorded, err := t.recordedSums()
	if err != nil {
		return []Finding{{token.Position{Filename: VectorSums}, err.Error(), whyFrozen, "restore it from git"}}
	}
	actual := t.actualSums()
	var out []Finding
	for _, p := range slices.Sorted(maps.Keys(actual)) {
		if _, ok := recorded[p]; !ok {
			out = append(out, Finding{token.Position{Filename: p}, "vector is not recorded", whyFrozen, howToAdd})
		}
	}
	return append(out, tampered(recorded, actual)...)
}

// tampered lists recorded vectors that were edited or deleted.
func tampered(recorded, actual map[string]string) []Finding {
	var out []Finding
	for _, p := range slices.Sorted(maps.Keys(recorded)) {
		what := "frozen vector was edited"
		sum, ok := actual[p]
		if sum == recorded[p] {
			continue
		}
		if !ok {
			what = "frozen vector was deleted"
		}
		out = append(out, Finding{token.Position{Filename: p}, what, whyFrozen,
			"restore it; a new format gets a new version byte and new vectors beside the old ones"})
	}
	return out
}

// UpdatedSums returns the manifest with a line for every new vector. It
// refuses while a recorded one was edited or deleted.
func UpdatedSums(t *Tree) ([]byte, error) {
	recorded, err := t.recordedSums()
	if err != nil {
		return nil, err
	}
	actual := t.actualSums()
	if bad := tampered(recorded, actual); len(bad) > 0 {
		return nil, fmt.Errorf("update vector sums: %s", bad[0])
	}
	var b bytes.Buffer
	for _, p := range slices.Sorted(maps.Keys(actual)) {
		fmt.Fprintf(&b, "%s  %s\n", actual[p], p)
	}
	return b.Bytes(), nil
}

func (t *Tree) recordedSums() (map[string]string, error) {
	src, err := fs.ReadFile(t.fsys, VectorSums)
	if err != nil {
		return nil, err
	}
	sums := map[string]string{}
	for s := bufio.NewScanner(bytes.NewReader(src)); s.Scan(); {
		sum, p, ok := strings.Cut(s.Text(), "  ")
		if _, err := hex.DecodeString(sum); !ok || err != nil || len(sum) != 2*sha256.Size {
			return nil, fmt.Errorf("line is not a sum, two spaces and a path: %q", s.Text())
		}
		sums[p] = sum
	}
	return sums, nil
}

func (t *Tree) actualSums() map[string]string {
	sums := map[string]string{}
	for _, p := range t.Paths {
		if !strings.Contains("/"+p, "/testdata/vectors/") {
			continue
		}
		if src, err := fs.ReadFile(t.fsys, p); err == nil { // one that vanished since the walk counts as deleted
			sum := sha256.Sum256(src)
			sums[p] = hex.EncodeToString(sum[:])
		}
	}
	return sums
}
