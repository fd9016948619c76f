package p2p_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
)

// bookOf knows where hosts are. Load is asked at the first Accept, so hosts
// can get to know each other after Listen.
func bookOf(t testing.TB, known map[*encryption.Identity]*p2p.Host) p2p.AddressBook {
	t.Helper()
	book := p2p.NewMemoryBook()
	for id, h := range known {
		learn(t, book, id, h)
	}
	return book
}

func learn(t testing.TB, book p2p.AddressBook, id *encryption.Identity, h *p2p.Host) {
	t.Helper()
	e := p2p.Entry{Device: id.Device(), LastSeen: time.Now()}
	for _, s := range h.Addrs() {
		addr, _, _ := cutID(s)
		e.Addrs = append(e.Addrs, addr)
	}
	if err := book.Save(e); err != nil {
		t.Fatal(err)
	}
}

// TestSimultaneousDial makes both sides dial at once, over all transports.
func TestSimultaneousDial(t *testing.T) {
	for range 20 {
		ids := p2ptest.Account(t, 2)
		books := []p2p.AddressBook{p2p.NewMemoryBook(), p2p.NewMemoryBook()}
		a := p2ptest.Listen(t, ids[0], &p2p.Config{Book: books[0]})
		b := p2ptest.Listen(t, ids[1], &p2p.Config{Book: books[1]})
		learn(t, books[0], ids[1], b)
		learn(t, books[1], ids[0], a)
		atA, atB := p2ptest.Connect(t, a, b)
		p2ptest.Exchange(t, atA, atB)
		if atA.Peer.Outbound == atB.Peer.Outbound {
			t.Error("the two sides were handed different streams")
		}
		nobody(t, a)
		nobody(t, b)
		a.Close()
		b.Close()
	}
}

// TestDeviceReturnsAtAnotherPort: once by dialling us, once because we hear of
// its new address.
func TestDeviceReturnsAtAnotherPort(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	announce := make(chan func(texts []string), 1)
	var conf p2p.Config
	conf.SetInterfaces(func() (string, error) { return "", nil }, make(chan time.Time))
	conf.SetDiscovery(func(found func([]string)) (func(), error) {
		announce <- found
		return func() {}, nil
	})
	a := p2ptest.ListenDiscovering(t, ids[0], &conf)
	b := p2ptest.Listen(t, ids[1], &p2p.Config{Peers: a.Addrs()})
	atA, atB := p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
	b.Close()

	b = p2ptest.Listen(t, ids[1], &p2p.Config{Peers: a.Addrs()})
	atA, atB = p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
	b.Close()

	b = p2ptest.Listen(t, ids[1], nil)
	(<-announce)(txt(b))
	atA, atB = p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
	if !atA.Peer.Outbound {
		t.Error("the announcement did not lead to the stream")
	}
}

// txt is what h announces.
func txt(h *p2p.Host) []string {
	var out []string
	for _, s := range h.Addrs() {
		out = append(out, "dnsaddr="+s)
	}
	return out
}

// TestRestartAtTheSamePort: the side that stays redials, or the other does.
func TestRestartAtTheSamePort(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	a := p2ptest.Listen(t, ids[0], nil)
	at := "127.0.0.1:" + portOf(a.Addrs()[0])
	b := p2ptest.Listen(t, ids[1], &p2p.Config{Peers: a.Addrs()})
	for range 3 {
		atA, atB := p2ptest.Connect(t, a, b)
		p2ptest.Exchange(t, atA, atB)
		a.Close()
		if _, err := atB.Read(make([]byte, 1)); err == nil {
			t.Error("read from a closed host")
		}
		a = p2ptest.Listen(t, ids[0], &p2p.Config{Listen: at})
	}
}

// TestBookRemembersListenAddresses pins that a device that dialled us over TCP,
// from a port of the moment, is remembered where it listens.
func TestBookRemembersListenAddresses(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		ids := p2ptest.Account(t, 2)
		saved := newSavedBook()
		a := p2ptest.Listen(t, ids[0], &p2p.Config{Book: saved})
		b := p2ptest.Listen(t, ids[1], &p2p.Config{Peers: []string{addrWith(t, a, transport)}})
		p2ptest.Connect(t, a, b)
		e := <-saved.saves
		if e.Device != ids[1].Device() || e.LastSeen.IsZero() {
			t.Errorf("%s: remembered %+v", transport, e)
		}
		for _, addr := range e.Addrs {
			if portOf(addr) != portOf(b.Addrs()[0]) {
				t.Errorf("%s: %s is not where it listens: %q", transport, addr, b.Addrs())
			}
		}
		if len(e.Addrs) < 2 {
			t.Errorf("%s: only %q", transport, e.Addrs)
		}
	}
}

// savedBook shows what is saved.
type savedBook struct {
	p2p.AddressBook
	saves chan p2p.Entry
}

func newSavedBook() *savedBook {
	return &savedBook{p2p.NewMemoryBook(), make(chan p2p.Entry, 100)}
}

func (b *savedBook) Save(e p2p.Entry) error {
	b.saves <- e
	return b.AddressBook.Save(e)
}

// TestNewMemberIsLearned: a device that another member has added becomes known
// by its hello, before its stream is handed out, whoever dials.
func TestNewMemberIsLearned(t *testing.T) {
	for _, dials := range []string{"newcomer", "member"} {
		t.Run(dials, func(t *testing.T) {
			ids := p2ptest.Account(t, 2)
			third := p2ptest.Add(t, ids[1], "device 3")
			if _, known := ids[0].Member(third.Device()); known {
				t.Fatal("the first device knows the third already")
			}
			var mu sync.Mutex
			admitted := 0
			conf := &p2p.Config{Admit: func(ops [][]byte) {
				added, err := ids[0].Admit(ops...)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				admitted += len(added)
			}}
			var a, c *p2p.Host
			if dials == "newcomer" {
				a = p2ptest.Listen(t, ids[0], conf)
				c = p2ptest.Listen(t, third, &p2p.Config{Book: bookOf(t, map[*encryption.Identity]*p2p.Host{ids[0]: a})})
			} else {
				c = p2ptest.Listen(t, third, nil)
				conf.SetInterfaces(func() (string, error) { return "", nil }, make(chan time.Time))
				conf.SetDiscovery(func(found func([]string)) (func(), error) {
					found(txt(c))
					return func() {}, nil
				})
				a = p2ptest.ListenDiscovering(t, ids[0], conf)
			}
			atA, atC := p2ptest.Connect(t, a, c)
			p2ptest.Exchange(t, atA, atC)
			mu.Lock()
			defer mu.Unlock()
			if _, known := ids[0].Member(third.Device()); !known || admitted != 1 {
				t.Errorf("known %v after %d operations", known, admitted)
			}
		})
	}
}

// TestForgedAnnouncementsAreBounded: anybody on the network can announce under
// our name.
func TestForgedAnnouncementsAreBounded(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	b := p2ptest.Listen(t, ids[1], nil)
	var conf p2p.Config
	conf.SetInterfaces(func() (string, error) { return "", nil }, make(chan time.Time))
	conf.SetDiscovery(func(found func([]string)) (func(), error) {
		found(nil)
		found([]string{"dnsaddr=", "dnsaddr=x", "x", "dnsaddr=/ip4/127.0.0.1/tcp/1", "dnsaddr=/dns4/x/tcp/1/p2p/" + b.PeerID()})
		for range 200 {
			found([]string{"dnsaddr=/ip4/127.0.0.1/tcp/1/p2p/" + strangerID(t)})
		}
		found(txt(b))
		return func() {}, nil
	})
	a := p2ptest.ListenDiscovering(t, ids[0], &conf)
	atA, atB := p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
	if n := a.Targets(); n > p2p.MaxStrangers+1 {
		t.Errorf("%d hosts are dialled", n)
	}
}

// fakeInterfaces lets a test say what the watcher sees, look by look. A look has
// been dealt with when the next one is taken.
type fakeInterfaces struct {
	looks            chan string
	quit             chan struct{}
	current          string // owned by the watcher
	started, stopped chan string
}

func newFakeInterfaces(conf *p2p.Config) *fakeInterfaces {
	f := &fakeInterfaces{
		looks: make(chan string), quit: make(chan struct{}),
		started: make(chan string, 10), stopped: make(chan string, 10),
	}
	ticks := make(chan time.Time)
	close(ticks) // always time to look
	conf.SetInterfaces(f.look, ticks)
	conf.SetDiscovery(f.start)
	return f
}

func (f *fakeInterfaces) look() (string, error) {
	select {
	case s := <-f.looks:
		if s == "broken" {
			return "", errors.New("no netlink")
		}
		f.current = s
		return s, nil
	case <-f.quit:
		return "", errors.New("the test is over")
	}
}

func (f *fakeInterfaces) start(func([]string)) (func(), error) {
	now := f.current
	if now == "" {
		return nil, errors.New("no interface")
	}
	f.started <- now
	return func() { f.stopped <- now }, nil
}

// TestWatcher: discovery starts when there is an interface, and again when the
// interfaces change, and a change makes targets dial at once.
func TestWatcher(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	var conf p2p.Config
	f := newFakeInterfaces(&conf)
	// Time stands still, so the first dial, which fails, is the only one.
	conf.SetClock(time.Now, func(time.Duration) <-chan time.Time { return nil })
	logs := newLogWatch()
	conf.Log = logs.logger()
	port := freePort(t)
	conf.Peers = []string{"/ip4/127.0.0.1/tcp/" + port + "/p2p/" + peerIDOf(t, ids[1])}
	a := p2ptest.ListenDiscovering(t, ids[0], &conf)
	defer a.Close()
	defer sync.OnceFunc(func() { close(f.quit) })()
	nobody(t, a)
	logs.await(t, "device does not answer")
	for _, s := range []string{"", "broken", "", ""} {
		f.looks <- s
	}
	if len(f.started) != 0 {
		t.Error("discovery started without an interface")
	}
	b := p2ptest.Listen(t, ids[1], &p2p.Config{Listen: "127.0.0.1:" + port})
	f.looks <- "eth0"
	if s := <-f.started; s != "eth0" {
		t.Errorf("started on %q", s)
	}
	atA, atB := p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
	for _, s := range []string{"eth0", "broken", "eth0", "eth0"} {
		f.looks <- s
	}
	if len(f.started)+len(f.stopped) != 0 {
		t.Error("discovery restarted without a change")
	}
	f.looks <- "wlan0"
	if s := <-f.stopped; s != "eth0" {
		t.Errorf("stopped on %q", s)
	}
	if s := <-f.started; s != "wlan0" {
		t.Errorf("started on %q", s)
	}
}

// freePort is one that nobody listens on; it could be taken by somebody else
// in the meantime, which the test then says.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// peerIDOf is the peer id that a device's host has.
func peerIDOf(t testing.TB, id *encryption.Identity) string {
	t.Helper()
	h, err := p2p.Listen(t.Context(), &p2p.Config{Identity: id, Listen: "127.0.0.1:0", NoDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return h.PeerID()
}

// TestRedialPauses pins the pauses between dials of a peer that does not answer: they
// double up to half a minute, stay there for an hour, and then grow up to five minutes.
func TestRedialPauses(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	pauses := make(chan time.Duration)
	fire := make(chan time.Time)
	conf := p2p.Config{Peers: []string{"/ip4/127.0.0.1/tcp/" + freePort(t) + "/p2p/" + peerIDOf(t, ids[1])}}
	conf.SetSeed(1)
	conf.SetClock(time.Now, func(d time.Duration) <-chan time.Time {
		select {
		case pauses <- d:
		case <-t.Context().Done():
		}
		return fire
	})
	a := p2ptest.Listen(t, ids[0], &conf)
	nobody(t, a)
	full := 250 * time.Millisecond
	for i := range 160 {
		d := <-pauses
		fire <- time.Time{}
		if d < full/2 || d > full {
			t.Errorf("pause %d is %v, not within %v and %v", i, d, full/2, full)
		}
		if i < 127 {
			full = min(2*full, 30*time.Second)
		} else {
			full = min(full+full/10, 5*time.Minute)
		}
	}
	if full != 5*time.Minute {
		t.Errorf("the pauses have grown to %v", full)
	}
}

// TestSelfIsNotDialled: neither as a configured peer, with and without its id,
// nor as one of its own announcements.
func TestSelfIsNotDialled(t *testing.T) {
	id := p2ptest.Account(t, 1)[0]
	port := freePort(t)
	logs := newLogWatch()
	conf := p2p.Config{
		Listen: "127.0.0.1:" + port, Log: logs.logger(),
		Peers: []string{"/ip4/127.0.0.1/tcp/" + port, "/ip4/127.0.0.1/tcp/" + port + "/p2p/" + peerIDOf(t, id)},
	}
	conf.SetInterfaces(func() (string, error) { return "", nil }, make(chan time.Time))
	var h *p2p.Host
	conf.SetDiscovery(func(found func([]string)) (func(), error) {
		found(txt(h))
		return func() {}, nil
	})
	h = p2ptest.ListenDiscovering(t, id, &conf)
	nobody(t, h)
	logs.await(t, "configured peer is this device")
	if n := h.Targets(); n != 0 {
		t.Errorf("%d targets", n)
	}
	nobody(t, h)
}

// TestClosedStreamIsReplaced: a stream that its owner closes comes back.
func TestClosedStreamIsReplaced(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	a := p2ptest.Listen(t, ids[0], nil)
	b := p2ptest.Listen(t, ids[1], &p2p.Config{Peers: a.Addrs()})
	atA, atB := p2ptest.Connect(t, a, b)
	atA.Close()
	if _, err := io.ReadAll(atB); err != nil {
		t.Errorf("end of a closed stream: %v", err)
	}
	atB.Close()
	atA, atB = p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
}
