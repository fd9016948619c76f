package p2p_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p/p2ptest"
)

// TestSilenceInVirtualTime: an hour of silence keeps the stream; a network that
// loses everything ends it within 30 seconds on both sides; and when it works
// again, so do the devices.
func TestSilenceInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := p2ptest.Account(t, 2)
		network := p2ptest.NewNetwork(t, 5*time.Millisecond)
		defer network.Close()
		a := network.Host(ids[0])
		defer a.Close()
		b := network.Host(ids[1], a.Addrs()...)
		defer b.Close()
		begin := time.Now()
		atA, atB := p2ptest.Connect(t, a, b)
		p2ptest.Exchange(t, atA, atB)
		t.Logf("connected after %v of 10 ms round trips", time.Since(begin))
		time.Sleep(time.Hour)
		p2ptest.Exchange(t, atA, atB)

		network.Cut("1.0.0.1", "1.0.0.2")
		begin = time.Now()
		for _, s := range []p2ptest.Stream{atA, atB} {
			if _, err := s.Read(make([]byte, 1)); err == nil {
				t.Error("read from a dead stream")
			}
			s.Close()
		}
		if gone := time.Since(begin); gone > 30*time.Second {
			t.Errorf("a vanished peer was noticed after %v", gone)
		} else {
			t.Logf("a vanished peer was noticed after %v", gone)
		}
		time.Sleep(10 * time.Minute)
		network.Mend("1.0.0.1", "1.0.0.2")
		begin = time.Now()
		atA, atB = p2ptest.Connect(t, a, b)
		p2ptest.Exchange(t, atA, atB)
		if back := time.Since(begin); back > 40*time.Second {
			t.Errorf("connected again after %v", back)
		} else {
			t.Logf("connected again after %v", back)
		}
	})
}

// TestRestartBeforeTheOldStreamIsMissed: a device that vanished without a word
// and comes back at once gets its stream, although the other side still holds
// the old one, whichever of them decides.
func TestRestartBeforeTheOldStreamIsMissed(t *testing.T) {
	for _, decides := range []bool{true, false} { // the one that restarts
		synctest.Test(t, func(t *testing.T) {
			ids := p2ptest.Account(t, 2)
			stays, restarts := ids[0], ids[1]
			if lower(restarts.Device(), stays.Device()) != decides {
				stays, restarts = restarts, stays
			}
			network := p2ptest.NewNetwork(t, 5*time.Millisecond)
			defer network.Close()
			a := network.Host(stays)
			defer a.Close()
			old := network.Host(restarts, a.Addrs()...)
			defer old.Close()
			atA, atOld := p2ptest.Connect(t, a, old)
			p2ptest.Exchange(t, atA, atOld)
			network.Cut("1.0.0.1", "1.0.0.2")
			again := network.Host(restarts, a.Addrs()...)
			defer again.Close()
			begin := time.Now()
			next, atAgain := p2ptest.Connect(t, a, again)
			p2ptest.Exchange(t, next, atAgain)
			if d := time.Since(begin); d > time.Second {
				t.Errorf("the restarted device had to wait for %v", d)
			}
			if _, err := atA.Read(make([]byte, 1)); err == nil {
				t.Error("the replaced stream still reads")
			}
		})
	}
}

func lower(a, b encryption.DeviceID) bool { return string(a[:]) < string(b[:]) }
