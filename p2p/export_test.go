package p2p

import (
	"context"
	"runtime"
	"time"

	"github.com/libp2p/go-libp2p/core/transport"
)

// What the tests in package p2p_test see of the inside.

const (
	SyncProtocol  = syncProtocol
	LinkProtocol  = linkProtocol
	MaxHelloFrame = maxHelloFrame
	MaxLinkFrame  = maxLinkFrame
	MaxPending    = maxPending
	HelloTime     = helloTime
	MaxStrangers  = maxStrangers
)

var (
	WriteFrame = writeFrame
	ReadFrame  = readFrame
	TimedOut   = timedOut
)

// Pending is how many inbound connections wait for their hello.
func (h *Host) Pending() int { return h.pending.len() }

// Targets is how many hosts are dialled when they are not connected.
func (h *Host) Targets() int {
	h.finder.mu.Lock()
	defer h.finder.mu.Unlock()
	return len(h.finder.targets)
}

// A Stranger is a libp2p peer with a key of its own choice.
type Stranger struct{ end *endpoint }

// NewStranger makes one that does not listen.
func NewStranger(seed [32]byte) (*Stranger, error) {
	end, err := newEndpoint(seed, nil)
	return &Stranger{end}, err
}

// Dial connects to one address.
func (s *Stranger) Dial(ctx context.Context, addr string) (transport.CapableConn, error) {
	a, id, err := parsePeer(addr)
	if err != nil {
		return nil, err
	}
	return s.end.current().dial(ctx, id, a)
}

// ID is its peer id.
func (s *Stranger) ID() string { return s.end.id().String() }

// Close closes its connections too.
func (s *Stranger) Close() error { return s.end.close() }

// SetClock replaces the clock of everything but sockets.
func (c *Config) SetClock(now func() time.Time, after func(time.Duration) <-chan time.Time) {
	c.clock = clock{now: now, after: after}
}

// SetSeed fixes the jitter.
func (c *Config) SetSeed(seed uint64) { c.seed = seed }

// SetInterfaces replaces what the watcher compares, and when.
func (c *Config) SetInterfaces(state func() (string, error), ticks <-chan time.Time) {
	c.interfaces, c.ticks = state, ticks
}

// SetDiscovery replaces multicast: start is called with a function that takes
// announcements, and returns how to end it.
func (c *Config) SetDiscovery(start func(found func(texts []string)) (stop func(), err error)) {
	c.discover = func(h *Host, _ *names) (discovery, error) {
		stop, err := start(func(texts []string) { h.finder.found(service{}, texts) })
		if err != nil {
			return nil, err
		}
		return fakeDiscovery(stop), nil
	}
}

type fakeDiscovery func()

func (f fakeDiscovery) close() { f() }

// SetChecks replaces when the host looks at the day and at its membership.
func (c *Config) SetChecks(ticks <-chan time.Time) { c.checks = ticks }

// A Bulletin is what a host announces, by service name, and what it looks for.
type Bulletin struct {
	Announced map[string][]string // texts by service name
	Looked    []string
	Found     func(service string, texts []string) // takes an announcement under a looked name
}

// SetMulticast replaces multicast: start gets all that goes over it.
func (c *Config) SetMulticast(start func(b Bulletin) (stop func())) {
	c.discover = func(h *Host, n *names) (discovery, error) {
		b := Bulletin{Announced: map[string][]string{}}
		for _, s := range n.announced {
			for _, a := range h.end.addrs() {
				b.Announced[s.dnsName()] = append(b.Announced[s.dnsName()], txtPrefix+a.String()+"/p2p/"+s.host.String())
			}
		}
		for _, s := range n.looked {
			b.Looked = append(b.Looked, s.dnsName())
		}
		b.Found = func(name string, texts []string) {
			for _, s := range n.looked {
				if s.dnsName() == name {
					h.finder.found(s, texts)
				}
			}
		}
		return fakeDiscovery(start(b)), nil
	}
}

// BreakListeners closes the listeners without the host's doing, and returns when
// it has noticed.
func (h *Host) BreakListeners() {
	f := h.end.current()
	f.closeListeners()
	for !h.end.needs(f.id) {
		runtime.Gosched()
	}
	h.end.mu.Lock()
	defer h.end.mu.Unlock()
	f.listeners = nil // libp2p panics if a QUIC listener is closed twice
}

// SetNow replaces the clock of a joining device.
func (c *JoinConfig) SetNow(now func() time.Time) { c.now = now }

// Over is closed when the invite has ended.
func (v *Invite) Over() <-chan struct{} { return v.over }
