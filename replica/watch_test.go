package replica_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

// take reads n events.
func take(t *testing.T, events iter.Seq[model.Event], n int) []model.Event {
	t.Helper()
	var got []model.Event
	await(t, events, func(ev model.Event) bool { got = append(got, ev); return len(got) == n })
	return got
}

// Resuming behind any event gives exactly what followed it, again and again,
// and each loop over a sequence begins where Watch was called.
func TestWatchResumes(t *testing.T) {
	d := single(t)
	events := d.Watch(t.Context(), replica.Now)
	for i := range 10 {
		try(t, d.Apply(t.Context(), []model.Edit{unread(fmt.Sprint("c", i))}))
	}
	all := take(t, events, 10)
	if again := take(t, events, 10); !slices.Equal(again, all) {
		t.Errorf("the second loop gives %+v, want %+v", again, all)
	}
	for i, ev := range all {
		if ev.Kind != "chat" || ev.Entity != fmt.Sprint("c", i) || ev.Device != d.id.Device().String() {
			t.Errorf("event %d is %+v", i, ev)
		}
		if i < 9 {
			if rest := take(t, d.Watch(t.Context(), replica.After(ev.ID)), 9-i); !slices.Equal(rest, all[i+1:]) {
				t.Errorf("behind event %d comes %+v", i, rest)
			}
		}
	}
	for ev, err := range d.Events(t.Context(), all[8].ID) {
		if ev != all[9] || err != nil {
			t.Errorf("Events gives %+v, %v", ev, err)
		}
		break
	}
}

// A subscriber that stopped reading holds up no edit. When it reads again it
// is told of a gap and goes on with what comes.
func TestWatchTellsSlowReaderOfGap(t *testing.T) {
	d := single(t)
	slow, stop := iter.Pull(d.Watch(t.Context(), replica.Now))
	defer stop()
	try(t, d.Apply(t.Context(), []model.Edit{unread("first")}))
	if ev, ok := slow(); !ok || ev.Entity != "first" {
		t.Fatalf("the first event is %+v", ev)
	}
	var edits []model.Edit
	for i := range replica.KeptEvents + 1 {
		edits = append(edits, model.Edit{Op: model.SettingSet, ID: fmt.Sprint(i % 2), Scope: "account", Value: fmt.Append(nil, i)})
	}
	try(t, d.Apply(t.Context(), edits))
	gap, ok := slow()
	if !ok || gap.Kind != model.GapKind {
		t.Fatalf("after too many events comes %+v", gap)
	}
	try(t, d.Apply(t.Context(), []model.Edit{unread("next")}))
	if ev, ok := slow(); !ok || ev.Entity != "next" || ev.ID != gap.ID+1 {
		t.Fatalf("after the gap comes %+v", ev)
	}
}

// Every subscriber sees every event, in the order in which groups became
// durable, however many write and watch at once.
func TestWatchOrderIsCommitOrder(t *testing.T) {
	const writers, each, watchers = 8, 20, 50
	d := single(t)
	var committed [][]string // entities of each commit; written by commits, which never overlap
	d.store.refusing(func(b *store.Batch) error {
		var entities []string
		for op := range b.Ops() {
			if op.Table == tableIndex {
				entities = append(entities, string(op.Key[1:]))
			}
		}
		committed = append(committed, entities)
		return nil
	})
	seen := make(chan []model.Event, watchers)
	for range watchers {
		events := d.Watch(t.Context(), replica.Now)
		go func() { seen <- take(t, events, writers*each) }()
	}
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if err := d.Apply(t.Context(), []model.Edit{unread(fmt.Sprintf("%d-%d", w, i))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	first := <-seen
	for range watchers - 1 {
		if got := <-seen; !slices.Equal(got, first) {
			t.Fatal("two subscribers saw different events")
		}
	}
	for _, entities := range committed {
		var got []string
		for _, ev := range first[:len(entities)] {
			got = append(got, ev.Entity)
		}
		first = first[len(entities):]
		slices.Sort(got)
		slices.Sort(entities)
		if !slices.Equal(got, entities) {
			t.Fatalf("events of %q came when %q were committed", got, entities)
		}
	}
	if len(first) != 0 {
		t.Errorf("%d events belong to no commit", len(first))
	}
}

// A watch ends with its context: while it waits, and between two events that
// are there already. It ends with the replica too.
func TestWatchEnds(t *testing.T) {
	d := single(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := d.Watch(ctx, replica.Now)
	try(t, d.Apply(t.Context(), []model.Edit{unread("a"), unread("b")}))
	n := 0
	for range events {
		n++
		cancel()
	}
	if n != 1 {
		t.Errorf("%d events came, one before the end of the context", n)
	}
	for ev := range events {
		t.Errorf("after the end of the context came %+v", ev)
	}

	waiting := make(chan struct{})
	ended := make(chan int, 2)
	watch := func(ctx context.Context, events iter.Seq[model.Event]) {
		n := 0
		for range events {
			n++
			waiting <- struct{}{}
		}
		ended <- n
	}
	ctx, cancel = context.WithCancel(t.Context())
	go watch(ctx, d.Watch(ctx, replica.Now))
	go watch(t.Context(), d.Watch(t.Context(), replica.Now))
	try(t, d.Apply(t.Context(), []model.Edit{unread("c")}))
	<-waiting
	<-waiting
	cancel()
	if n := <-ended; n != 1 {
		t.Errorf("the watch ended after %d events", n)
	}
	try(t, d.Close())
	if n := <-ended; n != 1 {
		t.Errorf("the watch of a closed replica ended after %d events", n)
	}
}

// What another device did carries its name, in the order of its edits, and a
// setting or label is named, not the document that holds them all.
func TestEventsOfRemoteChanges(t *testing.T) {
	a, b := pair(t)
	connect(a, b)
	inSync(t, a, b)
	events := b.Watch(t.Context(), replica.Now)
	name := "n"
	steps := []struct {
		edit model.Edit
		want model.Event
	}{
		{unread("c"), model.Event{Kind: "chat", Entity: "c"}},
		{model.Edit{Op: model.SettingSet, ID: "k", Scope: "account", Value: []byte("1")}, model.Event{Kind: "setting", Entity: "k"}},
		{model.Edit{Op: model.LabelSet, ID: "l", Name: &name}, model.Event{Kind: "label", Entity: "l"}},
		{model.Edit{Op: model.ContactSet, ID: "x", Contact: &model.ContactPatch{Fields: map[string]string{"name": name}}}, model.Event{Kind: "contact", Entity: "x"}},
		{model.Edit{Op: model.DeviceRename, ID: b.id.Device().String(), Name: &name}, model.Event{Kind: "device", Entity: b.id.Device().String()}},
	}
	for _, s := range steps {
		try(t, a.Apply(t.Context(), []model.Edit{s.edit}))
	}
	for i, ev := range take(t, events, len(steps)) {
		want := steps[i].want
		want.ID, want.Device = ev.ID, a.id.Device().String()
		if ev != want {
			t.Errorf("event %+v, want %+v", ev, want)
		}
	}
}
