package replica_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

// orphaned returns a member and a device that hears from it that it was added in
// vain: by one that the member had removed before it knew. The orphan has written
// what it has sealed for its sponsor and what it has not sealed.
func orphaned(t *testing.T) (member, orphan *device) {
	t.Helper()
	a, b := pair(t)
	home, id := joinAt(t, b, "c")
	c := open(t, id)
	c.home = home
	mute(t, c, "sealed")
	parted := c.Watch(t.Context(), replica.Now)
	getEqual(t, b, c)
	await(t, parted, func(ev model.Event) bool { return ev.Kind == "peer" && ev.Note == "disconnected" })
	mute(t, c, "waiting")
	_, err := a.RemoveDevice(t.Context(), b.id.Device())
	try(t, err)
	told := c.Watch(t.Context(), replica.Now)
	try(t, c.AdmitMembers(t.Context(), a.id.Ops()))
	await(t, told, func(ev model.Event) bool { return ev.Kind == "standing" && ev.Entity == string(model.StandingOrphaned) })
	try(t, a.AdmitMembers(t.Context(), c.id.Ops())) // it learns whom b had added
	return a, c
}

// A device that was added in vain is added again in one step: it goes by another
// id, keeps its keys, and brings all that it wrote under the first one.
func TestOrphanComesBack(t *testing.T) {
	a, c := orphaned(t)
	was := c.id.Device()
	if err := c.Chat("x").Mute(t.Context(), model.Forever); !errors.Is(err, replica.ErrNotMember) {
		t.Fatalf("an orphan writes: %v", err)
	}
	is, err := a.ReaddDevice(t.Context(), was)
	try(t, err)
	told := c.Watch(t.Context(), replica.Now)
	try(t, c.AdmitMembers(t.Context(), a.id.Ops())) // as the hello does
	ev := await(t, told, func(ev model.Event) bool { return ev.Kind == "standing" })
	if ev.Entity != string(model.StandingMember) || ev.Device != is.String() || c.id.Device() != is || is == was {
		t.Fatalf("c hears %+v and is %v, was %v", ev, c.id.Device(), was)
	}
	mute(t, c, "after")
	getEqual(t, a, c)
	for _, chat := range []string{"sealed", "waiting", "after"} {
		if !muted(t, a, chat) {
			t.Errorf("the member lacks what the orphan wrote: %s", chat)
		}
	}
	equalDevices(t, a, c)

	// The identity file has the first id only.
	try(t, c.Close())
	id, err := encryption.OpenIdentity(c.home, key())
	try(t, err)
	again := openOn(t, id, newFaulty(c.store.left))
	if again.id.Device() != is {
		t.Fatalf("after a restart it is %v", again.id.Device())
	}
	mute(t, again, "restarted")
	getEqual(t, a, again)
	equalDevices(t, a, again)
	if n := faults(t, again); n != 0 {
		t.Errorf("%d faults", n)
	}
}

// Power is lost after the orphan has heard of its new id and before it writes
// under it; nothing that it wrote before is.
func TestOrphanComesBackAfterACrash(t *testing.T) {
	a, c := orphaned(t)
	is, err := a.ReaddDevice(t.Context(), c.id.Device())
	try(t, err)
	c.store.refusing(func(b *store.Batch) error {
		for op := range b.Ops() {
			if bytes.Equal(op.Key, []byte("format")) {
				return errFull
			}
		}
		return nil
	})
	try(t, c.AdmitMembers(t.Context(), a.id.Ops()))
	if err := c.Chat("x").Mute(t.Context(), model.Forever); !errors.Is(err, replica.ErrDiskFull) {
		t.Fatalf("it writes under an id that is not stored: %v", err)
	}
	try(t, c.Close())
	id, err := encryption.OpenIdentity(c.home, key())
	try(t, err)
	c = openOn(t, id, newFaulty(c.store.left))
	if c.id.Device() != is {
		t.Fatalf("it is %v, not %v", c.id.Device(), is)
	}
	getEqual(t, a, c)
	if !muted(t, a, "sealed") || !muted(t, a, "waiting") || muted(t, a, "x") {
		t.Error("not what it wrote")
	}
	equalDevices(t, a, c)
}
