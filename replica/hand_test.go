package replica_test

import (
	"bytes"
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/hand"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

func driven(t *testing.T, id *encryption.Identity) hand.Replica {
	t.Helper()
	r, err := hand.Open(&hand.Config{
		Identity: id, Store: store.NewMemory(), Log: slog.New(slog.DiscardHandler),
		Clock: func() time.Time { return start }, Random: rand.Reader,
	})
	try(t, err)
	return r
}

// relay hands over what two links have to send, until that is nothing.
func relay(t *testing.T, a, b hand.Link) {
	t.Helper()
	for {
		fromA, fromB := a.Take(), b.Take()
		if len(fromA)+len(fromB) == 0 {
			return
		}
		for _, way := range []struct {
			bytes []byte
			to    hand.Link
		}{{fromA, b}, {fromB, a}} {
			in := bytes.NewReader(way.bytes)
			for r := wire.NewReader(in); in.Len() > 0; {
				m, err := r.Read()
				try(t, err)
				way.to.Receive(m)
			}
		}
	}
}

// add lets a driven replica add a device.
func add(t *testing.T, sponsor hand.Replica, name string) *encryption.Identity {
	t.Helper()
	j, err := encryption.NewJoiner(&encryption.JoinOptions{Name: name})
	try(t, err)
	welcome, err := sponsor.AddDevice(j.Request(encryption.Hash{1}))
	try(t, err)
	try(t, j.OpenWelcome(encryption.Hash{1}, welcome))
	id, err := j.Identity()
	try(t, err)
	return id
}

// commit makes what is in flight durable; it returns false if nothing was.
func commit(replicas ...hand.Replica) (some bool) {
	for _, r := range replicas {
		if r.Flying() {
			r.Write()
			r.Finish()
			some = true
		}
	}
	return some
}

// Own changes that wait to be sealed are no difference between two devices: they
// cannot be compared as long as there are some.
func TestCompareWithBacklog(t *testing.T) {
	founder := create(t)
	a := driven(t, founder)
	joined := add(t, a, "b")
	b := driven(t, joined)
	acknowledged := false
	try(t, a.Apply([]model.Edit{unread("x")}, func(err error) { try(t, err); acknowledged = true }))
	commit(a)
	if !acknowledged || !a.Backlog() {
		t.Fatal("the edit does not wait to be sealed")
	}
	x, y := a.Attach(joined.Device()), b.Attach(founder.Device())
	relay(t, x, y)
	if !a.Flying() || !a.Backlog() {
		t.Fatal("the edit is not being sealed")
	}
	compare := func(want string) {
		t.Helper()
		results := a.Compare([8]byte{1})
		relay(t, x, y)
		if got := results(); len(got) != 1 || got[0].Result != want {
			t.Errorf("the comparison is %+v, want %q", got, want)
		}
	}
	compare("not comparable")
	for commit(a, b) {
		relay(t, x, y)
	}
	compare("equal")
}

// What a device seals in an epoch that it has made before it heard of another one
// can be read by that one too, which gets it over a third.
func TestEpochIsHandedOnToWhoIsConnected(t *testing.T) {
	founder := create(t)
	a := driven(t, founder)
	idB, idC := add(t, a, "b"), add(t, a, "c")
	b, c := driven(t, idB), driven(t, idC)
	toC, fromC := a.Attach(idC.Device()), c.Attach(founder.Device())
	relay(t, toC, fromC)
	try(t, b.Rotate())
	try(t, b.Apply([]model.Edit{unread("x")}, func(err error) { try(t, err) }))
	commit(b)
	toB, fromB := a.Attach(idB.Device()), b.Attach(founder.Device())
	for more := true; more; more = commit(a, b, c) {
		relay(t, toB, fromB)
		relay(t, toC, fromC)
	}
	if _, err := c.GetChat("x"); err != nil {
		t.Errorf("what was sealed in the new epoch: %v", err)
	}
}
