package p2p

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// maxStrangers bounds the hosts that are dialled although no known device has
// that id: whoever sees our multicast can announce any number of them.
const maxStrangers = 16

// finder knows where devices may be and keeps dialling those that are not
// connected. It has one goroutine per target, one per configured address
// without an id, and one that watches the network.
type finder struct {
	h       *Host
	fixed   []fixedPeer // read-only
	seed    uint64      // of all jitter; read-only
	watcher *watcher    // nil without discovery of any kind

	mu        sync.Mutex
	started   bool                // guarded by mu
	resolvers []chan struct{}     // guarded by mu; a token says that the network has changed
	targets   map[peer.ID]*target // guarded by mu
}

type fixedPeer struct {
	addr ma.Multiaddr
	id   peer.ID // empty: not known
}

func newFinder(h *Host, c *Config) (*finder, error) {
	f := &finder{h: h, seed: c.seed, targets: map[peer.ID]*target{}}
	if f.seed == 0 {
		f.seed = h.sessions.run
	}
	if len(c.Peers) > maxPeers {
		return nil, fmt.Errorf("%d peers, at most %d: %w", len(c.Peers), maxPeers, ErrPeerAddr)
	}
	for _, s := range c.Peers {
		addr, id, err := parsePeer(s)
		if err != nil {
			return nil, err
		}
		f.fixed = append(f.fixed, fixedPeer{addr, id})
	}
	f.watcher = newWatcher(h, c)
	return f, nil
}

// start begins to dial and to discover.
func (f *finder) start() {
	f.mu.Lock()
	f.started = true
	f.mu.Unlock()
	for _, p := range f.fixed {
		if p.id == "" {
			f.startResolver(p.addr)
			continue
		}
		f.learn(p.id, configured, p.addr)
	}
	entries, err := f.h.book.Load()
	if err != nil {
		f.h.log.Warn("remembered addresses are not available", "err", err)
	}
	for _, e := range entries {
		if id, err := f.h.account.hostOf(e.Device); err == nil && f.h.account.member(e.Device) {
			f.learn(id, remembered, e.addrs()...)
		}
	}
	if f.watcher != nil {
		f.h.spawn(func() { f.watcher.run(f.h.ctx) })
	}
}

func (f *finder) startResolver(a ma.Multiaddr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	news := make(chan struct{}, 1)
	f.resolvers = append(f.resolvers, news)
	random := rand.New(rand.NewPCG(f.seed, 1<<32+uint64(len(f.resolvers))))
	f.h.spawn(func() { f.resolve(a, news, random) })
}

// A source says how an address became known; a higher one is kept longer.
type source int

const (
	announced  source = iota // by multicast, which anybody can forge
	remembered               // told by the device itself or dialled with success
	configured
)

// learn adds addresses of a host and wakes whoever dials it. Hosts that are
// not of a known device are only dialled within maxStrangers.
func (f *finder) learn(id peer.ID, from source, addrs ...ma.Multiaddr) {
	if id == f.h.end.id || len(addrs) == 0 {
		return
	}
	device, known := f.h.account.hosts()[id]
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.targets[id]
	if t == nil {
		if !known && from != configured && f.strangers() >= maxStrangers {
			return
		}
		if t = f.add(id); t == nil {
			return
		}
	}
	if known {
		t.bind(device)
	}
	if t.add(from, addrs) {
		t.wake()
	}
	if s := f.h.sessions.with(id); s != nil && from == announced {
		s.doubt() // a host announces itself anew when it starts or its network changes
	}
}

// add needs mu. It returns nil while the finder has not started, and when the
// host is closed.
func (f *finder) add(id peer.ID) *target {
	if !f.started {
		return nil
	}
	n := uint64(len(f.targets))
	t := newTarget(f, id, rand.New(rand.NewPCG(f.seed, n)))
	if !f.h.spawn(t.run) {
		return nil
	}
	f.targets[id] = t
	return t
}

// strangers needs mu.
func (f *finder) strangers() int {
	n := 0
	for _, t := range f.targets {
		if t.stranger() {
			n++
		}
	}
	return n
}

func (f *finder) forget(t *target) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.targets, t.id)
}

func (f *finder) target(id peer.ID) *target {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.targets[id]
}

// wakeAll is called when the network has changed.
func (f *finder) wakeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.targets {
		t.wake()
	}
	for _, news := range f.resolvers {
		poke(news)
	}
}

// connected notes where a device that said hello can be dialled.
func (f *finder) connected(s *session, theirs []ma.Multiaddr) {
	addrs := slices.Clone(theirs)
	if remote := s.conn.RemoteMultiaddr(); s.peer.Outbound || !isTCP(remote) {
		addrs = append([]ma.Multiaddr{remote}, addrs...)
	}
	addrs = slices.DeleteFunc(ma.Unique(addrs), func(a ma.Multiaddr) bool { return !dialable(a) })
	addrs = addrs[:min(len(addrs), maxBookAddrs)]
	f.learn(s.id, remembered, addrs...)
	if t := f.target(s.id); t != nil {
		t.began(s.peer.Device)
	}
	e := Entry{Device: s.peer.Device, LastSeen: f.h.clock.now()}
	for _, a := range addrs {
		e.Addrs = append(e.Addrs, a.String())
	}
	f.h.save(e)
}

func (f *finder) disconnected(s *session) {
	if t := f.target(s.id); t != nil {
		t.ended()
	}
}

// resolve finds out whose address a is, again and again, as the answer can
// change while nobody there is connected. Once the id is known, its target
// does the dialling.
func (f *finder) resolve(a ma.Multiaddr, news <-chan struct{}, random *rand.Rand) {
	b := backoff{longest: configDelay, random: random}
	var last peer.ID
	for {
		if last == "" || f.h.sessions.with(last) == nil {
			id, err := f.h.end.identify(f.h.ctx, a)
			switch {
			case err != nil:
				f.h.log.Debug("configured peer does not answer", "addr", a, "err", err)
			case id == f.h.end.id:
				f.h.log.Info("configured peer is this device", "addr", a)
				return
			default:
				last = id
				f.learn(id, configured, a)
			}
		}
		select {
		case <-f.h.ctx.Done():
			return
		case <-news:
			b.reset()
		case <-f.h.clock.after(b.next()):
		}
	}
}
