package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/change"
)

var updateVectors = flag.Bool("update-vectors", false, "write vectors that do not exist yet")

const vectorDir = "testdata/vectors"

// vector is one frozen case: a text file of "key: value" lines. The first
// three are comment, kind and expect, which is "ok" or the name of an error.
// Then comes the frame or batch, and when it is ok, what it says.
type vector struct {
	name   string
	fields [][2]string
}

func newVector(name, comment, expect string) *vector {
	kind, _, _ := strings.Cut(name, "-")
	v := &vector{name: name}
	return v.text("comment", comment).text("kind", kind).text("expect", expect)
}

func (v *vector) text(key, value string) *vector {
	v.fields = append(v.fields, [2]string{key, value})
	return v
}

// hex adds a line with the bytes of each part, parted by spaces.
func (v *vector) hex(key string, parts ...[]byte) *vector {
	var out []string
	for _, b := range parts {
		out = append(out, hex.EncodeToString(b))
	}
	return v.text(key, strings.Join(out, " "))
}

func (v *vector) marshal() []byte {
	var out bytes.Buffer
	for _, f := range v.fields {
		fmt.Fprintf(&out, "%s: %s\n", f[0], f[1])
	}
	return out.Bytes()
}

func (v *vector) get(key string) string {
	i := slices.IndexFunc(v.fields, func(f [2]string) bool { return f[0] == key })
	if i < 0 {
		return ""
	}
	return v.fields[i][1]
}

// content is what follows the frame or batch.
func (v *vector) content() [][2]string { return v.fields[4:] }

func readVector(t testing.TB, path string) *vector {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := &vector{name: strings.TrimSuffix(filepath.Base(path), ".txt")}
	for line := range strings.Lines(string(raw)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok {
			t.Fatalf("%s: line without a key: %q", path, line)
		}
		v.text(key, value)
	}
	if len(v.fields) < 4 {
		t.Fatalf("%s: %d lines", path, len(v.fields))
	}
	return v
}

// describe adds what a message says.
func (v *vector) describe(m Message) *vector {
	switch m := m.(type) {
	case *Hello:
		v.hex("instance", m.Instance[:]).hex("digest", m.Digest[:]).text("backlog", fmt.Sprint(m.Backlog))
	case *Frontier:
		v.hex("members", m.Members[:])
		for _, e := range m.Entries {
			v.text("entry", fmt.Sprintf("%x %d %x", e.Writer, e.Seq, e.Head))
		}
	case *Members:
		for _, op := range m.Ops {
			v.hex("operation", op)
		}
	case *Envelope:
		v.hex("envelope", m.Raw)
	case *Ack:
		for _, e := range m.Entries {
			v.text("entry", fmt.Sprintf("%x %d", e.Writer, e.Seq))
		}
	case *Compare:
		v.hex("nonce", m.Nonce[:])
	case *Compared:
		v.hex("nonce", m.Nonce[:]).hex("digest", m.Digest[:]).hex("fingerprint", m.Fingerprint[:])
	}
	return v
}

// describeBatch adds what a batch says: the kind and entity of documents, the
// index and bytes of changes.
func (v *vector) describeBatch(b *Batch) *vector {
	for _, d := range b.Docs {
		v.text("document", fmt.Sprintf("%d %x", d.Kind, d.Entity))
	}
	for _, c := range b.Changes {
		v.text("change", fmt.Sprintf("%d %x", c.Doc, c.Raw))
	}
	return v
}

func vectorErrors() map[string]error {
	return map[string]error{
		"ok": nil, "ErrMalformed": ErrMalformed, "ErrUnsupported": ErrUnsupported, "ErrUnexpectedEOF": io.ErrUnexpectedEOF,
	}
}

func TestVectors(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(vectorDir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	good, bad := map[string]int{}, map[string]int{}
	for _, path := range paths {
		v := readVector(t, path)
		kind := v.get("kind")
		want, known := vectorErrors()[v.get("expect")]
		if !known {
			t.Errorf("%s expects the unknown %q", v.name, v.get("expect"))
		}
		if want == nil {
			good[kind]++
		} else {
			bad[kind]++
		}
		try := tryFrame
		if kind == "batch" {
			try = tryBatch
		}
		wantError(t, v.name+" ("+v.get("comment")+")", try(t, v), want)
	}
	for _, kind := range []string{"hello", "frontier", "members", "envelope", "ack", "compare", "compared", "batch"} {
		if good[kind] < 1 || bad[kind] <= good[kind] {
			t.Errorf("%s: %d positive and %d negative vectors: some are missing", kind, good[kind], bad[kind])
		}
	}
}

func tryFrame(t *testing.T, v *vector) error {
	raw := unhex(t, v.get("frame"))
	m, err := readOne(raw)
	if err != nil {
		return err
	}
	if again := frameOf(t, m); !bytes.Equal(again, raw) {
		return fmt.Errorf("encoded again as %x", again)
	}
	if kind := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", m), "*wire.")); kind != v.get("kind") {
		return fmt.Errorf("it is a %s", kind)
	}
	return sameContent(v, new(vector).describe(m))
}

func tryBatch(t *testing.T, v *vector) error {
	raw := unhex(t, v.get("batch"))
	b, err := DecodeBatch(change.Context{}, raw)
	if err != nil {
		return err
	}
	if again := append([]byte{codecPlain}, plainOf(t, b)...); raw[0] == codecPlain && !bytes.Equal(again, raw) {
		return fmt.Errorf("encoded again as %x", again)
	}
	return sameContent(v, new(vector).describeBatch(b))
}

func sameContent(v, got *vector) error {
	if !slices.Equal(got.fields, v.content()) {
		return errors.New("it says something else:\n" + string(got.marshal()))
	}
	return nil
}

// TestVectorsAreReproduced makes every vector anew. It never changes a file:
// with -update-vectors it adds those that do not exist.
func TestVectorsAreReproduced(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range makeVectors(t) {
		if seen[v.name] {
			t.Errorf("%s is made twice", v.name)
		}
		seen[v.name] = true
		path := filepath.Join(vectorDir, v.name+".txt")
		frozen, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) && *updateVectors {
			if err := errors.Join(os.MkdirAll(vectorDir, 0o755), os.WriteFile(path, v.marshal(), 0o644)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(frozen, v.marshal()) {
			t.Errorf("%s: the code makes other bytes than the frozen ones", v.name)
		}
	}
	paths, err := filepath.Glob(filepath.Join(vectorDir, "*"))
	if err != nil || len(paths) != len(seen) {
		t.Errorf("%d files, %d are made: %v", len(paths), len(seen), err)
	}
}
