package replica_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

// errEnd is what a store says that has lost its end.
var errEnd = errors.New("the end is missing")

// placed opens a device on what a memory store had, at a place.
func placed(t *testing.T, id *encryption.Identity, disk *store.Memory, place string) *device {
	t.Helper()
	return placedOn(t, id, newFaulty(disk.Snapshot()), place)
}

func placedOn(t *testing.T, id *encryption.Identity, s *faulty, place string) *device {
	t.Helper()
	d := &device{id: id, cable: newCable(), store: s}
	var err error
	d.Replica, err = replica.Open("", &replica.Config{Identity: id, Network: d.cable, Store: s, Place: []byte(place)})
	try(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

// faults is how many faults a device has reported.
func faults(t *testing.T, d *device) int {
	t.Helper()
	s, err := d.Status(t.Context())
	try(t, err)
	return s.Counts.Faults
}

// meetOnce connects two devices until they are equal, and parts them.
func meetOnce(t *testing.T, a, b *device) {
	t.Helper()
	cut := connect(a, b)
	ctx := t.Context()
	try(t, errors.Join(a.WaitInSync(ctx, b.id.Device()), b.WaitInSync(ctx, a.id.Device())))
	cut()
}

// equalDevices fails the test unless all show the same and are in order.
func equalDevices(t *testing.T, devices ...*device) {
	t.Helper()
	for _, d := range devices {
		if got, want := stateOf(t, d.Replica), stateOf(t, devices[0].Replica); got != want {
			t.Fatalf("they show\n%s\n%s", want, got)
		}
		verified(t, d.Replica)
	}
}

// A store that is opened at another place becomes another writer and says so,
// with what had not been sealed; both go on, and a third device has all of
// both. A store that is where it was says nothing.
func TestCopyWritesAsSomebodyElse(t *testing.T) {
	a, b := pair(t)
	disk := store.NewMemory()
	original := placed(t, a.id, disk, "here")
	meetOnce(t, original, b)
	ctx := t.Context()
	try(t, original.Apply(ctx, []model.Edit{unread("x"), {Op: model.ChatDraft, ID: "x", Text: new("typed")}}))
	try(t, original.Close())
	left := original.store.left

	original = placed(t, a.id, left, "here")
	twin := placed(t, a.id, left, "there")
	if faults(t, original) != 0 || faults(t, twin) != 1 {
		t.Fatalf("%d faults where it was, %d elsewhere", faults(t, original), faults(t, twin))
	}
	if got, want := chats(t, twin.Replica), chats(t, original.Replica); got != want || got != "x" {
		t.Fatalf("the copy shows %q, the original %q", got, want)
	}
	verified(t, twin.Replica)
	try(t, original.Apply(ctx, []model.Edit{unread("of the original")}))
	try(t, twin.Apply(ctx, []model.Edit{unread("of the copy")}))
	for range 2 {
		meetOnce(t, original, b)
		meetOnce(t, twin, b)
	}
	equalDevices(t, original, twin, b)
	if got := chats(t, b.Replica); got != "of the copy of the original x" {
		t.Errorf("chats are %q", got)
	}
	if faults(t, b) != 0 || faults(t, original) != 1 {
		t.Errorf("the other device has %d faults, the original %d", faults(t, b), faults(t, original))
	}
	try(t, twin.Close())
	if again := placed(t, a.id, twin.store.left, "there"); faults(t, again) != 0 {
		t.Error("the copy is reported again where it lives now")
	}
}

// A store that was put back and cannot tell hears of it from the other device
// before it seals anything. What it had lost comes back, and what it wrote
// before it knew stays.
func TestRollbackIsToldByOthers(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	try(t, a.Apply(ctx, []model.Edit{unread("kept")}))
	meetOnce(t, a, b)
	saved := a.store.Store.(*store.Memory).Snapshot()
	try(t, a.Apply(ctx, []model.Edit{unread("lost"), {Op: model.ChatDraft, ID: "kept", Text: new("lost draft")}}))
	meetOnce(t, a, b)
	try(t, a.Close())

	a = openOn(t, a.id, newFaulty(saved))
	try(t, a.Apply(ctx, []model.Edit{unread("written since"), {Op: model.ChatDraft, ID: "kept", Text: new("draft since")}}))
	if got := chats(t, a.Replica); got != "kept written since" {
		t.Fatalf("chats are %q", got)
	}
	events := a.Watch(ctx, replica.Now)
	meetOnce(t, a, b)
	await(t, events, func(ev model.Event) bool {
		return ev.Kind == "fault" && strings.Contains(ev.Note, "writes under a new identity from now on") && strings.Contains(ev.Note, b.id.Device().String())
	})
	equalDevices(t, a, b)
	if got := chats(t, b.Replica); got != "kept lost written since" {
		t.Errorf("chats are %q", got)
	}
	c, err := b.GetChat(ctx, "kept")
	if err != nil || len(c.Drafts) != 2 {
		t.Errorf("drafts are %+v, %v", c.Drafts, err)
	}
	if faults(t, a) != 1 || faults(t, b) != 0 {
		t.Errorf("%d faults, and %d at the other device", faults(t, a), faults(t, b))
	}
	try(t, a.Apply(ctx, []model.Edit{unread("later")}))
	meetOnce(t, a, b)
	equalDevices(t, a, b)
}

// A store that has lost its end becomes another writer, and if it cannot at
// once, because the disk is full or the process dies, takes no edit before it
// has.
func TestLostEndMakesANewWriter(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	try(t, a.Apply(ctx, []model.Edit{unread("x")}))
	try(t, a.Close())

	s := newFaulty(a.store.left)
	s.lost = errEnd
	commits := 0
	s.refusing(func(*store.Batch) error {
		if commits++; commits > 2 { // the note, and the event ids
			return errFull
		}
		return nil
	})
	a = openOn(t, a.id, s)
	if err := a.Apply(ctx, []model.Edit{unread("y")}); !errors.Is(err, replica.ErrDiskFull) {
		t.Fatalf("an edit of a writer that has lost its end gives %v", err)
	}
	a.Close()

	a = openOn(t, a.id, newFaulty(s.left)) // the store does not say it again
	if faults(t, a) == 0 {
		t.Fatal("it is forgotten that the end was lost")
	}
	try(t, a.Apply(ctx, []model.Edit{unread("y")}))
	meetOnce(t, a, b)
	equalDevices(t, a, b)
	if got := chats(t, b.Replica); got != "x y" {
		t.Errorf("chats are %q", got)
	}
	if s, err := b.Status(ctx); err != nil || s.Counts.Writers != 1 {
		t.Errorf("%d writers, %v: something was sealed under the old one", s.Counts.Writers, err)
	}
}

// Many documents and long runs of changes change their writer in one step.
func TestMuchChangesItsWriter(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	var edits []model.Edit
	for i := range 600 { // more documents than are kept in memory
		id := string(rune('a'+i%26)) + string(rune('a'+i/26))
		edits = append(edits, unread(id), model.Edit{Op: model.ChatMute, ID: id, Until: model.Time(i + 1)})
	}
	try(t, a.Apply(ctx, slices.Clone(edits)))
	before := stateOf(t, a.Replica)
	try(t, a.Close())
	s := newFaulty(a.store.left)
	s.lost = errEnd
	a = openOn(t, a.id, s)
	if stateOf(t, a.Replica) != before {
		t.Error("the state is another")
	}
	meetOnce(t, a, b)
	equalDevices(t, a, b)
}
