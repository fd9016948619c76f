package p2p

import (
	"context"
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
	return s.end.dialOne(ctx, id, a)
}

// ID is its peer id.
func (s *Stranger) ID() string { return s.end.id.String() }

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
	c.discover = func(h *Host) (discovery, error) {
		stop, err := start(h.finder.found)
		if err != nil {
			return nil, err
		}
		return fakeDiscovery(stop), nil
	}
}

type fakeDiscovery func()

func (f fakeDiscovery) close() { f() }

// SetNow replaces the clock of a joining device.
func (c *JoinConfig) SetNow(now func() time.Time) { c.now = now }

// Over is closed when the invite has ended.
func (v *Invite) Over() <-chan struct{} { return v.over }
