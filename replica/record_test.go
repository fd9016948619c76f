package replica_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/store"
)

var busy = account.Ref{Kind: account.KindChat, Entity: "busy"}

// noise is text that does not get shorter than three quarters.
func noise(seed, length int) string {
	r := rand.New(rand.NewPCG(uint64(seed), 0))
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	b := make([]byte, length)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

// labels makes so many changes of one chat.
func labels(t *testing.T, d *device, from, n int) {
	t.Helper()
	for i := range n {
		try(t, d.Apply(t.Context(), []model.Edit{{Op: model.ChatLabel, ID: busy.Entity, Label: noise(from+i, 100)}}))
	}
}

func keptAs(t *testing.T, d *device) (saved, packs int) {
	t.Helper()
	saved, packs, err := d.Record(t.Context(), busy)
	try(t, err)
	return saved, packs
}

// A record grows by packs of changes, which become one now and then. Automerge saves
// the document when they are many, and when the device rests.
func TestRecordsGrowAndAreSaved(t *testing.T) {
	d := open(t, create(t))
	labels(t, d, 0, 1)
	if saved, packs := keptAs(t, d); saved != 0 || packs != 1 {
		t.Errorf("a new document has %d bytes saved and %d packs", saved, packs)
	}
	most := 0
	saved := 0
	for n := 1; n < 400 && saved == 0; n++ {
		labels(t, d, n, 1)
		var packs int
		saved, packs = keptAs(t, d)
		most = max(most, packs)
	}
	if saved == 0 || most < 2 || most > 40 {
		t.Errorf("%d bytes saved after 400 changes, %d packs at most", saved, most)
	}
	labels(t, d, 400, 12)
	if _, packs := keptAs(t, d); packs == 0 {
		t.Fatal("no packs")
	}
	want := stateOf(t, d.Replica)
	try(t, d.Rest(t.Context()))
	if rested, packs := keptAs(t, d); packs != 0 || rested <= saved {
		t.Errorf("%d bytes saved and %d packs after a rest, %d bytes before", rested, packs, saved)
	}
	d = reopen(t, d)
	if got := stateOf(t, d.Replica); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	verified(t, d.Replica)
}

// One call edits more documents than the memory holds: those that make room are written
// at once, and what is still in memory is saved when the device rests, a few at a time.
func TestManyDocumentsAtOnce(t *testing.T) {
	const many = 5000
	d := open(t, create(t))
	var edits []model.Edit
	for i := range many {
		for word := range 3 {
			edits = append(edits, model.Edit{Op: model.ChatLabel, ID: fmt.Sprint("chat ", i), Label: noise(3*i+word, 500)})
		}
	}
	try(t, d.Apply(t.Context(), edits))
	want := stateOf(t, d.Replica)
	try(t, d.Rest(t.Context()))
	saved := 0
	for i := range many {
		n, packs, err := d.Record(t.Context(), chatRef(fmt.Sprint("chat ", i)))
		if err != nil || (n > 0) != (packs == 0) {
			t.Fatalf("chat %d has %d bytes saved and %d packs, %v", i, n, packs, err)
		}
		if n > 0 {
			saved++
		}
	}
	if saved < many/2 || saved == many {
		t.Errorf("%d documents of %d were saved, and some have left the memory", saved, many)
	}
	d = reopen(t, d)
	if got := stateOf(t, d.Replica); got != want {
		t.Error("another state after a restart")
	}
	verified(t, d.Replica)
}

// A document whose changes are too many for a message is saved by Automerge before it is
// sent to a new device, and the changes since then with it.
func TestLargeDocumentsAreSentSaved(t *testing.T) {
	a, other := pair(t)
	try(t, a.ShortenLogs(t.Context(), 8, 30))
	connect(a, other)
	inSync(t, a, other)
	writes(t, a, "x", 40)
	const times = 6
	for i := range times {
		var edits []model.Edit
		for key := range 100 {
			value, err := json.Marshal(strings.Repeat("0", 16_000) + fmt.Sprint(i))
			try(t, err)
			edits = append(edits, model.Edit{Op: model.SettingSet, ID: fmt.Sprint("large.", key), Scope: "account", Value: value})
		}
		try(t, a.Apply(t.Context(), edits))
	}
	try(t, a.Settings("account").Set(t.Context(), "small", 1))
	if saved, packs, err := a.Record(t.Context(), account.Ref{Kind: account.KindSettings}); err != nil || saved == 0 || packs == 0 {
		t.Fatalf("%d bytes saved, %d packs, %v", saved, packs, err)
	}
	inSync(t, a, other)
	b := open(t, join(t, a, "b"))
	connect(a, b)
	settled(t, a, b)
	var got string
	if err := b.Settings("account").Get(t.Context(), "large.7", &got); err != nil || !strings.HasSuffix(got, fmt.Sprint(times-1)) {
		t.Errorf("%d characters, %v", len(got), err)
	}
}

// A document that ends the process when Automerge saves it is kept as its changes after
// that has happened three times. It is blamed alone, whatever else was under way.
func TestDeadlyDocumentIsKeptAsItsChanges(t *testing.T) {
	id := create(t)
	left := &remains{disk: store.NewMemory()}
	d, _ := life(t, id, left, [32]byte{})
	mark, err := d.MarkOf(t.Context(), busy)
	try(t, err)
	for lives := 1; ; lives++ {
		d, n := life(t, id, left, mark)
		labels(t, d, 100*lives, 20)
		try(t, d.Rest(t.Context()))
		died := n.end()
		if died == nil {
			if lives != 4 {
				t.Errorf("it was tried %d times", lives-1)
			}
			break
		}
		if lives > 4 {
			t.Fatal("it is saved again and again")
		}
		if !slices.Contains(died.held, mark) {
			t.Fatalf("the journal has %x", died.held)
		}
		died.held = slices.Concat([][32]byte{{1}, {2}}, died.held) // envelopes of the same group
		left = died
	}
	d, n := life(t, id, left, mark)
	labels(t, d, 1000, 100)
	try(t, d.Rest(t.Context()))
	if saved, packs := keptAs(t, d); saved != 0 || packs == 0 || n.end() != nil {
		t.Errorf("%d bytes are saved, %d packs", saved, packs)
	}
	verified(t, d.Replica)
}
