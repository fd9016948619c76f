package account_test

import (
	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/model"
)

// tester is what testing.TB and rapid.T have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func at(t model.Time, id string) *model.Position { return &model.Position{Time: t, ID: id} }

func newDocument(t tester, writer byte) *crdt.Document {
	t.Helper()
	return crdt.NewDocument(crdt.Writer{writer})
}

func parse(t tester, raw []byte) crdt.Change {
	t.Helper()
	c, err := change.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func save(t tester, d *crdt.Document) []byte {
	t.Helper()
	saved, err := d.Save()
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

// commit performs one edit as one change, nil if it wrote nothing.
func commit(t tester, d *crdt.Document, now int64, m model.Edit) *crdt.Change {
	t.Helper()
	e := d.Edit(now)
	if err := account.Apply(e, m); err != nil {
		t.Fatal(err)
	}
	c, err := e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// device is one copy of a document in a test, with all changes it ever had.
type device struct {
	t   tester
	doc *crdt.Document
	log []crdt.Change
	now int64
}

// world returns n copies of one document.
func world(t tester, n int) []*device {
	devices := make([]*device, n)
	for i := range devices {
		devices[i] = &device{t: t, doc: newDocument(t, byte(i+1)), now: 1_700_000_000_000}
	}
	return devices
}

// do performs edits, each as one change a second after the last, and says
// whether any wrote something.
func (d *device) do(edits ...model.Edit) (wrote bool) {
	d.t.Helper()
	for _, m := range edits {
		d.now += 1000
		if m.ID == "" {
			m.ID = "c"
		}
		if c := commit(d.t, d.doc, d.now, m); c != nil {
			d.log, wrote = append(d.log, *c), true
		}
	}
	return wrote
}

// from takes in what another device has.
func (d *device) from(o *device) {
	d.t.Helper()
	for _, c := range o.log {
		if d.doc.Has(c.Hash) {
			continue
		}
		if n, err := d.doc.Apply([]crdt.Change{c}); err != nil || n != 1 {
			d.t.Fatalf("apply %s: %d, %v", c.Hash, n, err)
		}
		d.log = append(d.log, c)
	}
}

// meet exchanges everything between all devices.
func meet(devices ...*device) {
	for range 2 {
		for _, a := range devices {
			for _, b := range devices {
				if a != b {
					a.from(b)
				}
			}
		}
	}
}
