package p2p_test

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
)

// lan is a network on which everybody sees everything that is multicast.
type lan struct {
	mu      sync.Mutex
	next    int                  // guarded by mu
	present map[int]p2p.Bulletin // guarded by mu
	seen    chan p2p.Bulletin    // what begins to be multicast
	forged  [][]string           // what somebody announces just before every host; read-only
}

func newLAN() *lan { return &lan{present: map[int]p2p.Bulletin{}, seen: make(chan p2p.Bulletin, 100)} }

// attach puts a host on the network, which hears others unless it is deaf.
func (l *lan) attach(c *p2p.Config, deaf bool) {
	c.SetInterfaces(func() (string, error) { return "", nil }, make(chan time.Time))
	c.SetMulticast(func(b p2p.Bulletin) func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if deaf {
			b.Looked = nil
		}
		l.next++
		n := l.next
		for _, o := range l.present {
			l.shout(o, b)
			l.shout(b, o)
		}
		l.present[n] = b
		l.seen <- b
		return func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.present, n)
		}
	})
}

// shout lets a host hear what another one announces.
func (l *lan) shout(from, to p2p.Bulletin) {
	for name, texts := range from.Announced {
		if !slices.Contains(to.Looked, name) {
			continue
		}
		for _, forged := range l.forged {
			to.Found(name, forged)
		}
		to.Found(name, texts)
	}
}

// capture takes what two hosts begin to multicast.
func (l *lan) capture() map[string]bool { return marks(<-l.seen, <-l.seen) }

// setClock is a clock that a test sets.
type setClock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func (c *setClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *setClock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// into makes a host tell the time by the clock.
func (c *setClock) into(conf *p2p.Config) *p2p.Config {
	conf.SetClock(c.time, time.After)
	return conf
}

// onLAN starts a host on a network at a time. Discovery runs after its first Accept.
func onLAN(t testing.TB, l *lan, id *encryption.Identity, now time.Time) (*p2p.Host, *setClock) {
	t.Helper()
	clock := &setClock{now: now}
	conf := clock.into(&p2p.Config{})
	l.attach(conf, false)
	return p2ptest.ListenDiscovering(t, id, conf), clock
}

// bulletinOf is what a host of that identity multicasts at a time.
func bulletinOf(t testing.TB, id *encryption.Identity, now time.Time) p2p.Bulletin {
	t.Helper()
	clock := &setClock{now: now}
	conf := clock.into(&p2p.Config{})
	conf.SetInterfaces(func() (string, error) { return "", nil }, make(chan time.Time))
	found := make(chan p2p.Bulletin, 1)
	conf.SetMulticast(func(b p2p.Bulletin) func() {
		found <- b
		return func() {}
	})
	h := p2ptest.ListenDiscovering(t, id, conf)
	nobody(t, h)
	b := <-found
	for _, texts := range b.Announced {
		for _, s := range texts {
			if _, host, _ := cutID(s); len(b.Announced) == 1 && host != h.PeerID() {
				t.Errorf("announces %q, is %q", host, h.PeerID())
			}
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	return b
}

// marks are all the names and peer ids in bulletins.
func marks(all ...p2p.Bulletin) map[string]bool {
	out := map[string]bool{}
	for _, b := range all {
		for _, name := range b.Looked {
			out[name] = true
		}
		for name, texts := range b.Announced {
			out[name] = true
			for _, s := range texts {
				_, host, _ := cutID(s)
				out[host] = true
			}
		}
	}
	return out
}

// TestHostKeysAndNamesDiffer by account, day, epoch and, the keys, by device. The
// devices of an account that know the same have the same service name.
func TestHostKeysAndNamesDiffer(t *testing.T) {
	services, hosts := map[string]string{}, map[string]string{}
	note := func(kind map[string]string, value, of string) {
		if was, taken := kind[value]; taken && was != of {
			t.Errorf("%s of %s is also that of %s", value, of, was)
		}
		kind[value] = of
	}
	for _, account := range []string{"account 1", "account 2"} {
		ids := p2ptest.Account(t, 2)
		for _, epoch := range []string{"first epoch", "second epoch"} {
			for i, when := range []time.Time{noon, noon.Add(day), noon.Add(365 * day)} {
				of := account + epoch + string(rune('0'+i))
				for j, id := range ids {
					name, host := onlyOne(t, bulletinOf(t, id, when))
					note(services, name, of)
					note(hosts, host, of+string(rune('a'+j)))
				}
			}
			p2ptest.Rotate(t, ids[0])
			p2ptest.Tell(t, ids[0], ids[1])
			meet(t, ids[0], ids[1])
		}
	}
	if len(services) != 2*2*3 || len(hosts) != 2*2*3*2 {
		t.Errorf("%d names and %d hosts", len(services), len(hosts))
	}
}

// meet has two devices greet each other in the newest epoch, after which neither
// is looked for in an older one.
func meet(t testing.TB, a, b *encryption.Identity) {
	t.Helper()
	ha := p2ptest.Listen(t, a, nil)
	hb := p2ptest.Listen(t, b, &p2p.Config{Peers: ha.Addrs()})
	p2ptest.Connect(t, ha, hb)
	hb.Close()
	ha.Close()
}

// onlyOne returns the one name that is announced, and the host.
func onlyOne(t testing.TB, b p2p.Bulletin) (name, host string) {
	t.Helper()
	if len(b.Announced) != 1 {
		t.Fatalf("announced: %v", b.Announced)
	}
	for name, texts := range b.Announced {
		_, host, _ := cutID(texts[0])
		return name, host
	}
	return "", ""
}

// TestNothingLinksTwoDays: whoever captures all multicast of two hosts at noon of
// two days, with a rotation in between or not, has no name and no peer id twice.
// The stream between the two stays through both.
func TestNothingLinksTwoDays(t *testing.T) {
	l := newLAN()
	ids := p2ptest.Account(t, 2)
	a, clockA := onLAN(t, l, ids[0], noon)
	b, clockB := onLAN(t, l, ids[1], noon)
	atA, atB := p2ptest.Connect(t, a, b)
	next := func(change func()) map[string]bool {
		change()
		before := []string{a.PeerID(), b.PeerID()}
		a.Refresh()
		b.Refresh()
		if slices.Contains(before, a.PeerID()) || slices.Contains(before, b.PeerID()) {
			t.Error("a host kept its key")
		}
		nobody(t, a)
		p2ptest.Exchange(t, atA, atB)
		return l.capture()
	}
	tomorrow := func() {
		clockA.add(day)
		clockB.add(day)
	}
	captures := []map[string]bool{l.capture()}
	captures = append(captures, next(tomorrow), next(func() {
		p2ptest.Rotate(t, ids[0])
		p2ptest.Tell(t, ids[0], ids[1])
		tomorrow()
	}), next(tomorrow))
	for i, c := range captures {
		if len(c) < 3 { // a name and two hosts
			t.Errorf("capture %d has only %v", i, c)
		}
		for mark := range maps.Keys(c) {
			if i > 0 && captures[i-1][mark] {
				t.Errorf("%s is in captures %d and %d", mark, i-1, i)
			}
		}
	}
}

// TestClocksApart: at any time of the day devices find each other whose clocks
// are up to three hours apart.
func TestClocksApart(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	for _, hour := range []time.Duration{0, 1, 2, 3, 12, 21, 22, 23} {
		now := noon.Add(-12*time.Hour + hour*time.Hour + time.Minute)
		for _, skew := range []time.Duration{-3 * time.Hour, -time.Hour, 0, 3 * time.Hour} {
			x, y := bulletinOf(t, ids[0], now), bulletinOf(t, ids[1], now.Add(skew))
			for _, way := range [][2]p2p.Bulletin{{x, y}, {y, x}} {
				name, _ := onlyOne(t, way[0])
				if !slices.Contains(way[1].Looked, name) {
					t.Errorf("at %v, clocks %v apart: one does not look for the other", now, skew)
				}
			}
		}
	}
	if n := len(bulletinOf(t, ids[0], noon).Looked); n != 1 {
		t.Errorf("looks for %d names at noon, which belong together for whoever listens", n)
	}
}

// TestClocksApartConnect is that with whole hosts, one day apart by a minute and
// three hours, and over midnight.
func TestClocksApartConnect(t *testing.T) {
	l := newLAN()
	ids := p2ptest.Account(t, 2)
	a, clock := onLAN(t, l, ids[0], noon.Add(10*time.Hour))
	b, _ := onLAN(t, l, ids[1], noon.Add(13*time.Hour))
	atA, atB := p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
	clock.add(2 * time.Hour)
	a.Refresh()
	p2ptest.Exchange(t, atA, atB)
	atB.Close()
	atA.Close()
	atA, atB = p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
}

// TestNamesMeanNothing pins the form of what is announced.
func TestNamesMeanNothing(t *testing.T) {
	name, _ := onlyOne(t, bulletinOf(t, p2ptest.Account(t, 1)[0], noon))
	core := strings.TrimSuffix(strings.TrimPrefix(name, "_"), "._udp")
	if len(core) != 15 || strings.Trim(core, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		t.Errorf("service %q", name)
	}
}
