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

// lose deletes all records of a table, or those that have a part in their key, as a
// store may that has lost a file.
func lose(t *testing.T, s store.Store, table store.Table, part []byte) {
	t.Helper()
	b := &store.Batch{}
	try(t, s.Scan(table, nil, nil, func(key, _ []byte) error {
		if bytes.Contains(key, part) {
			b.Delete(table, key)
		}
		return nil
	}))
	if b.Len() == 0 {
		t.Fatalf("table %d has no such record", table)
	}
	try(t, s.Commit(b))
}

// part closes b and waits until a knows that it is alone.
func part(t *testing.T, a, b *device) {
	t.Helper()
	events := a.Watch(t.Context(), replica.Now)
	try(t, b.Close())
	await(t, events, func(ev model.Event) bool { return ev.Note == "disconnected" })
}

// Records that are gone with all that would tell of them are missed, because the log
// and the changes that wait name them; and what can be computed is made anew.
func TestMendWhatIsLost(t *testing.T) {
	cases := map[string][]store.Table{
		"documents":                        {tableDocs},
		"index":                            {tableIndex},
		"fingerprint":                      {tablePrints},
		"documents, index and fingerprint": {tableDocs, tableIndex, tablePrints},
		"changes that wait":                {tablePending},
	}
	for name, tables := range cases {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			try(t, a.Apply(t.Context(), []model.Edit{unread("c"), unread("d")}))
			connect(a, b)
			inSync(t, a, b)
			part(t, a, b)
			try(t, a.Apply(t.Context(), []model.Edit{unread("e"), {Op: model.ChatPin, ID: "c"}, {Op: model.ChatPin, ID: "d"}}))
			want := stateOf(t, a.Replica)
			try(t, a.Close())
			s := a.store.left
			for _, table := range tables {
				lose(t, s, table, nil)
			}
			a = openOn(t, a.id, newFaulty(s))
			if v, err := a.Verify(t.Context()); err != nil || v.OK {
				t.Errorf("nobody misses it: %+v, %v", v, err)
			}
			m, err := a.Mend(t.Context())
			try(t, err)
			verified(t, a.Replica)
			if got := stateOf(t, a.Replica); got != want {
				t.Errorf("after %+v the state is\n%s, was\n%s", m, got, want)
			}
			again, err := a.Mend(t.Context())
			if err != nil || len(again.Documents)+again.Entries+again.Changes+again.Local > 0 || again.Fingerprint {
				t.Errorf("mended once more: %+v, %v", again, err)
			}
			b = openOn(t, b.id, newFaulty(b.store.left))
			connect(a, b)
			inSync(t, a, b)
			if got := stateOf(t, b.Replica); got != want {
				t.Errorf("the other one shows\n%s, want\n%s", got, want)
			}
		})
	}
}

// A document cannot be made from a log that has lost an envelope, nor a change that
// waits from a document that is lost too; then nothing is changed.
func TestMendRefuses(t *testing.T) {
	a, b := pair(t)
	try(t, a.Apply(t.Context(), []model.Edit{unread("c")}))
	connect(a, b)
	inSync(t, a, b)
	part(t, a, b)
	try(t, a.Apply(t.Context(), []model.Edit{unread("e")}))
	try(t, a.Close())
	for name, tables := range map[string][]store.Table{
		"log": {tableLog, tableDocs}, "both": {tablePending, tableDocs},
	} {
		s := a.store.left.Snapshot()
		for _, table := range tables {
			lose(t, s, table, nil)
		}
		d := openOn(t, a.id, newFaulty(s))
		if m, err := d.Mend(t.Context()); !errors.Is(err, replica.ErrDamaged) || !strings.Contains(err.Error(), "mend") {
			t.Errorf("%s: mended %+v, %v", name, m, err)
		}
		try(t, d.Close())
	}
}
