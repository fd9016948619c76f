package replica_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
)

// three returns three devices of one account that are not connected and know
// of each other.
func three(t *testing.T) (a, b, c *device, words encryption.RecoveryWords) {
	t.Helper()
	id, words, err := encryption.Create(t.TempDir(), key(), &encryption.CreateOptions{Name: "a", Now: time.Now()})
	try(t, err)
	a = open(t, id)
	b = open(t, join(t, a, "b"))
	c = open(t, join(t, a, "c"))
	try(t, b.AdmitMembers(t.Context(), a.id.Ops()))
	return a, b, c, words
}

// getEqual connects two devices until both have everything.
func getEqual(t *testing.T, a, b *device) {
	t.Helper()
	cut := connect(a, b)
	inSync(t, a, b)
	cut()
}

func mute(t *testing.T, d *device, chat string) {
	t.Helper()
	try(t, d.Chat(chat).Mute(t.Context(), model.Forever))
}

func muted(t *testing.T, d *device, chat string) bool {
	t.Helper()
	c, err := d.GetChat(t.Context(), chat)
	if errors.Is(err, replica.ErrNotFound) {
		return false
	}
	try(t, err)
	return c.MutedUntil == model.Forever
}

// What a removed device wrote before is kept; what it writes after, not
// knowing, reaches nobody, and it learns why.
func TestRemovedDevice(t *testing.T) {
	a, b, c, _ := three(t)
	mute(t, c, "before")
	cut := connect(a, c)
	inSync(t, a, c)
	cut()
	removal, err := a.RemoveDevice(t.Context(), c.id.Device())
	try(t, err)
	if removal.Name != "c" || removal.By != a.id.Device().String() || len(removal.ConfirmedBy) != 1 || len(removal.Unconfirmed) != 1 {
		t.Errorf("removal %+v", removal)
	}
	mute(t, c, "after") // it does not know yet
	events := b.Watch(t.Context(), replica.Now)
	mute(t, a, "secret")
	getEqual(t, a, b)
	await(t, events, func(ev model.Event) bool { return ev.Kind == "member" && ev.Note == `device "c" removed by "a"` })
	if !muted(t, b, "before") || !muted(t, b, "secret") {
		t.Error("b lacks what members wrote, or what c wrote as one")
	}
	if all := b.Removals(); len(all) != 1 || len(all[0].ConfirmedBy) != 2 { // the word of b may not have reached a
		t.Errorf("not confirmed: %+v", all)
	}

	// A session that was authenticated before the removal was known.
	told := c.Watch(t.Context(), replica.Now)
	connect(b, c)
	await(t, told, func(ev model.Event) bool { return ev.Kind == "peer" && ev.Note == "disconnected" })
	try(t, c.AdmitMembers(t.Context(), a.id.Ops())) // as the hello does
	ev := await(t, told, func(ev model.Event) bool { return ev.Kind == "standing" })
	if ev.Note != `this device was removed by "a"` || c.Standing() != model.StandingRemoved {
		t.Errorf("c hears %q and is %s", ev.Note, c.Standing())
	}
	if muted(t, b, "after") || muted(t, a, "after") || muted(t, c, "secret") {
		t.Error("something crossed after the removal")
	}
	if err := c.Chat("x").Mute(t.Context(), model.Forever); !errors.Is(err, replica.ErrNotMember) {
		t.Errorf("a removed device writes: %v", err)
	}
}

// The removed device's whole key set opens nothing that is written by a device
// that knows of the removal.
func TestRemovedDeviceReadsNothingLater(t *testing.T) {
	a, b, c, _ := three(t)
	getEqual(t, a, c)
	_, err := a.RemoveDevice(t.Context(), c.id.Device())
	try(t, err)
	getEqual(t, a, b) // rotates before the first write
	mute(t, a, "later")
	mute(t, b, "later too")
	getEqual(t, a, b)
	if _, err := c.id.AdmitEpochs(a.id.EpochRecords()...); err != nil && !errors.Is(err, encryption.ErrMissingOperation) {
		t.Fatal(err)
	}
	sealed := envelopes(t, a)
	opened := 0
	for _, raw := range sealed {
		if u, err := c.id.OpenEnvelope(raw); err == nil {
			t.Logf("c opens %d of %v", u.Seq, u.Writer)
			opened++
		}
	}
	if len(sealed) < 2 || opened != 0 {
		t.Errorf("c opens %d of %d envelopes written after its removal", opened, len(sealed))
	}
	for _, raw := range sealed {
		if _, err := b.id.OpenEnvelope(raw); err != nil {
			t.Errorf("a member does not: %v", err)
		}
	}
}

// envelopes returns what a device's store holds of the log.
func envelopes(t *testing.T, d *device) (raws [][]byte) {
	t.Helper()
	try(t, d.store.Scan(tableLog, nil, nil, func(_, value []byte) error {
		var rec struct {
			_       struct{} `cbor:",toarray"`
			Arrival uint64
			Raw     []byte
		}
		try(t, cbor.Unmarshal(value, &rec))
		raws = append(raws, rec.Raw)
		return nil
	}))
	return raws
}

// Two devices remove each other: both are out, everywhere, and the account is
// frozen. The words bring one back without linking again.
func TestMutualRemovalFreezes(t *testing.T) {
	id, words, err := encryption.Create(t.TempDir(), key(), &encryption.CreateOptions{Name: "a", Now: time.Now()})
	try(t, err)
	a := open(t, id)
	b := open(t, join(t, a, "b"))
	mute(t, a, "one")
	getEqual(t, a, b)
	mute(t, b, "two") // waits unsealed
	_, err = a.RemoveDevice(t.Context(), b.id.Device())
	try(t, err)
	_, err = b.RemoveDevice(t.Context(), a.id.Device())
	try(t, err)
	try(t, a.AdmitMembers(t.Context(), b.id.Ops()))
	try(t, b.AdmitMembers(t.Context(), a.id.Ops()))
	if a.Standing() != model.StandingFrozen || b.Standing() != model.StandingFrozen {
		t.Fatalf("standing %s and %s", a.Standing(), b.Standing())
	}
	if !muted(t, a, "one") {
		t.Error("what is there cannot be read")
	}
	if err := a.Rotate(t.Context()); !errors.Is(err, replica.ErrNotMember) {
		t.Errorf("rotates while frozen: %v", err)
	}
	_, other, err := encryption.Create(t.TempDir(), key(), &encryption.CreateOptions{Name: "z", Now: time.Now()})
	try(t, err)
	if _, err := a.Recover(t.Context(), other); !errors.Is(err, encryption.ErrWords) {
		t.Errorf("other words: %v", err)
	}
	removals, err := a.Recover(t.Context(), words)
	try(t, err)
	if len(removals) != 1 || removals[0].By != "" || a.Standing() != model.StandingMember {
		t.Fatalf("recovered %+v, standing %s", removals, a.Standing())
	}
	mute(t, a, "three")
	try(t, b.AdmitMembers(t.Context(), a.id.Ops()))
	if b.Standing() != model.StandingRemoved {
		t.Errorf("b is %s", b.Standing())
	}
	if _, err := a.Recover(t.Context(), words); !errors.Is(err, replica.ErrNotFound) {
		t.Errorf("recovers from nothing: %v", err)
	}
	// A device that is linked now gets everything.
	c := open(t, join(t, a, "c"))
	connect(a, c)
	inSync(t, a, c)
	if !muted(t, c, "one") || !muted(t, c, "three") {
		t.Error("the new device lacks something")
	}
}

// A member that merged more of a removed device than its remover had seen
// vouches for it: what was merged is never taken back, and all agree.
func TestMoreThanTheRemoverHadSeen(t *testing.T) {
	a, b, c, _ := three(t)
	mute(t, c, "all")
	getEqual(t, a, c)
	getEqual(t, b, c)
	mute(t, c, "only b")
	getEqual(t, b, c)
	_, err := a.RemoveDevice(t.Context(), c.id.Device())
	try(t, err)
	mute(t, a, "from a")
	mute(t, b, "from b") // rests on what only b has
	getEqual(t, a, b)
	for _, d := range []*device{a, b} {
		for _, chat := range []string{"all", "only b", "from a", "from b"} {
			if !muted(t, d, chat) {
				t.Errorf("%q is missing on one", chat)
			}
		}
	}
	// And after everybody has restarted.
	getEqual(t, reopen(t, a), reopen(t, b))
}

// Rotation on demand, with a device that was away: it reads what came before and
// after, and can seal for those who know the new epoch.
func TestRotateWhileOneIsAway(t *testing.T) {
	a, b, c, _ := three(t)
	getEqual(t, a, b)
	tag, _ := a.id.CurrentEpoch()
	try(t, a.Rotate(t.Context()))
	if now, _ := a.id.CurrentEpoch(); now == tag {
		t.Fatal("no new epoch")
	}
	mute(t, a, "new")
	mute(t, c, "old")
	getEqual(t, a, b)
	getEqual(t, b, c)
	getEqual(t, a, b)
	if !muted(t, c, "new") || !muted(t, a, "old") {
		t.Error("something is missing")
	}
	one, _ := a.id.CurrentEpoch()
	two, _ := c.id.CurrentEpoch()
	if one != two {
		t.Errorf("epochs %v and %v", one, two)
	}
	getEqual(t, reopen(t, a), c)
}

// A device whose key has served its time replaces it, and still opens everything
// after a restart.
func TestRekeyWhenDue(t *testing.T) {
	id := create(t) // begun years ago
	a := open(t, id)
	b := open(t, join(t, a, "b"))
	before, _ := a.id.Member(a.id.Device())
	mute(t, a, "one")
	getEqual(t, a, b)
	after, _ := b.id.Member(a.id.Device())
	if string(before.HPKEKey) == string(after.HPKEKey) {
		t.Fatal("the key is the old one")
	}
	try(t, b.Rotate(t.Context()))
	mute(t, b, "two")
	getEqual(t, a, b)
	if !muted(t, a, "two") {
		t.Error("the new epoch was not opened")
	}
	if a.id.NeedsRekey(time.Now()) {
		t.Error("still due")
	}
}

// This device leaves: the others hear of it at once.
func TestLeave(t *testing.T) {
	a, b, _, _ := three(t)
	connect(a, b)
	inSync(t, a, b)
	told := a.Watch(t.Context(), replica.Now)
	_, err := b.RemoveDevice(t.Context(), b.id.Device())
	try(t, err)
	await(t, told, func(ev model.Event) bool { return ev.Kind == "member" && ev.Note == `device "b" left` })
	if b.Standing() != model.StandingRemoved {
		t.Errorf("b is %s", b.Standing())
	}
	if _, err := a.RemoveDevice(t.Context(), b.id.Device()); !errors.Is(err, replica.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// A program that goes wild does not fill the membership log, and what happens by
// itself is not held up by it.
func TestOperationsAreLimited(t *testing.T) {
	a, b, c, _ := three(t)
	var err error
	for range 40 {
		if err = a.Rotate(t.Context()); err != nil {
			break
		}
	}
	if !errors.Is(err, encryption.ErrOperationRate) {
		t.Fatalf("goes on for ever: %v", err)
	}
	_, err = b.RemoveDevice(t.Context(), c.id.Device())
	try(t, err)
	getEqual(t, a, b)
	if all := a.Removals(); len(all) != 1 || len(all[0].ConfirmedBy) != 2 { // the word of a may not have reached b
		t.Errorf("not confirmed: %+v", all)
	}
}
