package change

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// spec is a change to be written, correct or not.
type spec struct {
	deps    [][]byte
	actor   []byte
	seq     []byte
	start   []byte
	time    []byte
	message []byte
	others  [][]byte
	columns [][3]any // specification, announced length, data
	extra   []byte
}

func valid() spec {
	return spec{
		deps:    [][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)},
		actor:   bytes.Repeat([]byte{7}, 16),
		seq:     []byte{3},
		start:   []byte{0x80, 0x01},
		time:    []byte{0x7f},
		others:  [][]byte{bytes.Repeat([]byte{3}, 16), bytes.Repeat([]byte{9}, 16)},
		columns: columnsOf(validOps()...),
	}
}

var (
	self  = [ActorSize]byte(bytes.Repeat([]byte{7}, 16))
	third = [ActorSize]byte(bytes.Repeat([]byte{3}, 16))
	ninth = [ActorSize]byte(bytes.Repeat([]byte{9}, 16))
)

// validOps has every form of operation.
func validOps() []Op {
	text := OpID{130, self}
	return numbered(
		Op{Key: "a", Action: Set, Type: Bytes, Value: []byte("xy"), Pred: []OpID{{5, third}, {5, ninth}}},
		Op{Key: "n", Action: Increment, Type: Int, Value: []byte{0x7f}, Pred: []OpID{{4, self}}},
		Op{Key: "t", Action: MakeText},
		Op{Obj: text, Insert: true, Action: Set, Type: Text, Value: []byte("h")},
		Op{Obj: text, Elem: OpID{131, self}, Insert: true, Action: Set, Type: Text, Value: []byte("é")},
		Op{Obj: text, Elem: OpID{131, self}, Action: Delete, Pred: []OpID{{131, self}}},
		Op{Key: "a", Action: Delete, Pred: []OpID{{128, self}}},
		Op{Key: "c", Action: Set, Type: Counter, Value: []byte{1}},
	)
}

// numbered gives operations the ids that they have in valid.
func numbered(ops ...Op) []Op {
	for i := range ops {
		ops[i].ID = OpID{128 + uint64(i), self}
	}
	return ops
}

// columnsOf writes operations of valid, correct or not.
func columnsOf(ops ...Op) (all [][3]any) {
	w := newOpWriter()
	w.begin(&Change{Actor: self, Actors: [][ActorSize]byte{third, ninth}})
	for i := range ops {
		w.op(&ops[i])
	}
	for i, c := range w.finish() {
		if len(c) > 0 {
			all = append(all, [3]any{int(specs[i]), len(c), string(c)})
		}
	}
	return all
}

func lengthed(out, b []byte) []byte { return append(appendUint(out, uint64(len(b))), b...) }

func (s spec) body() []byte {
	b := appendUint(nil, uint64(len(s.deps)))
	for _, d := range s.deps {
		b = append(b, d...)
	}
	b = lengthed(b, s.actor)
	b = slices.Concat(b, s.seq, s.start, s.time)
	b = lengthed(b, s.message)
	b = appendUint(b, uint64(len(s.others)))
	for _, o := range s.others {
		b = lengthed(b, o)
	}
	b = appendUint(b, uint64(len(s.columns)))
	for _, c := range s.columns {
		b = appendUint(appendUint(b, uint64(c[0].(int))), uint64(c[1].(int)))
	}
	for _, c := range s.columns {
		b = append(b, c[2].(string)...)
	}
	return append(b, s.extra...)
}

// chunk frames contents; the hash is over the uncompressed form of body.
func chunk(kind byte, body, contents []byte) []byte {
	hashed := lengthed([]byte{typeChange}, body)
	sum := sha256.Sum256(hashed)
	out := slices.Concat(magic[:], sum[:4], []byte{kind})
	return lengthed(out, contents)
}

func plain(body []byte) []byte { return chunk(typeChange, body, body) }

func deflate(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestParseReadsEveryField(t *testing.T) {
	raw := plain(valid().body())
	c, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if c.Seq != 3 || c.StartOp != 128 || c.Time != -1 || c.Actor[0] != 7 {
		t.Errorf("numbers read wrong: %+v", c)
	}
	if len(c.Deps) != 2 || c.Deps[1][31] != 2 || len(c.Actors) != 2 || c.Actors[1][0] != 9 {
		t.Errorf("lists read wrong: %+v", c)
	}
	if got := slices.Collect(c.Ops()); fmt.Sprint(got) != fmt.Sprint(validOps()) || c.Len != 8 || c.LastOp() != 135 {
		t.Errorf("%d operations up to %d: %v", c.Len, c.LastOp(), got)
	}
	if want := sha256.Sum256(raw[8:]); c.Hash != want {
		t.Errorf("hash is %s", c.Hash)
	}
	if &c.Raw[0] != &raw[0] || &c.Plain()[0] != &raw[0] {
		t.Error("the bytes were copied")
	}
}

func TestParseDeflated(t *testing.T) {
	body := valid().body()
	c, err := Parse(chunk(typeDeflated, body, deflate(t, body)))
	if err != nil {
		t.Fatal(err)
	}
	want, err := Parse(plain(body))
	if err != nil {
		t.Fatal(err)
	}
	if c.Hash != want.Hash || !bytes.Equal(c.Plain(), want.Raw) {
		t.Error("the compressed and the plain form are not the same change")
	}
}

// refusedSpec is a change that breaks one thing. The checksum is always right, so
// that it is the check meant that refuses.
type refusedSpec struct {
	change func(*spec)
	want   string
}

func refusedSpecs() map[string]refusedSpec {
	filled := func(n, size int, step byte) (out [][]byte) {
		for i := range n {
			b := make([]byte, size)
			b[0], b[1], b[2] = step, byte(i>>8), byte(i)
			out = append(out, b)
		}
		return out
	}
	return map[string]refusedSpec{
		"dependencies not sorted":  {func(s *spec) { slices.Reverse(s.deps) }, "not sorted"},
		"dependency twice":         {func(s *spec) { s.deps[1] = s.deps[0] }, "not sorted or repeat"},
		"dependency short":         {func(s *spec) { *s = spec{deps: [][]byte{{1}}} }, "dependencies: want 32"},
		"too many dependencies":    {func(s *spec) { s.deps = filled(MaxDeps+1, 32, 0) }, "65 exceeds 64"},
		"actor of 15 bytes":        {func(s *spec) { s.actor = s.actor[:15] }, "actor has 15 bytes"},
		"actor of 17 bytes":        {func(s *spec) { s.actor = append(s.actor, 1) }, "actor has 17 bytes"},
		"no actor":                 {func(s *spec) { s.actor = nil }, "actor has 0 bytes"},
		"sequence 0":               {func(s *spec) { s.seq = []byte{0} }, "they begin at 1"},
		"start 0":                  {func(s *spec) { s.start = []byte{0} }, "they begin at 1"},
		"sequence beyond 32 bits":  {func(s *spec) { s.seq = []byte{0x80, 0x80, 0x80, 0x80, 0x10} }, "exceeds 4294967295"},
		"start beyond 32 bits":     {func(s *spec) { s.start = []byte{0x80, 0x80, 0x80, 0x80, 0x10} }, "exceeds 4294967295"},
		"sequence in long form":    {func(s *spec) { s.seq = []byte{0x83, 0} }, "shortest form"},
		"sequence beyond 64 bits":  {func(s *spec) { s.seq = append(bytes.Repeat([]byte{0xff}, 9), 2) }, "exceeds 64 bits"},
		"sequence of 11 bytes":     {func(s *spec) { s.seq = append(bytes.Repeat([]byte{0x80}, 10), 1) }, "exceeds 64 bits"},
		"time in long form":        {func(s *spec) { s.time = []byte{0xff, 0x7f} }, "time: number not in its shortest"},
		"time 0 in long form":      {func(s *spec) { s.time = []byte{0x80, 0} }, "time: number not in its shortest"},
		"time beyond 64 bits":      {func(s *spec) { s.time = append(bytes.Repeat([]byte{0x80}, 9), 1) }, "exceeds 64 bits"},
		"a message":                {func(s *spec) { s.message = []byte("why") }, "3 exceeds 0"},
		"other actors not sorted":  {func(s *spec) { slices.Reverse(s.others) }, "not sorted"},
		"other actor twice":        {func(s *spec) { s.others[1] = s.others[0] }, "not sorted or repeat"},
		"other actor is the actor": {func(s *spec) { s.others[0] = s.actor }, "among the other actors"},
		"other actor short":        {func(s *spec) { s.others[0] = s.others[0][:4] }, "other actor has 4 bytes"},
		"too many actors":          {func(s *spec) { s.others = filled(MaxActors+1, 16, 8) }, "1025 exceeds 1024"},
		"column compressed":        {func(s *spec) { s.columns[0][0] = s.columns[0][0].(int) | deflateBit }, "compressed"},
		"columns not in order":     {func(s *spec) { slices.Reverse(s.columns) }, "not in order"},
		"column twice":             {func(s *spec) { s.columns[1][0] = s.columns[0][0] }, "not in order"},
		"column longer than data":  {func(s *spec) { s.columns[11][1] = 99 }, "columns: want 99 bytes"},
		"column too long":          {func(s *spec) { s.columns[1][1] = MaxInflated + 1 }, "column length"},
		"column number too large":  {func(s *spec) { s.columns[1][0] = 1 << 32 }, "column specification"},
		"too many columns":         {func(s *spec) { s.columns = make([][3]any, columnCount+1); fill(s.columns) }, "13 exceeds 12"},
		"data behind the columns":  {func(s *spec) { s.extra = []byte{0} }, "1 bytes behind the last column"},
	}
}

// TestParseRefuses breaks one thing at a time.
func TestParseRefuses(t *testing.T) {
	for name, c := range refusedSpecs() {
		t.Run(name, func(t *testing.T) {
			s := valid()
			c.change(&s)
			body := s.body()
			for form, raw := range map[string][]byte{
				"plain": plain(body), "deflated": chunk(typeDeflated, body, deflate(t, body)),
			} {
				if _, err := Parse(raw); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: got %v, want %q", form, err, c.want)
				}
			}
		})
	}
}

func fill(columns [][3]any) {
	for i := range columns {
		columns[i] = [3]any{i << 4, 0, ""}
	}
}

func TestParseRefusesFrame(t *testing.T) {
	body := valid().body()
	good, packed := plain(body), deflate(t, body)
	edited := func(i int, b byte) []byte {
		raw := slices.Clone(good)
		raw[i] = b
		return raw
	}
	long := slices.Concat(good[:9], []byte{good[9] | 0x80, 0}, good[10:])
	bomb := make([]byte, MaxInflated+1)
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"nothing":                  {nil, "magic: want 4 bytes, have 0"},
		"magic":                    {edited(0, 0), "magic is"},
		"checksum":                 {edited(4, good[4]^1), "checksum does not match"},
		"contents":                 {edited(len(good)-1, 0), "checksum does not match"},
		"document":                 {edited(8, 0), "chunk type 0"},
		"unknown type":             {edited(8, 3), "chunk type 3"},
		"cut off":                  {good[:len(good)-1], "chunk: want"},
		"something behind":         {append(slices.Clone(good), 0), "1 bytes behind the chunk"},
		"two changes":              {slices.Concat(good, good), "behind the chunk"},
		"length in long form":      {long, "shortest form"},
		"too long":                 {make([]byte, MaxSize+1), "longer than 1048576"},
		"not deflated":             {chunk(typeDeflated, body, []byte{0xff, 0xff}), "inflate"},
		"deflated cut off":         {chunk(typeDeflated, body, packed[:len(packed)-1]), "inflate"},
		"behind the deflated":      {chunk(typeDeflated, body, append(slices.Clone(packed), 0)), "behind the compressed"},
		"inflates beyond limit":    {chunk(typeDeflated, bomb, deflate(t, bomb)), "inflates to more than"},
		"deflated, wrong checksum": {chunk(typeDeflated, good, packed), "checksum does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(c.raw); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestParseEveryPrefix and every single-bit flip of a change is refused.
func TestParseEveryPrefixAndFlip(t *testing.T) {
	good := plain(valid().body())
	for n := range len(good) {
		if _, err := Parse(good[:n:n]); err == nil {
			t.Errorf("a prefix of %d bytes is accepted", n)
		}
	}
	for bit := range len(good) * 8 {
		raw := slices.Clone(good)
		raw[bit/8] ^= 1 << (bit % 8)
		if _, err := Parse(raw); err == nil {
			t.Errorf("accepted with bit %d flipped", bit)
		}
	}
}

func TestSignedNumbers(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want int64
	}{
		{[]byte{0}, 0}, {[]byte{0x3f}, 63}, {[]byte{0xc0, 0}, 64}, {[]byte{0x40}, -64},
		{[]byte{0xbf, 0x7f}, -65}, {[]byte{0x80, 0x01}, 128},
		{append(bytes.Repeat([]byte{0x80}, 9), 0x7f), math.MinInt64},
		{append(bytes.Repeat([]byte{0xff}, 9), 0), math.MaxInt64},
	} {
		if v, n, err := readInt(c.b); v != c.want || n != len(c.b) || err != nil {
			t.Errorf("%x: %d, %d bytes, %v; want %d", c.b, v, n, err, c.want)
		}
	}
	if _, _, err := readInt([]byte{0x80}); !errors.Is(err, errLEBShort) {
		t.Errorf("cut off: %v", err)
	}
}

// realChanges are chunks that the Automerge core wrote.
func realChanges(t testing.TB) map[string][]byte {
	t.Helper()
	return realFiles(t, "*.change")
}

func realFiles(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in testdata: %v", pattern, err)
	}
	out := map[string][]byte{}
	for _, name := range names {
		if out[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestMarshalRealChanges writes again what was read.
func TestMarshalRealChanges(t *testing.T) {
	for name, raw := range realChanges(t) {
		c, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if again := Marshal(&c, slices.Collect(c.Ops())); !bytes.Equal(again, raw) {
			t.Errorf("%s is written as %x", name, again)
		}
	}
}

// TestParseRealChanges also compresses them: this core writes none that are.
func TestParseRealChanges(t *testing.T) {
	for name, raw := range realChanges(t) {
		c, err := Parse(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := strings.TrimSuffix(filepath.Base(name), ".change"); !strings.HasPrefix(c.Hash.String(), want) {
			t.Errorf("%s: hash is %s", name, c.Hash)
		}
		f, err := readFrame(raw, MaxSize)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := Parse(chunk(typeDeflated, f.contents, deflate(t, f.contents)))
		if err != nil || packed.Hash != c.Hash {
			t.Errorf("%s, compressed: %s, %v", name, packed.Hash, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, raw := range realChanges(f) {
		f.Add(raw)
	}
	f.Add(plain(valid().body()))
	f.Add(chunk(typeDeflated, valid().body(), deflate(f, valid().body())))
	f.Fuzz(func(t *testing.T, raw []byte) {
		checkParsed(t, raw)
		// With its own frame the same input gets past the checksum.
		if len(raw) < MaxSize-32 {
			checkParsed(t, plain(raw))
		}
	})
}

func checkParsed(t *testing.T, raw []byte) {
	t.Helper()
	c, err := Parse(raw)
	if err != nil {
		if !errors.Is(err, ErrMalformed) {
			t.Fatalf("error does not wrap ErrMalformed: %v", err)
		}
		return
	}
	if again, err := Parse(c.Plain()); err != nil || again.Hash != c.Hash {
		t.Fatalf("the plain form is not the same change: %v", err)
	}
	if again := Marshal(&c, slices.Collect(c.Ops())); !bytes.Equal(again, c.Plain()) {
		t.Fatalf("%x is written again as %x", c.Plain(), again)
	}
	if c.Len == 0 || c.Len > MaxOps || c.Seq == 0 || c.StartOp == 0 || len(c.Deps) > MaxDeps || !slices.IsSortedFunc(c.Deps, Hash.Compare) {
		t.Fatalf("accepted beyond the limits: %+v", c)
	}
}

func BenchmarkParse(b *testing.B) {
	raw := plain(valid().body())
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}
