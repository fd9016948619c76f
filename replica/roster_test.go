package replica_test

import (
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
)

// A device that had no room for a part of the roster when it came takes it in when
// there is room, and is at the same point as the others then.
func TestRosterIsTakenInOnceThereIsRoom(t *testing.T) {
	id, words, err := encryption.Create(t.TempDir(), key(), &encryption.CreateOptions{Name: "a", Now: start})
	try(t, err)
	a := open(t, id)
	b := open(t, join(t, a, "b"))
	connect(a, b)
	inSync(t, a, b)
	events := b.Watch(t.Context(), replica.Now)
	b.store.failing(errFull)
	try(t, a.ReplaceWords(t.Context(), words, encryption.NewRecoveryWords(encryption.NewSecret([32]byte{1}))))
	await(t, events, func(ev model.Event) bool { return ev.Kind == "peer" && ev.Note == "disconnected" })
	b.store.failing(nil)
	connect(a, b)
	if err := b.WaitInSync(t.Context(), a.id.Device()); err != nil {
		t.Fatal(err)
	}
	v, err := b.Verify(t.Context())
	if err != nil || len(v.Peers) != 1 || v.Peers[0].Result != "equal" {
		t.Errorf("verification is %+v, %v", v, err)
	}
}
