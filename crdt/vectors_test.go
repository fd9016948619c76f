package crdt

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// vector is one file of testdata/vectors: a line that says what it pins, then
// fields, some of them repeated. A vector that fails means that this version
// would not agree with replicas of an earlier one. SPEC.md has the format.
type vector map[string][]string

func (v vector) one(name string) string {
	if len(v[name]) == 0 {
		return ""
	}
	return v[name][0]
}

func (v vector) bytes(t *testing.T, name string) []byte {
	t.Helper()
	b, err := hex.DecodeString(v.one(name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

func (v vector) uint(t *testing.T, name string) uint64 {
	t.Helper()
	return parseUint(t, v.one(name))
}

func parseUint(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func readVector(t *testing.T, path string) vector {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := vector{}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok {
			t.Fatalf("%s: %q is no field", path, line)
		}
		v[name] = append(v[name], value)
	}
	return v
}

func TestVectors(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("testdata", "vectors", "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	checks := map[string]func(*testing.T, vector){
		"entry": checkEntry, "refused": checkRefused, "join": checkJoin, "order": checkOrder,
		"document": nil, // package account checks these
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			v := readVector(t, path)
			check, known := checks[v.one("case")]
			if !known {
				t.Fatalf("no case %q", v.one("case"))
			}
			if check != nil {
				check(t, v)
			}
		})
	}
}

func checkEntry(t *testing.T, v vector) {
	k, ok := parseKey(v.one("key"))
	if !ok || k.field != v.one("field") || k.element != v.one("element") || k.writer.hex() != v.one("writer") {
		t.Fatalf("the key reads as %+v", k)
	}
	if k.String() != v.one("key") {
		t.Errorf("the key is written as %q", k)
	}
	e, ok := decodeEntry(k.writer, v.bytes(t, "value"))
	if !ok {
		t.Fatal("the value is not read")
	}
	if uint64(e.Stamp) != v.uint(t, "stamp") || e.N != v.uint(t, "n") || hex.EncodeToString(e.Payload) != v.one("payload") || hex.EncodeToString(e.Context) != v.one("context") {
		t.Errorf("the value reads as %+v", e)
	}
	for _, line := range v["seen"] {
		w, n, _ := strings.Cut(line, " ")
		id, err := hex.DecodeString(w)
		if err != nil || e.Seen[Writer(id)] != parseUint(t, n) {
			t.Errorf("seen reads as %v", e.Seen)
		}
	}
	if len(e.Seen) != len(v["seen"]) {
		t.Errorf("seen reads as %v", e.Seen)
	}
	if b, err := e.encode(); err != nil || hex.EncodeToString(b) != v.one("value") {
		t.Errorf("it is written as %x, %v", b, err)
	}
}

func checkRefused(t *testing.T, v vector) {
	if e, ok := decodeEntry(Writer{1}, v.bytes(t, "value")); ok {
		t.Errorf("it reads as %+v", e)
	}
}

func checkJoin(t *testing.T, v vector) {
	var register []Entry
	for _, line := range v["entry"] {
		register = append(register, parseEntryLine(t, line))
	}
	stringOf := func(n int64, ok bool) string {
		if !ok {
			return "none"
		}
		return fmt.Sprint(n)
	}
	var got string
	switch v.one("type") {
	case "StampRegister":
		n, _, ok := StampRegister[int64]{}.Join(register)
		got = stringOf(n, ok)
	case "AddWinsSet":
		n, _, ok := AddWinsSet[int64]{}.Join(register)
		got = stringOf(n, ok)
	case "MaxRegister":
		got = stringOf(MaxRegister[int64]{Compare: cmp.Compare[int64]}.Join(register))
	case "MinRegister":
		got = stringOf(MinRegister[int64]{Compare: cmp.Compare[int64]}.Join(register))
	case "EnableWinsFlag":
		got = fmt.Sprint(EnableWinsFlag{}.Join(register))
	case "GrowOnlySet":
		got = fmt.Sprint(GrowOnlySet{}.Join(register))
	}
	if got != v.one("result") {
		t.Errorf("the join is %q, want %q", got, v.one("result"))
	}
}

// parseEntryLine reads "writer n stamp payload writer=n …", writers as the
// first byte in hexadecimal.
func parseEntryLine(t *testing.T, line string) Entry {
	t.Helper()
	f := strings.Fields(line)
	e := Entry{Writer: shortWriter(t, f[0]), N: parseUint(t, f[1]), Stamp: Stamp(parseUint(t, f[2])), Payload: vector{"p": f[3:4]}.bytes(t, "p")}
	for _, s := range f[4:] {
		w, n, _ := strings.Cut(s, "=")
		if e.Seen == nil {
			e.Seen = Vector{}
		}
		e.Seen[shortWriter(t, w)] = parseUint(t, n)
	}
	return e
}

func shortWriter(t *testing.T, s string) Writer {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 1 {
		t.Fatalf("writer %q: %v", s, err)
	}
	return Writer{b[0]}
}

func checkOrder(t *testing.T, v vector) {
	if got := Between(v.one("after"), v.one("before"), Writer(v.bytes(t, "writer"))); got != v.one("order") {
		t.Errorf("the order is %q, want %q", got, v.one("order"))
	}
}
