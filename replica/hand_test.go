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

// Own changes that wait to be sealed are no difference between two devices: they
// cannot be compared as long as there are some.
func TestCompareWithBacklog(t *testing.T) {
	founder := create(t)
	a := driven(t, founder)
	j, err := encryption.NewJoiner(&encryption.JoinOptions{Name: "b"})
	try(t, err)
	welcome, err := a.AddDevice(j.Request(encryption.Hash{1}))
	try(t, err)
	try(t, j.OpenWelcome(encryption.Hash{1}, welcome))
	joined, err := j.Identity()
	try(t, err)
	b := driven(t, joined)
	acknowledged := false
	try(t, a.Apply([]model.Edit{unread("x")}, func(err error) { try(t, err); acknowledged = true }))
	a.Write()
	a.Finish()
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
	for a.Flying() || b.Flying() {
		for _, r := range []hand.Replica{a, b} {
			if r.Flying() {
				r.Write()
				r.Finish()
			}
		}
		relay(t, x, y)
	}
	compare("equal")
}
