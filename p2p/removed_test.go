package p2p_test

import (
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
)

const outMessage = "this device is not a member of its account any more"

// TestRemovedDeviceIsTold over both transports, whoever dials, in the epoch that
// it knows. Nobody gets a stream, the removed device knows why, says so once, and
// dials again after half an hour at the earliest.
func TestRemovedDeviceIsTold(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		for _, dials := range []string{"removed", "member"} {
			t.Run(transport+", dials: "+dials, func(t *testing.T) {
				ids := p2ptest.Account(t, 3)
				member, removed := ids[0], ids[1]
				p2ptest.Remove(t, member, removed.Device())
				p2ptest.Rotate(t, member)
				logs := newLogWatch()
				pauses := make(chan time.Duration, 10)
				conf := &p2p.Config{Log: logs.logger()}
				other := &p2p.Config{}
				slow := conf
				if dials == "member" {
					slow = other
				}
				clock := &setClock{now: time.Now()}
				slow.SetClock(clock.time, func(d time.Duration) <-chan time.Time {
					if d <= 250*time.Millisecond { // the next epoch
						return time.After(0)
					}
					pauses <- d
					return nil
				})
				var m, r *p2p.Host
				if dials == "removed" {
					m = p2ptest.Listen(t, member, other)
					conf.Peers = []string{addrWith(t, m, transport)}
					r = p2ptest.Listen(t, removed, conf)
				} else {
					r = p2ptest.Listen(t, removed, conf)
					other.Peers = []string{addrWith(t, r, transport)}
					m = p2ptest.Listen(t, member, other)
				}
				nobody(t, r)
				nobody(t, m)
				logs.await(t, outMessage)
				if d := <-pauses; d < 30*time.Minute {
					t.Errorf("dials again after %v", d)
				}
				if s := removed.Standing(); s.State != encryption.StandingRemoved || s.Removal.Author != member.Device() {
					t.Errorf("standing %+v", s)
				}
				clock.add(day)
				r.Refresh()
				nobody(t, r)
				nobody(t, m)
				for len(logs.lines) > 0 {
					if <-logs.lines == outMessage {
						t.Error("said so twice")
					}
				}
			})
		}
	}
}

// TestRemovedDeviceGetsNothingElse: after its last frame of the hello the
// connection closes without another byte, as for a stranger.
func TestRemovedDeviceGetsNothingElse(t *testing.T) {
	ids := p2ptest.Account(t, 3)
	p2ptest.Remove(t, ids[0], ids[1].Device())
	a := p2ptest.Listen(t, ids[0], nil)
	for _, transport := range []string{"udp", "tcp"} {
		s := stranger(t)
		conn, err := s.Dial(t.Context(), addrWith(t, a, transport))
		if err != nil {
			t.Fatal(err)
		}
		stream, err := conn.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stream.SetDeadline(time.Now().Add(3 * p2p.HelloTime))
		hello := ids[1].NewHello(true, []byte(conn.LocalPeer()), []byte(conn.RemotePeer()), time.Now(), rand.Reader)
		greeting, _, err := hello.Next(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Write(frames(p2p.SyncProtocol, string(greeting))); err != nil {
			t.Fatal(err)
		}
		answer, err := p2p.ReadFrame(stream, p2p.MaxHelloFrame)
		if err != nil {
			t.Fatal(err)
		}
		last, _, err := hello.Next(answer)
		var out *encryption.RemovedError
		if !errors.As(err, &out) || out.Device != ids[1].Device() {
			t.Fatalf("the hello of a removed device: %v", err)
		}
		if err := p2p.WriteFrame(stream, last); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(stream)
		if len(rest) != 0 || p2p.TimedOut(err) {
			t.Errorf("%s: got %q, %v", transport, rest, err)
		}
		_, want := say(t, s, addrWith(t, a, transport), frames(p2p.SyncProtocol, "x"))
		if ending(err) != ending(want) {
			t.Errorf("%s: ends with %q, for a stranger with %q", transport, ending(err), ending(want))
		}
		conn.Close()
	}
	nobody(t, a)
}

// TestMemberLearnsThatItIsOut: the one that is out is the one that is dialled and
// has the news, and passes them on.
func TestMemberLearnsThatItIsOut(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	p2ptest.Remove(t, ids[0], ids[1].Device())
	p2ptest.Remove(t, ids[1], ids[0].Device())
	admitted := make(chan int, 10)
	conf := func(id *encryption.Identity, peers ...string) *p2p.Config {
		return &p2p.Config{Peers: peers, Admit: func(ops [][]byte) {
			added, err := id.Admit(ops...)
			if err != nil {
				t.Error(err)
			}
			admitted <- len(added)
		}}
	}
	a := p2ptest.Listen(t, ids[0], conf(ids[0]))
	b := p2ptest.Listen(t, ids[1], conf(ids[1], a.Addrs()...))
	nobody(t, b)
	for range 2 {
		if n := <-admitted; n != 1 {
			t.Errorf("admitted %d operations", n)
		}
	}
	for _, id := range ids {
		if s := id.Standing(); s.State != encryption.StandingRemoved || !s.Frozen {
			t.Errorf("%v: %+v", id, s)
		}
	}
	nobody(t, a)
	nobody(t, b)
}

// TestFrozenDeviceLooksForOthers: of two that removed each other, the words bring
// one back, which does not look for the other any more. So the other one has to,
// where it has met it before.
func TestFrozenDeviceLooksForOthers(t *testing.T) {
	first, words := p2ptest.Found(t)
	ids := []*encryption.Identity{first, p2ptest.Add(t, first, "device 2")}
	p2ptest.Remove(t, ids[0], ids[1].Device())
	p2ptest.Remove(t, ids[1], ids[0].Device())
	admitted := make(chan int, 10)
	admit := func(id *encryption.Identity) func([][]byte) {
		return func(ops [][]byte) {
			added, err := id.Admit(ops...)
			if err != nil {
				t.Error(err)
			}
			admitted <- len(added)
		}
	}
	a := p2ptest.Listen(t, ids[0], &p2p.Config{Admit: admit(ids[0])})
	book := bookOf(t, map[*encryption.Identity]*p2p.Host{ids[0]: a})
	pauses, fire := make(chan time.Duration, 100), make(chan time.Time)
	conf := &p2p.Config{Book: book, Admit: admit(ids[1])}
	conf.SetClock(time.Now, func(d time.Duration) <-chan time.Time {
		pauses <- d
		return fire
	})
	b := p2ptest.Listen(t, ids[1], conf)
	nobody(t, b)
	p2ptest.Tell(t, ids[0], ids[1]) // as when the first had dialled
	b.Refresh()
	<-admitted // the first hears that it was removed as well
	ops, err := ids[0].PrepareRecoveryRemove(words, ids[1].Device(), encryption.Hash{}, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ids[0].Admit(ops...); err != nil {
		t.Fatal(err)
	}
	if d := <-pauses; d > time.Minute {
		t.Errorf("dials again after %v", d)
	}
	for heard := 0; heard == 0; {
		select {
		case fire <- time.Time{}:
		case heard = <-admitted:
		}
	}
	if s := ids[1].Standing(); s.State != encryption.StandingRemoved || s.Frozen {
		t.Errorf("it stands %+v", s)
	}
}

// TestRefreshEndsStreamsOfRemovedDevices, and no others; and all, when this device
// is the one that is out.
func TestRefreshEndsStreamsOfRemovedDevices(t *testing.T) {
	ids := p2ptest.Account(t, 3)
	a := p2ptest.Listen(t, ids[0], nil)
	b := p2ptest.Listen(t, ids[1], &p2p.Config{Peers: a.Addrs()})
	aToB, bToA := p2ptest.Connect(t, a, b)
	c := p2ptest.Listen(t, ids[2], &p2p.Config{Peers: a.Addrs()})
	aToC, cToA := p2ptest.Connect(t, a, c)
	p2ptest.Remove(t, ids[0], ids[1].Device())
	a.Refresh()
	if _, err := bToA.Read(make([]byte, 1)); err == nil {
		t.Error("a removed device can still read")
	}
	if _, err := aToB.Write([]byte{0}); err == nil {
		t.Error("a removed device can still be written to")
	}
	p2ptest.Exchange(t, aToC, cToA)
	p2ptest.Remove(t, ids[0], ids[0].Device())
	a.Refresh()
	if _, err := cToA.Read(make([]byte, 1)); err == nil {
		t.Error("a device that has left can still write")
	}
}

// TestLookAtMembership: without a call of Refresh too, if somewhat later.
func TestLookAtMembership(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	checks := make(chan time.Time)
	conf := &p2p.Config{}
	conf.SetChecks(checks)
	a := p2ptest.Listen(t, ids[0], conf)
	b := p2ptest.Listen(t, ids[1], &p2p.Config{Peers: a.Addrs()})
	atA, _ := p2ptest.Connect(t, a, b)
	p2ptest.Remove(t, ids[0], ids[1].Device())
	checks <- time.Time{}
	if _, err := atA.Read(make([]byte, 1)); err == nil {
		t.Error("a removed device can still write")
	}
}

// TestDeviceThatIsOutIsQuiet: announcements do not make it dial.
func TestDeviceThatIsOutIsQuiet(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	p2ptest.Remove(t, ids[0], ids[1].Device())
	m := p2ptest.Listen(t, ids[0], nil)
	pauses, fire := make(chan time.Duration, 100), make(chan time.Time)
	announce := make(chan func([]string), 1)
	var conf p2p.Config
	conf.SetClock(time.Now, func(d time.Duration) <-chan time.Time {
		pauses <- d
		return fire
	})
	conf.SetInterfaces(func() (string, error) { return "", nil }, make(chan time.Time))
	conf.SetDiscovery(func(found func([]string)) (func(), error) {
		announce <- found
		return func() {}, nil
	})
	r := p2ptest.ListenDiscovering(t, ids[1], &conf)
	nobody(t, r)
	found := <-announce
	found(txt(m))
	<-pauses
	for range 10 {
		found(txt(m))
		fire <- time.Time{}
		<-pauses
	}
	if len(pauses) != 0 {
		t.Error("it has dialled because of an announcement")
	}
}

// TestRemovedDeviceIsToldOnce for each announcement, and then not dialled any more.
func TestRemovedDeviceIsToldOnce(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	p2ptest.Remove(t, ids[0], ids[1].Device())
	r := p2ptest.Listen(t, ids[1], nil)
	logs := newLogWatch()
	conf := p2p.Config{Log: logs.logger()}
	conf.SetInterfaces(func() (string, error) { return "", nil }, make(chan time.Time))
	conf.SetDiscovery(func(found func([]string)) (func(), error) {
		found(txt(r))
		return func() {}, nil
	})
	m := p2ptest.ListenDiscovering(t, ids[0], &conf)
	nobody(t, m)
	logs.await(t, "no longer dialled")
	if n := m.Targets(); n != 0 || ids[1].Standing().State != encryption.StandingRemoved {
		t.Errorf("%d targets, and the device stands as %v", n, ids[1].Standing().State)
	}
}

// TestDeviceThatIsNotAdmitted gets no stream, although its hello holds.
func TestDeviceThatIsNotAdmitted(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	third := p2ptest.Add(t, ids[1], "device 3")
	logs := newLogWatch()
	a := p2ptest.Listen(t, ids[0], &p2p.Config{Log: logs.logger(), Admit: func([][]byte) {}})
	b := p2ptest.Listen(t, third, &p2p.Config{Peers: a.Addrs()})
	nobody(t, b)
	logs.await(t, "dropped an inbound connection")
	nobody(t, a)
}
