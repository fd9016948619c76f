package p2p_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
)

// behind is an account in which the first device has made epochs that the second
// does not know.
func behind(t testing.TB, rotations int) (ahead, behind *encryption.Identity) {
	t.Helper()
	ids := p2ptest.Account(t, 2)
	for range rotations {
		p2ptest.Rotate(t, ids[0])
	}
	return ids[0], ids[1]
}

// TestOldEpochMeetsByMulticast: whichever of the two hears the other, and although
// somebody announces many hosts that do not exist.
func TestOldEpochMeetsByMulticast(t *testing.T) {
	l := newLAN()
	for range p2p.MaxStrangers {
		l.forged = append(l.forged, []string{"dnsaddr=/ip4/127.0.0.1/tcp/1/p2p/" + strangerID(t)})
	}
	for _, rotations := range []int{1, 3, 12} {
		for _, aheadHears := range []bool{true, false} {
			x, y := behind(t, rotations)
			var conf [2]p2p.Config
			l.attach(&conf[0], !aheadHears)
			l.attach(&conf[1], aheadHears)
			a := p2ptest.ListenDiscovering(t, x, &conf[0])
			b := p2ptest.ListenDiscovering(t, y, &conf[1])
			atA, atB := p2ptest.Connect(t, a, b)
			p2ptest.Exchange(t, atA, atB)
			if atA.Peer.Outbound != aheadHears {
				t.Error("the one that heard nothing has dialled")
			}
			a.Close()
			b.Close()
		}
	}
}

// TestOldEpochMeetsByAddress: whoever dials, with the id of today, with one that
// means nothing to the other, and with none.
func TestOldEpochMeetsByAddress(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		for _, aheadDials := range []bool{true, false} {
			for _, with := range []string{"its id", "another id", "no id"} {
				listens, dials := behind(t, 3)
				if aheadDials {
					listens, dials = dials, listens
				}
				a := p2ptest.Listen(t, listens, nil)
				addr, id, _ := cutID(addrWith(t, a, transport))
				switch with {
				case "its id":
					addr += "/p2p/" + id
				case "another id":
					addr += "/p2p/" + strangerID(t)
				}
				b := p2ptest.Listen(t, dials, &p2p.Config{Peers: []string{addr}})
				atA, atB := p2ptest.Connect(t, a, b)
				p2ptest.Exchange(t, atA, atB)
				a.Close()
				b.Close()
			}
		}
	}
}

// TestEpochsAreTriedQuickly: two devices have each made epochs of their own, which
// no id tells the other. Before they greet each other in the one that both know,
// there are only short pauses.
func TestEpochsAreTriedQuickly(t *testing.T) {
	const rotations = 6
	ids := p2ptest.Account(t, 2)
	for range rotations {
		p2ptest.Rotate(t, ids[0])
		p2ptest.Rotate(t, ids[1])
	}
	a := p2ptest.Listen(t, ids[0], nil)
	var mu sync.Mutex
	var pauses []time.Duration
	conf := p2p.Config{Peers: []string{addrWith(t, a, "udp")}}
	conf.SetClock(time.Now, func(d time.Duration) <-chan time.Time {
		mu.Lock()
		defer mu.Unlock()
		pauses = append(pauses, d)
		now := make(chan time.Time, 1)
		now <- time.Time{}
		return now
	})
	b := p2ptest.Listen(t, ids[1], &conf)
	atA, atB := p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
	mu.Lock()
	defer mu.Unlock()
	if len(pauses) != rotations {
		t.Errorf("%d pauses, for %d epochs that the other does not know", len(pauses), rotations)
	}
	for i, d := range pauses {
		if d > 250*time.Millisecond {
			t.Errorf("pause %d is %v", i, d)
		}
	}
}

// TestIDNamesTheEpoch: a device that is ahead needs one attempt, since the id of the
// other one says which epoch it knows.
func TestIDNamesTheEpoch(t *testing.T) {
	ahead, old := behind(t, 3)
	a := p2ptest.Listen(t, old, nil)
	conf := p2p.Config{Peers: []string{addrWith(t, a, "udp")}}
	pauses := make(chan time.Duration, 100)
	conf.SetClock(time.Now, func(d time.Duration) <-chan time.Time {
		pauses <- d
		return time.After(0)
	})
	b := p2ptest.Listen(t, ahead, &conf)
	atA, atB := p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
	if n := len(pauses); n != 0 {
		t.Errorf("%d attempts have failed", n)
	}
}

// TestTargetOfAnotherDevice: at the address of a device is now another one, whose id
// says so or does not. It is met, and so is the first at its own address, again.
func TestTargetOfAnotherDevice(t *testing.T) {
	for _, rotations := range []int{0, 1} {
		anotherDevice(t, rotations)
	}
}

func anotherDevice(t *testing.T, rotations int) {
	ids := p2ptest.Account(t, 3)
	for range rotations {
		p2ptest.Rotate(t, ids[1])
	}
	b := p2ptest.Listen(t, ids[1], nil)
	c := p2ptest.Listen(t, ids[2], nil)
	atB, _, _ := cutID(addrWith(t, b, "udp"))
	_, idOfC, _ := cutID(addrWith(t, c, "udp"))
	a := p2ptest.Listen(t, ids[0], &p2p.Config{Peers: []string{atB + "/p2p/" + idOfC, addrWith(t, c, "tcp")}})
	x, y := p2ptest.Connect(t, a, c)
	p2ptest.Exchange(t, x, y)
	at := "127.0.0.1:" + portOf(addrWith(t, c, "tcp"))
	c.Close()
	z, w := p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, z, w)
	c = p2ptest.Listen(t, ids[2], &p2p.Config{Listen: at})
	x, y = p2ptest.Connect(t, a, c)
	p2ptest.Exchange(t, x, y)
	p2ptest.Exchange(t, z, w)
	a.Close()
	b.Close()
	c.Close()
}

// TestDayPassesInVirtualTime: the stream stays while the host keys change, and a device
// that comes back finds the other under an id that it does not have any more.
func TestDayPassesInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := p2ptest.Account(t, 2)
		network := p2ptest.NewNetwork(t, 5*time.Millisecond)
		defer network.Close()
		a := network.Host(ids[0])
		defer a.Close()
		first := a.Addrs()
		b := network.Host(ids[1], first...)
		atA, atB := p2ptest.Connect(t, a, b)
		old := b.PeerID()
		time.Sleep(28 * time.Hour) // when nobody looks for yesterday any more
		p2ptest.Exchange(t, atA, atB)
		if b.PeerID() == old {
			t.Error("a host has its key for a second day")
		}
		if now := a.Addrs(); len(now) != 1 || now[0] == first[0] || strings.Split(now[0], "/p2p/")[0] != strings.Split(first[0], "/p2p/")[0] {
			t.Errorf("first at %v, then at %v", first, now)
		}
		b.Close()
		_, old, _ = cutID(first[0])
		dead := "/ip4/1.0.0.99/udp/8000/quic-v1/p2p/" + old // for which dialling must not wait
		again := network.Host(ids[1], append(first, dead)...)
		defer again.Close()
		begin := time.Now()
		atA, atB = p2ptest.Connect(t, a, again)
		p2ptest.Exchange(t, atA, atB)
		if d := time.Since(begin); d > time.Second {
			t.Errorf("connected by yesterday's id after %v", d)
		}
	})
}

// TestKeyChangeKeepsStreams, those that came in and those that were dialled, and
// new ones come in at the same port under the new key only.
func TestKeyChangeKeepsStreams(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		for _, listen := range []string{"127.0.0.1:0", ":0"} {
			ids := p2ptest.Account(t, 3)
			clock := &setClock{now: noon}
			a := p2ptest.Listen(t, ids[0], clock.into(&p2p.Config{Listen: listen}))
			b := p2ptest.Listen(t, ids[1], clock.into(&p2p.Config{Listen: listen, Peers: []string{addrWith(t, a, transport)}}))
			atA, atB := p2ptest.Connect(t, a, b)
			before := addrWith(t, a, transport)
			clock.add(day)
			a.Refresh()
			b.Refresh()
			p2ptest.Exchange(t, atA, atB)
			after := addrWith(t, a, transport)
			was, oldID, _ := cutID(before)
			is, _, _ := cutID(after)
			if is != was {
				t.Errorf("%s: moved from %s to %s", transport, was, is)
			}
			s := stranger(t)
			if conn, err := s.Dial(t.Context(), is+"/p2p/"+oldID); err == nil {
				conn.Close()
				t.Errorf("%s: still has the key of yesterday", transport)
			}
			conn, err := s.Dial(t.Context(), after)
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
			c := p2ptest.Listen(t, ids[2], clock.into(&p2p.Config{Peers: []string{before}}))
			p2ptest.Exchange(t, p2ptest.Accept(t, c), p2ptest.Accept(t, a))
			p2ptest.Exchange(t, atA, atB)
		}
	}
}

// TestKeyStaysDuringAnInvite, because its ticket names the host.
func TestKeyStaysDuringAnInvite(t *testing.T) {
	id := p2ptest.Account(t, 1)[0]
	clock := &setClock{now: time.Now()}
	checks := make(chan time.Time)
	var conf p2p.Config
	conf.SetClock(clock.time, func(time.Duration) <-chan time.Time { return nil }) // the invite does not expire
	conf.SetChecks(checks)
	a := p2ptest.Listen(t, id, &conf)
	before := a.PeerID()
	v := invite(t, a, id)
	clock.add(day)
	checks <- time.Time{}
	a.Refresh()
	if a.PeerID() != before {
		t.Error("the host key changed under an open invite")
	}
	v.Cancel()
	checks <- time.Time{}
	checks <- time.Time{} // taken when the one before has been dealt with
	if a.PeerID() == before {
		t.Error("the host key did not change after the invite")
	}
}

// TestLostListenersComeBack, at the latest with the next look at the day.
func TestLostListenersComeBack(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	a := p2ptest.Listen(t, ids[0], nil)
	addr := addrWith(t, a, "tcp")
	a.BreakListeners()
	a.Refresh()
	b := p2ptest.Listen(t, ids[1], &p2p.Config{Peers: []string{addr}})
	atA, atB := p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
}
