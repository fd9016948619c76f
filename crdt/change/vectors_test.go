package change

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/change/savedtest"
	"github.com/starling-sync/starling/crdt/vectortest"
)

var updateVectors = flag.Bool("update-vectors", false, "write vectors that do not exist yet")

// maxVector leaves out cases that are only large, in bytes.
const maxVector = 4 << 10

// makeVectors has what the tests of this package refuse, and some that hold.
func makeVectors(t *testing.T) []*vectortest.Vector {
	whole := valid()
	all := []*vectortest.Vector{held(t, "change-whole", "every form of operation", plain(whole.body()))}
	for name, raw := range realChanges(t) {
		all = append(all, held(t, "change-core-"+strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], ".change"), "written by the core", raw))
	}
	refused := func(name string, raw []byte) {
		if len(raw) <= maxVector {
			slug := strings.Map(func(r rune) rune {
				if r == ' ' || r == ',' || r == '-' {
					return '_'
				}
				return r
			}, name)
			all = append(all, vectortest.New("change-"+slug, name, "ErrMalformed").Hex("change", raw))
		}
	}
	specs := refusedSpecs()
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		s := valid()
		specs[name].change(&s)
		refused(name, plain(s.body()))
	}
	good, bad := refusedOps()
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		s := valid()
		s.columns = columnsOf(numbered(append(slices.Clone(good), bad[name].op)...)...)
		refused(name, plain(s.body()))
	}
	return append(all, makeSavedVectors(t)...)
}

// makeSavedVectors has the same for saved documents.
func makeSavedVectors(t *testing.T) []*vectortest.Vector {
	all := []*vectortest.Vector{
		heldSaved(t, "saved-whole", "every form of operation, written by two", validSaved(t).Marshal()),
		heldSaved(t, "saved-empty", "no changes", new(savedtest.Document).Marshal()),
	}
	for name, raw := range realSaved(t) {
		if len(raw) <= maxVector {
			all = append(all, heldSaved(t, "saved-core-"+strings.TrimSuffix(filepath.Base(name), ".saved"), "written by the core", raw))
		}
	}
	refused := refusedSaved(t)
	delete(refused, "a short column compressed") // another Go may compress in another way
	for name, c := range refused {
		slug := strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(name, ",", ""), "^", ""), " ", "_")
		all = append(all, vectortest.New("saved-"+slug, name, "ErrMalformed").Hex("document", c.raw))
	}
	return all
}

func heldSaved(t *testing.T, name, comment string, raw []byte) *vectortest.Vector {
	t.Helper()
	changes, err := ParseSaved(raw)
	if err != nil {
		t.Fatal(err)
	}
	return describeSaved(vectortest.New(name, comment, "ok").Hex("document", raw), changes)
}

func describeSaved(v *vectortest.Vector, changes []Change) *vectortest.Vector {
	for _, c := range changes {
		v.Hex("change", c.Raw)
	}
	return v
}

// held is a vector of a change that holds, and what it says.
func held(t *testing.T, name, comment string, raw []byte) *vectortest.Vector {
	t.Helper()
	c, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return describe(vectortest.New(name, comment, "ok").Hex("change", raw), &c)
}

func describe(v *vectortest.Vector, c *Change) *vectortest.Vector {
	v.Hex("hash", c.Hash[:]).Hex("actor", c.Actor[:]).Num("seq", c.Seq).Num("start", c.StartOp)
	for _, d := range c.Deps {
		v.Hex("dependency", d[:])
	}
	for o := range c.Ops() {
		v.Text("operation", fmt.Sprintf("%d on %s key %x elem %s insert %t value %d:%x preds %s",
			o.Action, idText(o.Obj), o.Key, idText(o.Elem), o.Insert, o.Type, o.Value, predsText(o.Pred)))
	}
	return v
}

func idText(id OpID) string {
	if id.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%d@%x", id.Counter, id.Actor)
}

func predsText(preds []OpID) string {
	var out []string
	for _, p := range preds {
		out = append(out, idText(p))
	}
	return "[" + strings.Join(out, " ") + "]"
}

func TestVectors(t *testing.T) {
	vectortest.Try(t, vectortest.Read(t), map[string]error{"ErrMalformed": ErrMalformed}, func(v *vectortest.Vector) error {
		got, err := tryVector(t, v)
		if err != nil {
			return err
		}
		if !bytes.Equal(got.Marshal(), v.Marshal()) {
			return fmt.Errorf("it says something else:\n%s", got.Marshal())
		}
		return nil
	})
}

// tryVector returns the vector as it is today.
func tryVector(t *testing.T, v *vectortest.Vector) (*vectortest.Vector, error) {
	if v.Get("kind") == "saved" {
		raw := v.Bytes(t, "document")
		changes, err := ParseSaved(raw)
		return describeSaved(vectortest.New(v.Name, v.Get("comment"), "ok").Hex("document", raw), changes), err
	}
	raw := v.Bytes(t, "change")
	c, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	return describe(vectortest.New(v.Name, v.Get("comment"), "ok").Hex("change", raw), &c), nil
}

func TestVectorsAreReproduced(t *testing.T) { vectortest.Reproduced(t, makeVectors(t), *updateVectors) }
