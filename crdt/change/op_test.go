package change

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// parseOps parses a change of these operations.
func parseOps(ops ...Op) error {
	s := valid()
	s.columns = columnsOf(numbered(ops...)...)
	_, err := Parse(plain(s.body()))
	return err
}

// refusedOp is an operation that breaks one thing.
type refusedOp struct {
	op   Op
	want string
}

// refusedOps returns good operations, which refer to all actors, and others to be
// added to them.
func refusedOps() (good []Op, bad map[string]refusedOp) {
	text, char := OpID{20, third}, OpID{21, ninth}
	set := Op{Key: "k", Action: Set, Type: Bytes, Value: []byte("v")}
	insert := Op{Obj: text, Insert: true, Action: Set, Type: Text, Value: []byte("c")}
	remove := Op{Obj: text, Elem: char, Action: Delete, Pred: []OpID{char}}
	with := func(o Op, change func(*Op)) Op { change(&o); return o }
	good = []Op{set, insert, remove}
	return good, map[string]refusedOp{
		"a map":                       {with(set, func(o *Op) { o.Action, o.Type, o.Value = 0, Null, nil }), "not used"},
		"a list":                      {with(set, func(o *Op) { o.Action, o.Type, o.Value = 2, Null, nil }), "not used"},
		"a mark":                      {with(set, func(o *Op) { o.Action, o.Type, o.Value = 7, Null, nil }), "not used"},
		"an unknown action":           {with(set, func(o *Op) { o.Action = 1 << 20 }), "not used"},
		"a type beyond the last":      {with(set, func(o *Op) { o.Type = lastType + 1 }), "value of type 10"},
		"null with bytes":             {with(set, func(o *Op) { o.Type = Null }), "1 bytes behind"},
		"true with bytes":             {with(set, func(o *Op) { o.Type = True }), "1 bytes behind"},
		"a float of four bytes":       {with(set, func(o *Op) { o.Type, o.Value = Float, make([]byte, 4) }), "want 8 bytes"},
		"a float of nine bytes":       {with(set, func(o *Op) { o.Type, o.Value = Float, make([]byte, 9) }), "1 bytes behind"},
		"a number of no bytes":        {with(set, func(o *Op) { o.Type, o.Value = Uint, nil }), "cut off"},
		"a number in long form":       {with(set, func(o *Op) { o.Type, o.Value = Counter, []byte{0x80, 0} }), "shortest form"},
		"a number beyond 64 bits":     {with(set, func(o *Op) { o.Type, o.Value = Uint, append(bytes.Repeat([]byte{0xff}, 9), 2) }), "64 bits"},
		"a text that is none":         {with(set, func(o *Op) { o.Type, o.Value = Text, []byte{0xff} }), "not UTF-8"},
		"an increment by a byte":      {with(set, func(o *Op) { o.Action, o.Pred = Increment, []OpID{{1, self}} }), "not used"},
		"an increment of nothing":     {with(set, func(o *Op) { o.Action, o.Type, o.Value = Increment, Int, []byte{1} }), "not used"},
		"a deletion of nothing":       {with(set, func(o *Op) { o.Action, o.Type, o.Value = Delete, Null, nil }), "not used"},
		"a deletion with a value":     {with(set, func(o *Op) { o.Action, o.Pred = Delete, []OpID{{1, self}} }), "not used"},
		"a text with a value":         {with(set, func(o *Op) { o.Action = MakeText }), "not used"},
		"an insertion into the root":  {with(set, func(o *Op) { o.Insert = true }), "not used"},
		"an element of the root":      {with(set, func(o *Op) { o.Key, o.Elem = "", char }), "no key or two"},
		"a key of a text":             {with(insert, func(o *Op) { o.Key = "k" }), "no key or two"},
		"a key that is not UTF-8":     {with(set, func(o *Op) { o.Key = "\xff" }), "not UTF-8"},
		"an insertion of bytes":       {with(insert, func(o *Op) { o.Type = Bytes }), "not used"},
		"an insertion of nothing":     {with(insert, func(o *Op) { o.Value = nil }), "not used"},
		"an insertion with a pred":    {with(insert, func(o *Op) { o.Pred = []OpID{char} }), "not used"},
		"a text in a text":            {with(insert, func(o *Op) { o.Action, o.Type, o.Value = MakeText, Null, nil }), "not used"},
		"overwriting a character":     {with(remove, func(o *Op) { o.Action, o.Type, o.Value = Set, Text, []byte("x") }), "not used"},
		"an increment in a text":      {with(remove, func(o *Op) { o.Action, o.Type, o.Value = Increment, Int, []byte{1} }), "not used"},
		"deleting the head":           {with(remove, func(o *Op) { o.Elem = OpID{} }), "not used"},
		"deleting another character":  {with(remove, func(o *Op) { o.Pred = []OpID{{20, ninth}} }), "not used"},
		"deleting nothing":            {with(remove, func(o *Op) { o.Pred = nil }), "not used"},
		"a later object":              {with(insert, func(o *Op) { o.Obj = OpID{200, self} }), "itself or a later"},
		"its own object":              {with(insert, func(o *Op) { o.Obj = OpID{131, self} }), "itself or a later"},
		"a later element":             {with(insert, func(o *Op) { o.Elem = OpID{200, self} }), "itself or a later"},
		"a later predecessor":         {with(set, func(o *Op) { o.Pred = []OpID{{131, third}} }), "itself or a later"},
		"predecessors not sorted":     {with(set, func(o *Op) { o.Pred = []OpID{{2, self}, {1, self}} }), "not sorted"},
		"predecessors in wrong order": {with(set, func(o *Op) { o.Pred = []OpID{{2, ninth}, {2, third}} }), "not sorted"},
		"a predecessor twice":         {with(set, func(o *Op) { o.Pred = []OpID{{1, self}, {1, self}} }), "not sorted"},
	}
}

func TestParseRefusesOps(t *testing.T) {
	good, bad := refusedOps()
	if err := parseOps(good...); err != nil {
		t.Fatal(err)
	}
	for name, c := range bad {
		t.Run(name, func(t *testing.T) {
			err := parseOps(append(slices.Clone(good), c.op)...)
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if err := parseOps(good[0], good[0]); err == nil || !strings.Contains(err.Error(), "no operation refers to") {
		t.Errorf("actors that are not used: %v", err)
	}
	if err := parseOps(); err == nil || !strings.Contains(err.Error(), "no operations") {
		t.Errorf("no operations: %v", err)
	}
}

// TestParseRefusesColumns writes one column otherwise.
func TestParseRefusesColumns(t *testing.T) {
	for name, c := range map[string]struct {
		column int
		data   string
		want   string
	}{
		"equal values one by one":       {colAction, "\x78\x01\x05\x04\x01\x01\x03\x03\x01", "not written as the core"},
		"a run of one":                  {colAction, "\x01\x01\x7e\x05\x04\x02\x01\x02\x03\x01\x01", "not written as the core"},
		"two runs of equal values":      {colInsert, "\x03\x01\x00\x01\x03", "no length"},
		"too few truth values":          {colInsert, "\x03\x02", "too short"},
		"too many truth values":         {colInsert, "\x03\x02\x04", "not written as the core"},
		"a run of no length":            {colObjActor, "\x00\x00", "no length"},
		"an endless run":                {colObjActor, "\x80\x80\x80\x80\x01\x00", "a run of more than"},
		"an endless run of nulls":       {colObjActor, "\x00\x80\x80\x80\x80\x01", "exceeds"},
		"the longest run there is":      {colObjActor, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f\x00", "a run of more than"},
		"objects that end early":        {colObjActor, "\x00\x03\x02\x00", "without its actor"},
		"an object of an unknown actor": {colObjActor, "\x00\x03\x03\x03\x00\x02", "actor 3 of 2"},
		"no actions":                    {colAction, "", "column 66 is empty"},
		"more preds than are named":     {colPreds, "\x7f\x03\x01\x01\x02\x00\x02\x01\x7f\x01", "predecessors"},
		"fewer preds than are named":    {colPreds, "\x02\x01\x03\x00\x02\x01\x7f\x00", "not used"},
		"a negative number":             {colPred, "\x7f\x7b", "want 0 to"},
		"values that end early":         {colValue, "xy", "want 1 bytes"},
		"values that are not used":      {colValue, "xy\x7fh\xc3\xa9\x01\x00", "not written as the core"},
	} {
		t.Run(name, func(t *testing.T) {
			s := valid()
			i := slices.IndexFunc(s.columns, func(col [3]any) bool { return col[0] == int(specs[c.column]) })
			s.columns[i] = [3]any{int(specs[c.column]), len(c.data), c.data}
			if _, err := Parse(plain(s.body())); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	s := valid()
	s.columns[len(s.columns)-1] = [3]any{148, 1, "\x08"}
	if _, err := Parse(plain(s.body())); err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("a column of marks: %v", err)
	}
}

// TestRunBombIsCheap: few bytes that stand for many operations.
func TestRunBombIsCheap(t *testing.T) {
	s := valid()
	run := string(appendUint(nil, MaxOps)) // below 2^20: both encodings are the same
	s.others = nil
	s.columns = [][3]any{}
	for column, value := range map[int]string{colKeyText: "\x01k", colAction: "\x01", colValueType: "\x00", colPreds: "\x00"} {
		s.columns = append(s.columns, [3]any{int(specs[column]), len(run + value), run + value})
	}
	s.columns = append(s.columns, [3]any{int(specs[colInsert]), len(run), run})
	slices.SortFunc(s.columns, func(a, b [3]any) int { return a[0].(int) - b[0].(int) })
	c, err := Parse(plain(s.body()))
	if err != nil || c.Len != MaxOps {
		t.Fatalf("%d operations, %v", c.Len, err)
	}
	if bytes := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if _, err := Parse(c.Raw); err != nil {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp(); bytes > 1<<20 {
		t.Errorf("takes %d bytes", bytes)
	}
}

func TestIntRoundTrip(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 63, 64, -64, -65, 1 << 40, -1 << 63, 1<<63 - 1} {
		b := appendInt(nil, v)
		if got, n, err := readInt(b); got != v || n != len(b) || err != nil {
			t.Errorf("%d is written as %x and read as %d, %v", v, b, got, err)
		}
	}
}

// TestPredecessorsAreBounded over all operations: a run of them takes a few bytes,
// and each operation may name a thousand.
func TestPredecessorsAreBounded(t *testing.T) {
	const each = 1024
	var by [2][]OpID // turn by turn, as no run may be longer than there are operations
	for i := range uint64(each) {
		by[0], by[1] = append(by[0], OpID{i + 1, self}), append(by[1], OpID{i + 1, third})
	}
	named := func(ops int) error {
		c := &Change{Actor: self, Seq: 2, StartOp: 2000}
		var set []Op
		for i := range ops {
			set = append(set, Op{ID: OpID{2000 + uint64(i), self}, Key: "k", Action: Set, Pred: by[i%2]})
		}
		_, err := Parse(Marshal(c, set))
		return err
	}
	if err := named(MaxPreds / each); err != nil {
		t.Errorf("as many as are allowed: %v", err)
	}
	if err := named(MaxPreds/each + 1); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "of all operations") {
		t.Errorf("more than are allowed: %v", err)
	}
}
