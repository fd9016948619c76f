package p2p

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/starling-sync/starling/encryption"
)

// A Host is this device on the network. All methods are safe for concurrent
// use.
type Host struct {
	account  account
	end      *endpoint
	log      *slog.Logger
	admit    func(ops [][]byte)
	book     AddressBook
	sessions *sessions
	pending  pending
	finder   *finder
	window   window
	clock    clock
	checks   <-chan time.Time // nil: every refreshInterval

	refreshing sync.Mutex // held during Refresh
	current    atomic.Pointer[names]

	ctx    context.Context // ends with Close; for the goroutines of the host only
	cancel context.CancelFunc
	once   sync.Once // first Accept

	mu     sync.Mutex
	conns  map[transport.CapableConn]struct{} // guarded by mu; nil once closed
	work   sync.WaitGroup                     // Add only under mu while conns is not nil
	bookMu sync.Mutex                         // held during book.Save
}

// Listen opens the ports and answers devices that connect. Nothing is
// announced and nobody is dialled before the first Accept. ctx bounds the
// start only. Errors: ErrAddrInUse, ErrListenAddr, ErrPeerAddr, or what the
// operating system says.
func Listen(ctx context.Context, c *Config) (*Host, error) {
	if c == nil || c.Identity == nil {
		return nil, fmt.Errorf("%w: no identity", errConfig)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	at, err := parseListen(c.Listen)
	if err != nil {
		return nil, err
	}
	h := newHost(c)
	if h.finder, err = newFinder(h, c); err != nil {
		return nil, err
	}
	n, err := h.account.names(h.clock.now(), nil)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	h.current.Store(n)
	h.end, err = newEndpoint(n.seed, c.ListenPacket)
	if err != nil {
		return nil, err
	}
	if err := h.end.listen(at); err != nil {
		h.end.close()
		return nil, err
	}
	h.noteStanding(n, nil)
	h.serveAll(h.end.current().listeners)
	h.spawn(h.keepCurrent)
	return h, nil
}

func (h *Host) serveAll(listeners []transport.Listener) {
	for _, l := range listeners {
		h.spawn(func() { h.accept(l) })
	}
}

// clock is where the time of this package comes from, but for the deadlines
// of sockets.
type clock struct {
	now   func() time.Time
	after func(time.Duration) <-chan time.Time
}

func (c clock) orReal() clock {
	if c.now == nil {
		return clock{now: time.Now, after: time.After}
	}
	return c
}

func newHost(c *Config) *Host {
	var run [8]byte
	rand.Read(run[:]) // never fails, see crypto/rand
	h := &Host{
		account: account{c.Identity}, log: c.logger(), admit: c.Admit, book: c.Book,
		sessions: newSessions(c.Identity.Device, binary.BigEndian.Uint64(run[:])),
		conns:    map[transport.CapableConn]struct{}{}, clock: c.clock.orReal(), checks: c.checks,
	}
	if h.book == nil {
		h.book = NewMemoryBook()
	}
	if h.admit == nil {
		h.admit = func(ops [][]byte) {
			if _, err := c.Identity.Admit(ops...); err != nil {
				h.log.Warn("membership operations of a hello were not admitted", "err", err)
			}
		}
	}
	h.ctx, h.cancel = context.WithCancel(context.Background()) //lint:allow context.Background the host outlives the call; Close ends it
	return h
}

// Accept returns the next authenticated stream, whichever side dialled; the
// caller closes it. There is at most one per device: when a device connects
// anew, reading from its earlier stream fails. Streams of peers that vanish
// without a word fail within 30 seconds. The first call starts discovery and
// dialling. Errors: ErrClosed, or that of ctx.
//
// Besides Read, Write and Close the stream has the deadline methods of
// net.Conn. Close ends writing at once and the connection when the other end
// closes too, at the latest after a second.
func (h *Host) Accept(ctx context.Context) (io.ReadWriteCloser, encryption.Peer, error) {
	h.once.Do(h.finder.start)
	for {
		if s := h.sessions.next(); s != nil {
			return s, s.peer, nil
		}
		select {
		case <-h.sessions.ready:
		case <-ctx.Done():
			return nil, encryption.Peer{}, fmt.Errorf("accept: %w", ctx.Err())
		case <-h.ctx.Done():
			return nil, encryption.Peer{}, fmt.Errorf("accept: %w", ErrClosed)
		}
	}
}

// Addrs returns the multiaddrs at which this host can be dialled now, nearest
// first, each with its /p2p/ part. They change with the interfaces, and the
// /p2p/ part every day; Config.Peers takes yesterday's too.
func (h *Host) Addrs() []string {
	var out []string
	for _, a := range h.end.addrs() {
		out = append(out, a.String()+"/p2p/"+h.PeerID())
	}
	return out
}

// PeerID returns the libp2p peer id of this host, which changes every day.
func (h *Host) PeerID() string { return h.end.id().String() }

// Close ends every stream, closes the ports and returns when nothing of the
// host is left running. Later calls do nothing.
func (h *Host) Close() error {
	h.mu.Lock()
	conns := h.conns
	h.conns = nil
	h.mu.Unlock()
	if conns == nil {
		return nil
	}
	h.cancel()
	for conn := range conns {
		conn.Close()
	}
	err := h.end.close()
	h.work.Wait()
	if err != nil {
		return fmt.Errorf("close p2p host: %w", err)
	}
	return nil
}

// spawn runs f unless the host is closed; Close waits for it.
func (h *Host) spawn(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns == nil {
		return false
	}
	h.work.Go(f)
	return true
}

// track makes Close end the connection too.
func (h *Host) track(conn transport.CapableConn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns == nil {
		return false
	}
	h.conns[conn] = struct{}{}
	return true
}

// drop closes a tracked connection.
func (h *Host) drop(conn transport.CapableConn) {
	h.mu.Lock()
	if h.conns != nil {
		delete(h.conns, conn)
	}
	h.mu.Unlock()
	conn.Close()
}

// start runs a session that was registered.
func (h *Host) start(s *session, theirs card) error {
	if err := s.stream.SetDeadline(time.Time{}); err != nil {
		s.end()
		return fmt.Errorf("start session: %w", err)
	}
	if !h.spawn(s.watch) || !h.spawn(s.beat) {
		s.end()
		return ErrClosed
	}
	h.finder.connected(s, theirs.addrs)
	if !h.both(s.peer.Device) { // removed during the hello, or its add was not admitted
		s.end()
		return fmt.Errorf("start session: %w", encryption.ErrRemoved)
	}
	h.sessions.offer(s)
	h.log.Debug("device connected", "device", s.peer.Device, "addr", s.peer.Addr, "outbound", s.peer.Outbound)
	return nil
}

// sessionEnded is called once for every session that ends.
func (h *Host) sessionEnded(s *session) {
	h.drop(s.conn)
	h.sessions.remove(s)
	h.finder.disconnected(s)
	h.log.Debug("device disconnected", "device", s.peer.Device, "addr", s.peer.Addr)
}

func (h *Host) save(e Entry) {
	h.bookMu.Lock()
	defer h.bookMu.Unlock()
	if err := h.book.Save(e); err != nil {
		h.log.Warn("address not remembered", "device", e.Device, "err", err)
	}
}
