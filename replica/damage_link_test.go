package replica_test

import (
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

func isFault(with string) func(model.Event) bool {
	return func(ev model.Event) bool { return ev.Kind == "fault" && strings.Contains(ev.Note, with) }
}

// A change that waits to be sealed and is damaged, or gone, is told when
// somebody is there to take it. Nothing is sent that could not be applied
// without it, and this device goes on editing.
func TestDamagedBacklogIsTold(t *testing.T) {
	second := []byte{7: 1}
	spoil := map[string]func(d *device){
		"damaged": func(d *device) { d.store.damage(tablePending, second) },
		"missing": func(d *device) {
			b := &store.Batch{}
			b.Delete(tablePending, second)
			try(t, d.store.Store.Commit(b))
		},
	}
	for name, spoil := range spoil {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			try(t, a.Apply(t.Context(), []model.Edit{unread("x"), unread("y"), unread("z")}))
			spoil(a)
			events := a.Watch(t.Context(), replica.Now)
			connect(a, b)
			await(t, events, isFault("wait to be sealed: store: damaged record: table 05 key 0000000000000001"))
			try(t, a.Apply(t.Context(), []model.Edit{unread("new")}))
			if got := chats(t, a.Replica); got != "new x y z" {
				t.Errorf("chats are %q", got)
			}
			if got := chats(t, b.Replica); got != "" {
				t.Errorf("the other device shows %q", got)
			}
			v, err := a.Verify(t.Context())
			if err != nil || v.OK {
				t.Errorf("verification is %+v, %v", v, err)
			}
		})
	}
}

// An envelope that cannot be read is told, and the other writers' arrive at
// the device that lacks it.
func TestDamagedEnvelopeHoldsBackItsWriterOnly(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	try(t, a.Apply(ctx, []model.Edit{unread("of a")}))
	connect(a, b)
	inSync(t, a, b)
	try(t, b.Close())
	c := open(t, join(t, a, "c"))
	try(t, c.Apply(ctx, []model.Edit{unread("of c")}))
	spoil(t, a, tableLog)
	faults, changes := a.Watch(ctx, replica.Now), a.Watch(ctx, replica.Now)
	connect(a, c)
	await(t, faults, isFault("table 03"))
	await(t, changes, func(ev model.Event) bool { return ev.Entity == "of c" })
	try(t, a.Apply(ctx, []model.Edit{{Op: model.SettingSet, ID: "k", Scope: "account", Value: []byte("1")}}))
	if got := chats(t, c.Replica); got != "of c" {
		t.Errorf("the other device shows %q", got)
	}
}

// spoil damages every record of a table.
func spoil(t *testing.T, d *device, table store.Table) {
	t.Helper()
	try(t, d.store.Store.Scan(table, nil, nil, func(key, _ []byte) error {
		d.store.damage(table, key)
		return nil
	}))
}

// A change arrives for a document that is damaged here: it is made anew from
// the log, and nobody is blamed.
func TestChangeForDamagedDocument(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	try(t, a.Chat("x").Mute(ctx, model.Forever))
	cut := connect(a, b)
	inSync(t, a, b)
	cut()
	b = reopen(t, b)
	spoil(t, b, tableDocs)
	try(t, a.Chat("x").Archive(ctx, nil))
	connect(a, b)
	inSync(t, a, b)
	if got, want := stateOf(t, b.Replica), stateOf(t, a.Replica); got != want {
		t.Errorf("states are\n%s\n%s", got, want)
	}
	verified(t, b.Replica)
}
