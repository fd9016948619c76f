package p2p

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/starling-sync/starling/encryption"
)

const (
	// maxTargetAddrs per source.
	maxTargetAddrs = 16
	// strangerTries is how often a host is dialled that turns out not to be a
	// device of the account.
	strangerTries = 3
)

// target is one host that is dialled whenever it is not connected.
type target struct {
	f       *finder
	id      peer.ID
	backoff backoff // owned by run

	news chan struct{} // a token says: dial now, with fresh patience
	lost chan struct{} // a token says: a session has ended

	mu     sync.Mutex
	device encryption.DeviceID            // guarded by mu; zero for a stranger
	addrs  [configured + 1][]ma.Multiaddr // guarded by mu; newest first
	since  time.Time                      // guarded by mu; begin of the current or last session
	stable bool                           // guarded by mu; the last session lasted stableTime
}

func newTarget(f *finder, id peer.ID, random *rand.Rand) *target {
	return &target{
		f: f, id: id, backoff: backoff{longest: otherDelay, random: random},
		news: make(chan struct{}, 1), lost: make(chan struct{}, 1),
	}
}

// poke leaves one token in a channel of capacity one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (t *target) wake() { poke(t.news) }

func (t *target) stranger() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.device.IsZero() && len(t.addrs[configured]) == 0
}

func (t *target) bind(d encryption.DeviceID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.device = d
}

// add reports whether there is reason to dial: a new address, or any
// announcement, as it means that the host is there.
func (t *target) add(from source, addrs []ma.Multiaddr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := from == announced
	for _, a := range addrs {
		if slices.ContainsFunc(t.addrs[from], a.Equal) {
			continue
		}
		fresh = true
		t.addrs[from] = append([]ma.Multiaddr{a}, t.addrs[from]...)
	}
	t.addrs[from] = t.addrs[from][:min(len(t.addrs[from]), maxTargetAddrs)]
	return fresh
}

// candidates are the addresses to dial, and the longest pause between dials.
func (t *target) candidates() ([]ma.Multiaddr, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	longest := otherDelay
	if len(t.addrs[configured]) > 0 {
		longest = configDelay
	}
	var all []ma.Multiaddr
	for from := configured; from >= announced; from-- {
		all = append(all, t.addrs[from]...)
	}
	return rank(ma.Unique(all)), longest
}

func (t *target) began(d encryption.DeviceID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.device, t.since = d, t.f.h.clock.now()
}

func (t *target) ended() {
	t.mu.Lock()
	t.stable = t.f.h.clock.now().Sub(t.since) >= stableTime
	t.mu.Unlock()
	poke(t.lost)
}

func (t *target) wasStable() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stable
}

// run dials until the host is closed, or the target proves to be none.
func (t *target) run() {
	var due <-chan time.Time // learn leaves the first token in news
	for {
		select {
		case <-t.f.h.ctx.Done():
			return
		case <-t.news:
			t.backoff.reset()
		case <-t.lost:
			if t.wasStable() {
				t.backoff.reset()
			}
			due = t.f.h.clock.after(t.backoff.next())
			continue
		case <-due:
		}
		due = nil
		if t.removed() {
			t.f.forget(t)
			return
		}
		if err := t.try(); err != nil {
			due = t.f.h.clock.after(t.backoff.next())
		}
	}
}

// removed reports that this is not, or no more, a device of the account.
func (t *target) removed() bool {
	t.mu.Lock()
	device, pinned := t.device, len(t.addrs[configured]) > 0
	t.mu.Unlock()
	switch {
	case pinned:
		return false
	case device.IsZero():
		return t.backoff.tries >= strangerTries
	}
	return !t.f.h.account.member(device)
}

// try dials once if the host is not connected and has an address.
func (t *target) try() error {
	h := t.f.h
	addrs, longest := t.candidates()
	t.backoff.longest = longest
	if len(addrs) == 0 || h.sessions.with(t.id) != nil {
		return nil
	}
	err := h.connect(h.ctx, t.id, addrs)
	if errors.Is(err, errSuperseded) || h.sessions.with(t.id) != nil {
		return nil
	}
	if err != nil {
		h.log.Debug("device does not answer", "peer", t.id, "err", err)
	}
	return err
}

// connect dials a host and says hello.
func (h *Host) connect(ctx context.Context, id peer.ID, addrs []ma.Multiaddr) error {
	conn, err := h.end.dial(ctx, id, addrs)
	if err != nil {
		return err
	}
	if !h.track(conn) {
		conn.Close()
		return ErrClosed
	}
	if h.sessions.with(id) != nil {
		h.drop(conn)
		return errSuperseded
	}
	if err := h.open(ctx, conn); err != nil {
		h.drop(conn)
		return err
	}
	return nil
}
