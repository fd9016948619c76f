package replica_test

import (
	"bufio"
	"net"
	"testing"
	"testing/synctest"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"

	"github.com/starling-sync/starling/crdt/model"
)

// An edit that was acknowledged after the stream was open and before the other
// device greeted is not sealed yet when the digests turn out to be equal. Who
// waits for the other device to hold everything waits for that edit too.
func TestEditBeforeGreetingIsPartOfBeingInSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := single(t)
		x, y := net.Pipe()
		other := encryption.DeviceID{1}
		d.cable.streams <- end{x, encryption.Peer{Device: other}}
		p := &puppet{y, wire.NewReader(bufio.NewReader(y))}
		hello := p.next(t).(*wire.Hello)
		try(t, d.Apply(t.Context(), []model.Edit{unread("c")}))
		synced := make(chan error, 1)
		go func() { synced <- d.WaitInSync(t.Context(), other) }()
		synctest.Wait()
		p.send(t, &wire.Hello{Digest: hello.Digest})
		envelope := p.next(t).(*wire.Envelope)
		synctest.Wait()
		if len(synced) > 0 {
			t.Error("in sync before the other device has the edit")
		}
		u, err := d.id.OpenEnvelope(envelope.Raw)
		try(t, err)
		p.send(t, &wire.Ack{Entries: []wire.Acked{{Writer: u.Writer, Seq: u.Seq}}})
		try(t, <-synced)
		try(t, d.Close())
	})
}

// Documents go out once what is in them is sealed: a change that is not may yet be
// written again by another writer, and would be in the other device's documents for
// good.
func TestDocumentsAreServedSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := single(t)
		x, y := net.Pipe()
		try(t, d.Apply(t.Context(), []model.Edit{unread("c")}))
		d.cable.streams <- end{x, encryption.Peer{Device: encryption.DeviceID{1}}}
		p := &puppet{y, wire.NewReader(bufio.NewReader(y))}
		hello := p.next(t).(*wire.Hello)
		commit := hold(d)
		p.send(t, &wire.Hello{Digest: hello.Digest})
		<-commit.begun // of the group that seals
		p.send(t, &wire.Want{})
		synctest.Wait()
		close(commit.free)
		if m, sealed := p.next(t).(*wire.Envelope); !sealed {
			t.Fatalf("%T came before what was not sealed", m)
		}
		for {
			if part, ok := p.next(t).(*wire.Part); ok {
				if part.More || len(part.Packed) == 0 {
					t.Errorf("the part is %+v", part)
				}
				break
			}
		}
		try(t, d.Close())
	})
}
