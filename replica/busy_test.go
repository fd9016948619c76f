package replica_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

// busied is a closed device with a chat that has had so many changes that its record has
// a tail, and the keys of both.
func busied(t *testing.T) (d *device, state string, record, tail []byte) {
	t.Helper()
	d = open(t, create(t))
	labels(t, d, 0, 40)
	id := busy.ID([32]byte(d.id.Account()))
	state = stateOf(t, d.Replica)
	try(t, d.Close())
	record, tail = id[:], append(id[:len(id):len(id)], 1)
	for _, key := range [][]byte{record, tail} {
		_, err := d.store.left.Get(tableDocs, key)
		try(t, err)
	}
	return d, state, record, tail
}

// Of a chat that is altered again and again only what came since its record was written
// is written with each change, and now and then the record.
func TestBusyRecordsGetTails(t *testing.T) {
	d, _, record, tail := busied(t)
	d = openOn(t, d.id, newFaulty(d.store.left))
	records, tails, written := 0, 0, 0
	d.store.refusing(func(b *store.Batch) error {
		for o := range b.Ops() {
			switch key := string(o.Key); {
			case o.Table != tableDocs || o.Delete:
			case key == string(record):
				records, written = records+1, written+len(o.Value)
			case key == string(tail):
				tails, written = tails+1, written+len(o.Value)
			default:
				t.Errorf("record %x", o.Key)
			}
		}
		return nil
	})
	const times = 60
	labels(t, d, 100, times)
	whole, err := d.store.Get(tableDocs, record)
	try(t, err)
	if records < 2 || records > times/5 || records+tails != times {
		t.Errorf("%d records and %d tails for %d changes", records, tails, times)
	}
	if each := written / times; each > len(whole)/2 {
		t.Errorf("%d bytes are written for each change, the record has %d", each, len(whole))
	}
	want := stateOf(t, d.Replica)
	d = reopen(t, d)
	if got := stateOf(t, d.Replica); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	verified(t, d.Replica)
}

// A tail that cannot be read, or was lost, is noticed, and the document is made anew from
// the log and what waits, by Mend or with the next edit that meets it. The changes that
// wait are not made from a document without its tail.
func TestTailIsDamaged(t *testing.T) {
	left, state, _, tail := busied(t)
	for name, c := range map[string]struct {
		spoil func(s *faulty)
		named string
		silly bool // an edit does not notice it
	}{
		"cannot be read": {func(s *faulty) { s.damage(tableDocs, tail) }, "is damaged", false},
		"is lost":        {func(s *faulty) { lose(t, s.Store, tableDocs, tail) }, "it lacks changes of writer", true},
		"is another's": {func(s *faulty) {
			b := &store.Batch{}
			b.Put(tableDocs, tail, []byte{0x83, 0x40, 0x40, 0x80})
			try(t, s.Store.Commit(b))
		}, "malformed", false},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := func() *device {
				d := openOn(t, left.id, newFaulty(left.store.left.Snapshot()))
				c.spoil(d.store)
				v, err := d.Verify(t.Context())
				if err != nil || v.OK || !strings.Contains(strings.Join(v.Problems, "\n"), c.named) {
					t.Errorf("verification is %+v, %v, want %q", v, err, c.named)
				}
				return d
			}
			heal := map[string]func(d *device) error{
				"mend": func(d *device) error { _, err := d.Mend(t.Context()); return err },
				"edit": func(d *device) error {
					return d.Apply(t.Context(), []model.Edit{{Op: model.ChatArchive, ID: busy.Entity}, {Op: model.ChatUnarchive, ID: busy.Entity}})
				},
			}
			if c.silly {
				delete(heal, "edit")
			}
			for way, do := range heal {
				d := spoilt()
				try(t, do(d))
				verified(t, d.Replica)
				if got := stateOf(t, d.Replica); got != state {
					t.Errorf("%s: %s, want %s", way, got, state)
				}
				try(t, d.Close())
			}
			d := spoilt()
			lose(t, d.store.Store, tablePending, nil)
			if m, err := d.Mend(t.Context()); !errors.Is(err, replica.ErrDamaged) {
				t.Errorf("mended %+v, %v", m, err)
			}
		})
	}
}

// A busy chat whose changes are given to another writer has none of the old one's left,
// in its record or beside it.
func TestBusyDocumentIsRenewed(t *testing.T) {
	d, state, record, _ := busied(t)
	before, err := d.store.left.Get(tableDocs, record)
	try(t, err)
	for _, place := range []string{"here", "there", "anywhere"} {
		d = placed(t, d.id, d.store.left, place)
		if got := stateOf(t, d.Replica); got != state {
			t.Errorf("%s: %s, want %s", place, got, state)
		}
		verified(t, d.Replica)
		try(t, d.Close())
	}
	after, err := d.store.left.Get(tableDocs, record)
	try(t, err)
	if bytes.Equal(before, after) {
		t.Error("the record is the old one")
	}
}
