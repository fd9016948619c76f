package replica_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica"
)

var written atomic.Int64

// writes makes n changes to chats, each an envelope of its own while somebody is
// there.
func writes(t *testing.T, d *device, word string, n int) {
	t.Helper()
	for range n {
		i := int(written.Add(1))
		id := fmt.Sprint(word, i%20)
		edit := model.Edit{Op: model.ChatMute, ID: id, Until: model.Time(i + 1)}
		if i%3 == 0 {
			edit = model.Edit{Op: model.ChatRead, ID: id, At: &model.Position{Time: model.Time(i), ID: "m"}}
		}
		try(t, d.Apply(t.Context(), []model.Edit{edit}))
	}
}

func kept(t *testing.T, d *device) int {
	t.Helper()
	s, err := d.Status(t.Context())
	try(t, err)
	return s.Counts.Envelopes
}

// settled says that two devices are in sync and hold the same, and that what they
// hold is whole.
func settled(t *testing.T, a, b *device) {
	t.Helper()
	inSync(t, a, b)
	sa, err := a.Status(t.Context())
	try(t, err)
	sb, err := b.Status(t.Context())
	try(t, err)
	if sa.Fingerprint != sb.Fingerprint || sa.Frontier != sb.Frontier || stateOf(t, a.Replica) != stateOf(t, b.Replica) {
		t.Fatalf("not equal:\n%+v\n%+v", sa, sb)
	}
	verified(t, a.Replica)
	verified(t, b.Replica)
}

// A new device gets documents in place of a long log, and goes on from there in
// both directions, also after a restart.
func TestNewDeviceGetsSnapshot(t *testing.T) {
	a, b := pair(t)
	try(t, a.ShortenLogs(t.Context(), 1000, 2000))
	connect(a, b)
	inSync(t, a, b)
	writes(t, a, "x", 200)
	writes(t, b, "y", 100)
	inSync(t, a, b)
	c := open(t, join(t, a, "c"))
	try(t, c.Chat("mine").Mute(t.Context(), model.Forever))
	cut := connect(a, c)
	settled(t, a, c)
	if got := kept(t, c); got > 10 {
		t.Errorf("the new device holds %d envelopes", got)
	}
	writes(t, b, "z", 10)
	writes(t, c, "z", 10)
	together(t, a, b)
	together(t, a, c)
	settled(t, a, b)
	settled(t, a, c)
	cut()
	c = reopen(t, c)
	writes(t, a, "later", 5)
	inSync(t, a, b)
	connect(b, c)
	settled(t, b, c)
}

// What all members have leaves the log. A device that was away for longer than
// the rest is kept gets documents, and loses nothing of its own.
func TestLongAbsence(t *testing.T) {
	a, b := pair(t)
	c := open(t, join(t, a, "c"))
	for _, d := range []*device{a, b, c} {
		try(t, d.ShortenLogs(t.Context(), 8, 60))
	}
	cutB, cutC := connect(a, b), connect(a, c)
	inSync(t, a, b)
	inSync(t, a, c)
	writes(t, a, "x", 40)
	inSync(t, a, b)
	inSync(t, a, c)
	writes(t, b, "x", 8)
	inSync(t, a, b)
	inSync(t, a, c)
	writes(t, a, "x", 8)
	inSync(t, a, b)
	if got := kept(t, a); got > 30 {
		t.Errorf("%d envelopes are kept that all devices have", got)
	}
	cutC()
	writes(t, c, "x", 30) // nobody hears of it
	before := kept(t, a)
	writes(t, a, "x", 40)
	inSync(t, a, b)
	if got := kept(t, a); got < before+30 {
		t.Errorf("%d envelopes are kept for the device that is away, %d before", got, before)
	}
	writes(t, b, "x", 60)
	inSync(t, a, b)
	writes(t, a, "x", 4) // a look at the log, behind all that came
	if got := kept(t, a); got > 70 {
		t.Errorf("%d envelopes are kept, and the device does not come back", got)
	}
	connect(a, c)
	settled(t, a, c)
	settled(t, a, b)
	cutB()
	writes(t, c, "y", 5)
	connect(b, c)
	settled(t, b, c)
}

// A device that was away has most of the documents as they are. Parts that hold
// nothing new are gone over.
func TestSnapshotOfWhatIsKnown(t *testing.T) {
	a, b := pair(t)
	c := open(t, join(t, a, "c"))
	try(t, a.ShortenLogs(t.Context(), 8, 60))
	connect(a, b)
	cut := connect(a, c)
	writes(t, a, "x", 60)
	inSync(t, a, b)
	inSync(t, a, c)
	cut()
	for i := range 90 {
		try(t, b.Apply(t.Context(), []model.Edit{{Op: model.ChatMute, ID: "one", Until: model.Time(i + 1)}}))
	}
	inSync(t, a, b)
	if got := kept(t, a); got > 80 {
		t.Fatalf("%d envelopes are kept: the device that was away lacks none that was dropped", got)
	}
	connect(a, c)
	settled(t, a, c)
}

// A transfer of documents that is cut goes on with whoever is there, and what was
// written meanwhile is not missed.
func TestSnapshotThatIsCut(t *testing.T) {
	a, b := pair(t)
	try(t, a.ShortenLogs(t.Context(), 1000, 2000))
	try(t, b.ShortenLogs(t.Context(), 1000, 2000))
	connect(a, b)
	inSync(t, a, b)
	writes(t, a, "x", 300)
	inSync(t, a, b)
	c := open(t, join(t, a, "c"))
	for i := range 5 {
		events := c.Watch(t.Context(), replica.Now)
		cut := connect([]*device{a, b}[i%2], c)
		await(t, events, func(ev model.Event) bool { return ev.Kind == "chat" })
		cut()
		writes(t, b, "x", 3)
	}
	connect(b, c)
	settled(t, b, c)
}

// A document that is damaged where the log does not go back far enough comes from
// another device.
func TestDamagedDocumentComesFromAnotherDevice(t *testing.T) {
	a, b := pair(t)
	connect(a, b)
	try(t, a.ShortenLogs(t.Context(), 4, 30))
	inSync(t, a, b)
	writes(t, a, "x", 30)
	inSync(t, a, b)
	writes(t, b, "x", 4)
	inSync(t, a, b)
	ref, err := account.RefOf(unread("x1"))
	try(t, err)
	id := ref.ID([32]byte(a.id.Account()))
	a = reopen(t, a)
	a.store.damage(tableDocs, id[:])
	if err := a.Chat("x1").Mute(t.Context(), model.Forever); err == nil {
		t.Fatal("a damaged document was changed")
	}
	events := a.Watch(t.Context(), replica.Now)
	connect(a, b)
	await(t, events, func(ev model.Event) bool { return ev.Kind == "chat" })
	try(t, a.Chat("x1").Mute(t.Context(), model.Forever))
	settled(t, a, b)
}

// All devices that are there are asked for a damaged document, and the second answer
// does no harm.
func TestDamagedDocumentComesTwice(t *testing.T) {
	a, b := pair(t)
	c := open(t, join(t, a, "c"))
	try(t, a.ShortenLogs(t.Context(), 4, 30))
	connect(a, b)
	connect(a, c)
	inSync(t, a, b)
	inSync(t, a, c)
	writes(t, a, "x", 60)
	inSync(t, a, b)
	inSync(t, a, c)
	ref, err := account.RefOf(unread("x1"))
	try(t, err)
	id := ref.ID([32]byte(a.id.Account()))
	a = reopen(t, a)
	connect(a, b)
	connect(a, c)
	inSync(t, a, b)
	inSync(t, a, c)
	a.store.damage(tableDocs, id[:])
	events := a.Watch(t.Context(), replica.Now)
	if err := a.Chat("x1").Mute(t.Context(), model.Forever); err == nil {
		t.Fatal("a damaged document was changed")
	}
	await(t, events, func(ev model.Event) bool { return ev.Kind == "chat" })
	try(t, a.Chat("x1").Mute(t.Context(), model.Forever))
	settled(t, a, b)
	settled(t, a, c)
	s, err := a.Status(t.Context())
	try(t, err)
	if s.Counts.Faults > 0 {
		t.Errorf("%d faults", s.Counts.Faults)
	}
}

// A backup of a device whose log is short holds what is in its documents.
func TestBackupOfAShortLog(t *testing.T) {
	a, words := founded(t)
	b := open(t, join(t, a, "b"))
	connect(a, b)
	try(t, a.ShortenLogs(t.Context(), 4, 30))
	inSync(t, a, b)
	writes(t, a, "x", 50)
	writes(t, b, "y", 20)
	inSync(t, a, b)
	if got := kept(t, a); got > 40 {
		t.Fatalf("%d envelopes are kept", got)
	}
	c, err := restore(t, backup(t, a), words)
	try(t, err)
	sameContent(t, a, c)
	connect(b, c)
	settled(t, b, c)
}

// Documents that come hold another change under the number of one that is here, and what
// rests on it. That is left out and told, and all else is taken.
func TestForksAreLeftOutOfSnapshots(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	c := open(t, join(t, a, "c"))
	try(t, b.ShortenLogs(ctx, 8, 30))
	connect(a, b)
	cut := connect(a, c)
	for i := range 3 {
		try(t, a.Chat("one").Mute(ctx, model.Time(i+1)))
	}
	inSync(t, a, c)
	inSync(t, a, b)
	cut()
	mine := changesOf(t, c, chatRef("one"))
	var forged crdt.Change
	spoilOne(t, b, func(t *testing.T, all []crdt.Change) []crdt.Change {
		forged = forge(t, all, 2, all[2].Actor)
		doc := crdt.NewDocument(crdt.Writer{9})
		_, err := doc.Apply(append(slices.Clone(all[:2]), forged))
		try(t, err)
		e := doc.Edit(4_000_000_000_001)
		try(t, account.Apply(e, model.Edit{Op: model.ChatMute, ID: "rests", Until: 78}))
		on, err := e.Commit()
		try(t, err)
		return append(slices.Clone(all[:2]), forged, *on)
	})
	writes(t, b, "x", 60)
	try(t, a.Close())
	events := c.Watch(ctx, replica.Now)
	connect(b, c)
	await(t, events, func(ev model.Event) bool {
		return ev.Kind == "fault" && strings.Contains(ev.Note, "2 changes of a snapshot are left out")
	})
	await(t, events, func(ev model.Event) bool { return ev.Kind == "chat" && strings.HasPrefix(ev.Entity, "x") })
	if got := changesOf(t, c, chatRef("one")); len(got) != 3 || got[2].Hash != mine[2].Hash || forged.Hash == mine[2].Hash {
		t.Errorf("%d changes, the third is %s, was %s", len(got), got[2].Hash, mine[2].Hash)
	}
}
