package p2p

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/starling-sync/starling/encryption"
)

const (
	// maxTargetAddrs per source.
	maxTargetAddrs = 16
	// strangerTries is how often a host is dialled that turns out not to be a
	// device of the account.
	strangerTries = 3
	// maxAnswers is how many hosts are greeted in one attempt that answer at the
	// addresses of another.
	maxAnswers = 4
	// maxQuick is how many epochs are tried one after another before the next
	// long pause.
	maxQuick = 8
)

// target is one place that is dialled whenever nobody there is connected.
type target struct {
	f       *finder
	at      place
	random  *rand.Rand // owned by run
	backoff backoff    // owned by run
	dialled bool       // owned by run
	quick   int        // owned by run; hellos that failed since the last long pause
	epoch   int        // owned by run; which of the epochs is next

	news chan struct{} // a token says: dial now, with fresh patience
	lost chan struct{} // a token says: a session has ended

	mu     sync.Mutex
	device encryption.DeviceID            // guarded by mu; zero as long as it is not known
	host   peer.ID                        // guarded by mu; that was met last
	hinted encryption.EpochTag            // guarded by mu; that the host announced last
	addrs  [configured + 1][]ma.Multiaddr // guarded by mu; newest first
	since  time.Time                      // guarded by mu; begin of the current or last session
	stable bool                           // guarded by mu; the last session lasted stableTime
}

func newTarget(f *finder, at place, random *rand.Rand) *target {
	return &target{
		f: f, at: at, device: at.device, random: random, backoff: backoff{brisk: otherDelay, random: random},
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

// leadsTo is the device at the place, zero if it is not known.
func (t *target) leadsTo() encryption.DeviceID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.device
}

// bind notes who was met.
func (t *target) bind(d encryption.DeviceID, host peer.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.device, t.host = d, host
}

func (t *target) hint(tag encryption.EpochTag) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hinted = tag
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

// candidates are the addresses to dial, and how far the pause between dials doubles.
func (t *target) candidates() ([]ma.Multiaddr, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	brisk := otherDelay
	if len(t.addrs[configured]) > 0 {
		brisk = configDelay
	}
	var all []ma.Multiaddr
	for from := configured; from >= announced; from-- {
		all = append(all, t.addrs[from]...)
	}
	return rank(ma.Unique(all)), brisk
}

func (t *target) began() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = t.f.h.clock.now()
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
	h := t.f.h
	var due <-chan time.Time // learn leaves the first token in news
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-t.news:
			if t.dialled && h.current.Load().out {
				continue // nobody would talk to this device
			}
			t.backoff.reset()
		case <-t.lost:
			if t.wasStable() {
				t.backoff.reset()
			}
			due = h.clock.after(t.pause(nil))
			continue
		case <-due:
		}
		due = nil
		if t.over() {
			t.f.forget(t)
			return
		}
		err := t.try()
		if t.at.addr != "" && errors.Is(err, errSelf) {
			t.f.forget(t)
			h.log.Info("configured peer is this device", "addr", t.at.addr)
			return
		}
		if t.over() || t.stranger() && isOut(err) {
			t.f.forget(t)
			return
		}
		if err != nil {
			due = h.clock.after(t.pause(err))
		}
	}
}

// pause is how long to wait after an attempt: hardly, if the other end did not
// know the epoch and there are more; long, if one of the two is out, but not if
// this one hopes to be brought back.
func (t *target) pause(err error) time.Duration {
	if n := t.f.h.current.Load(); isOut(err) || n.out {
		t.backoff.tries++
		longest := outDelay
		if n.waits {
			longest = waitDelay
		}
		return longest/2 + time.Duration(t.random.Int64N(int64(longest/2)))
	}
	if errors.Is(err, errHello) && t.epoch > 0 && t.quick < maxQuick {
		t.quick++
		return firstDelay
	}
	t.quick = 0
	return t.backoff.next()
}

// isOut reports that one of the two sides of a hello is not a member any more.
func isOut(err error) bool {
	var out *encryption.RemovedError
	return errors.As(err, &out)
}

// over reports that this is not, or no more, a way to a device of the account
// which nothing else knows.
func (t *target) over() bool {
	t.mu.Lock()
	device, pinned := t.device, len(t.addrs[configured]) > 0
	t.mu.Unlock()
	switch {
	case pinned:
		return false
	case device.IsZero():
		return t.backoff.tries >= strangerTries
	}
	return t.at.device.IsZero() || !t.f.h.account.wanted(device)
}

// try dials once if nobody there is connected and there is an address.
func (t *target) try() error {
	addrs, brisk := t.candidates()
	t.backoff.brisk = brisk
	if len(addrs) == 0 || t.connected() {
		return nil
	}
	t.dialled = true
	err := t.connect(t.f.h.ctx, addrs)
	if err == nil || errors.Is(err, errSuperseded) || t.connected() {
		t.epoch, t.quick = 0, 0
		return nil
	}
	t.f.h.log.Debug("device does not answer", "place", t.at, "err", err)
	return err
}

func (t *target) connected() bool {
	if d := t.leadsTo(); !d.IsZero() {
		return t.f.h.sessions.of(d) != nil
	}
	return t.at.host != "" && t.f.h.sessions.with(t.at.host) != nil
}

// expected is the peer id that the host probably has.
func (t *target) expected(n *names) peer.ID {
	t.mu.Lock()
	device, met := t.device, t.host
	t.mu.Unlock()
	if _, valid := n.known[met]; valid {
		return met
	}
	if !device.IsZero() {
		if id, err := t.f.h.account.hostOf(device, n.newest(), n.day); err == nil {
			return id
		}
	}
	if t.at.host != "" {
		return t.at.host
	}
	return t.f.nobody
}

// connect dials the host that is expected, and otherwise greets whoever answers
// in its place: its id may be one that this device does not expect, because of
// the day or of an epoch.
func (t *target) connect(ctx context.Context, addrs []ma.Multiaddr) error {
	h := t.f.h
	n := h.current.Load()
	conn, others, err := h.end.dial(ctx, t.expected(n), addrs, min(firstDelay<<min(t.backoff.tries, 8), dialTime))
	if err == nil {
		return t.meet(ctx, n, conn)
	}
	for _, o := range t.sift(n, others) {
		var e error
		if conn, _, e = h.end.dial(ctx, o.id, []ma.Multiaddr{o.addr}, dialTime); e == nil {
			e = t.meet(ctx, n, conn)
		}
		if e == nil {
			return nil
		}
		err = errors.Join(err, e)
	}
	return err
}

// sift chooses whom to greet: hosts of the device first, then hosts that may be
// anybody's, in an order that nobody else can choose. Other devices of the account
// are left to their own targets.
func (t *target) sift(n *names, others []answer) []answer {
	device := t.leadsTo()
	var its, anybody []answer
	for _, o := range others {
		who, known := n.known[o.id]
		switch {
		case !known || t.at.device.IsZero():
			anybody = append(anybody, o)
		case who.device == device:
			its = append(its, o)
		default:
			t.f.learn(place{device: who.device}, remembered, o.addr)
		}
	}
	t.random.Shuffle(len(anybody), func(i, j int) { anybody[i], anybody[j] = anybody[j], anybody[i] })
	all := append(its, anybody...)
	return all[:min(len(all), maxAnswers)]
}

// meet says hello on a new connection.
func (t *target) meet(ctx context.Context, n *names, conn transport.CapableConn) error {
	h, host := t.f.h, conn.RemotePeer()
	if !h.track(conn) {
		conn.Close()
		return ErrClosed
	}
	s := h.sessions.with(host)
	if who, known := n.known[host]; known && s == nil {
		s = h.sessions.of(who.device)
	}
	if s != nil {
		h.drop(conn)
		return t.met(s.peer.Device, host, errSuperseded)
	}
	device, err := h.open(ctx, conn, t.choose(n, host))
	if err != nil {
		h.drop(conn)
	}
	if device.IsZero() {
		return err
	}
	return t.met(device, host, err)
}

// met notes which device is at the place, if the place is not another one's.
func (t *target) met(d encryption.DeviceID, host peer.ID, err error) error {
	if !t.at.device.IsZero() && d != t.at.device {
		return errOther
	}
	t.bind(d, host)
	return err
}

// choose picks the epoch for a hello: the one that the host's id or announcement
// names, and after every failure the next of all, the newest first.
func (t *target) choose(n *names, host peer.ID) encryption.EpochTag {
	t.mu.Lock()
	first := t.hinted
	t.mu.Unlock()
	if who, known := n.known[host]; known {
		first = who.epoch
	}
	order := n.epochs
	if slices.Contains(order, first) {
		rest := slices.DeleteFunc(slices.Clone(order), func(tag encryption.EpochTag) bool { return tag == first })
		order = append([]encryption.EpochTag{first}, rest...)
		if t.stranger() {
			order = order[:1] // it has said which epoch it knows
		}
	}
	tag := order[t.epoch%len(order)]
	t.epoch = (t.epoch + 1) % len(order)
	return tag
}
