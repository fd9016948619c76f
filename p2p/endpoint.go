package p2p

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	libyamux "github.com/libp2p/go-yamux/v5"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/quic-go/quic-go"
)

const (
	// dialTime bounds one attempt at all addresses of one peer, in which
	// transport and TLS handshakes have to finish.
	dialTime = 5 * time.Second
	// publicTCPDelay is how long TCP waits for QUIC towards a public address,
	// where a second handshake is not free and a dead port says nothing.
	publicTCPDelay = 250 * time.Millisecond
	maxDials       = 24 // addresses tried in one attempt
)

// An endpoint is one libp2p identity on the network: its QUIC and TCP
// transports, their listeners, and the connections that they make. There is
// no libp2p host or swarm around it, and so no identify, ping, push, relay,
// NAT or autonat protocol, no multistream negotiation on streams, and no
// dial back-off or address book but ours.
type endpoint struct {
	id     peer.ID
	gate   gate
	limits network.ResourceManager
	reuse  *quicreuse.ConnManager
	quic   transport.Transport
	tcp    transport.Transport // nil over Config.ListenPacket

	listeners []transport.Listener // set by listen, read-only afterwards
}

// packetListener opens a UDP socket; see Config.ListenPacket.
type packetListener func(*net.UDPAddr) (net.PacketConn, error)

// newEndpoint derives the host key from seed. packets may be nil.
func newEndpoint(seed [32]byte, packets packetListener) (*endpoint, error) {
	key, err := hostKey(seed)
	if err != nil {
		return nil, err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("host id: %w", err)
	}
	limits, err := newLimits()
	if err != nil {
		return nil, err
	}
	e := &endpoint{id: id, gate: gate{self: id}, limits: limits}
	if err := e.addQUIC(key, seed, packets); err != nil {
		return nil, errors.Join(err, e.close())
	}
	if packets == nil {
		if err := e.addTCP(key); err != nil {
			return nil, errors.Join(err, e.close())
		}
	}
	return e, nil
}

func hostKey(seed [32]byte) (crypto.PrivKey, error) {
	key, _, err := crypto.KeyPairFromStdKey(new(ed25519.NewKeyFromSeed(seed[:])))
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	return key, nil
}

// hostID is the peer id of the host whose seed this is.
func hostID(seed [32]byte) (peer.ID, error) {
	key, err := hostKey(seed)
	if err != nil {
		return "", err
	}
	return peer.IDFromPrivateKey(key)
}

func (e *endpoint) addQUIC(key crypto.PrivKey, seed [32]byte, packets packetListener) error {
	reset, err := hkdf.Key(sha256.New, seed[:], nil, "starling quic stateless reset", 32)
	if err != nil {
		return fmt.Errorf("quic reset key: %w", err)
	}
	token, err := hkdf.Key(sha256.New, seed[:], nil, "starling quic token", 32)
	if err != nil {
		return fmt.Errorf("quic token key: %w", err)
	}
	options := []quicreuse.Option{
		quicreuse.ConnContext(e.scopeConn),
		quicreuse.VerifySourceAddress(e.limits.VerifySourceAddress),
	}
	if packets != nil {
		options = append(options, simulated(packets)...)
	}
	e.reuse, err = quicreuse.NewConnManager(quic.StatelessResetKey(reset), quic.TokenGeneratorKey(token), options...)
	if err != nil {
		return fmt.Errorf("quic: %w", err)
	}
	e.quic, err = libp2pquic.NewTransport(key, e.reuse, nil, e.gate, e.limits)
	if err != nil {
		return fmt.Errorf("quic: %w", err)
	}
	return nil
}

// scopeConn makes a QUIC connection count against the limits from its first
// packet on, before any cryptography.
func (e *endpoint) scopeConn(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	addr, err := quicreuse.ToQuicMultiaddr(info.RemoteAddr, quic.Version1)
	if err != nil {
		addr = nil
	}
	scope, err := e.limits.OpenConnection(network.DirInbound, false, addr)
	if err != nil {
		return ctx, err
	}
	ctx = network.WithConnManagementScope(ctx, scope)
	context.AfterFunc(ctx, scope.Done)
	return ctx, nil
}

// simulated replaces the operating system's sockets and routes.
func simulated(packets packetListener) []quicreuse.Option {
	var self sourceIP
	return []quicreuse.Option{
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return &self, nil }),
		quicreuse.OverrideListenUDP(func(_ string, addr *net.UDPAddr) (net.PacketConn, error) {
			self.set(addr.IP)
			return packets(addr)
		}),
	}
}

type sourceIP struct {
	mu sync.Mutex
	ip net.IP // guarded by mu
}

func (s *sourceIP) set(ip net.IP) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ip = ip
}

func (s *sourceIP) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ip, nil
}

func (e *endpoint) addTCP(key crypto.PrivKey) error {
	conf := libyamux.DefaultConfig()
	conf.LogOutput = io.Discard
	conf.ReadBufSize = 0
	conf.KeepAliveInterval = beatInterval
	conf.ConnectionWriteTimeout = beatTime
	conf.MaxStreamWindowSize = 16 << 20
	conf.MaxIncomingStreams = 4 // one is used; a stranger must not hold windows for more
	conf.AcceptBacklog = 4
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: (*yamux.Transport)(conf)}}
	secure, err := tls.New(tls.ID, key, muxers)
	if err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	up, err := upgrader.New([]sec.SecureTransport{secure}, muxers, nil, e.limits, e.gate,
		upgrader.WithAcceptTimeout(helloTime))
	if err != nil {
		return fmt.Errorf("tcp: %w", err)
	}
	// With SO_REUSEPORT two programs could share a port without noticing.
	e.tcp, err = tcp.NewTCPTransport(up, e.limits, nil, tcp.DisableReuseport(), tcp.WithConnectionTimeout(dialTime))
	if err != nil {
		return fmt.Errorf("tcp: %w", err)
	}
	return nil
}

// listen opens QUIC and TCP on the same port of every host. With port 0 the
// kernel chooses, and the choice is tried again if another program has the
// other protocol's port of that number.
func (e *endpoint) listen(at listenAddr) error {
	tries := 1
	if at.port == 0 {
		tries = 16
	}
	var err error
	for range tries {
		if err = e.listenOnce(at); !errors.Is(err, ErrAddrInUse) {
			return err
		}
	}
	return err
}

func (e *endpoint) listenOnce(at listenAddr) error {
	port := at.port
	for i, host := range at.hosts {
		got, err := e.listenBoth(host, port)
		if err == nil {
			port = got
			continue
		}
		if i >= len(at.hosts)-at.optional && !errors.Is(err, ErrAddrInUse) {
			continue
		}
		e.closeListeners()
		e.listeners = nil
		return err
	}
	return nil
}

// listenBoth returns the port, which the kernel chose if the argument is 0.
func (e *endpoint) listenBoth(host netip.Addr, port uint16) (uint16, error) {
	if e.tcp != nil {
		l, err := e.listenOn(e.tcp, tcpAddr(host, port))
		if err != nil {
			return 0, err
		}
		port = portOf(l.Multiaddr())
	}
	l, err := e.listenOn(e.quic, quicAddr(host, port))
	if err != nil {
		return 0, err
	}
	return portOf(l.Multiaddr()), nil
}

func (e *endpoint) listenOn(t transport.Transport, addr ma.Multiaddr) (transport.Listener, error) {
	l, err := t.Listen(addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: %w", addr, ErrAddrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	e.listeners = append(e.listeners, l)
	return l, nil
}

// addrs are the addresses at which this endpoint listens now, with the
// unspecified address replaced by those of the interfaces that exist.
func (e *endpoint) addrs() []ma.Multiaddr {
	var all []ma.Multiaddr
	for _, l := range e.listeners {
		all = append(all, l.Multiaddr())
	}
	ifaces, err := manet.InterfaceMultiaddrs()
	if err != nil {
		ifaces = nil // then only literal addresses are left
	}
	resolved, err := manet.ResolveUnspecifiedAddresses(all, ifaces)
	if err != nil {
		return nil
	}
	var out []ma.Multiaddr
	for _, a := range resolved {
		if dialable(a) && !manet.IsIP6LinkLocal(a) {
			out = append(out, a)
		}
	}
	return rank(ma.Unique(out))
}

// dial races all addresses and returns the first connection whose other end
// proved to be id. The others are cancelled or closed.
func (e *endpoint) dial(ctx context.Context, id peer.ID, addrs []ma.Multiaddr) (transport.CapableConn, error) {
	if !e.gate.InterceptPeerDial(id) {
		return nil, fmt.Errorf("dial %s: that is this device", id)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	addrs = addrs[:min(len(addrs), maxDials)]
	type result struct {
		conn transport.CapableConn
		err  error
	}
	results := make(chan result, len(addrs))
	for _, a := range addrs {
		go func() {
			conn, err := e.dialOne(ctx, id, a)
			results <- result{conn, err}
		}()
	}
	var won transport.CapableConn
	var errs []error
	for range addrs {
		r := <-results
		switch {
		case r.err != nil:
			errs = append(errs, r.err)
		case won == nil:
			won = r.conn
			cancel()
		default:
			r.conn.Close()
		}
	}
	if won == nil {
		return nil, fmt.Errorf("dial %s: %w", id, errors.Join(errs...))
	}
	return won, nil
}

func (e *endpoint) dialOne(ctx context.Context, id peer.ID, a ma.Multiaddr) (transport.CapableConn, error) {
	t := e.quic
	if isTCP(a) {
		t = e.tcp
		if err := e.holdBack(ctx, a); err != nil {
			return nil, err
		}
	}
	if t == nil || !t.CanDial(a) {
		return nil, fmt.Errorf("%s: no transport", a)
	}
	conn, err := t.Dial(ctx, a, id)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	return conn, nil
}

// holdBack is the dial ranking: none for a nearby address, a head start for
// QUIC towards a public one.
func (e *endpoint) holdBack(ctx context.Context, a ma.Multiaddr) error {
	if nearby(a) {
		return nil
	}
	t := time.NewTimer(publicTCPDelay)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// identify learns the peer id behind an address that came without one: it
// asks for an id that nobody has and reads the refusal.
func (e *endpoint) identify(ctx context.Context, a ma.Multiaddr) (peer.ID, error) {
	var seed [32]byte
	rand.Read(seed[:]) // never fails, see crypto/rand
	nobody, err := hostID(seed)
	if err != nil {
		return "", err
	}
	conn, err := e.dial(ctx, nobody, []ma.Multiaddr{a})
	if err == nil {
		conn.Close()
		return "", fmt.Errorf("%s: answers to any id", a)
	}
	var mismatch sec.ErrPeerIDMismatch
	if errors.As(err, &mismatch) && mismatch.Actual != "" {
		return mismatch.Actual, nil
	}
	return "", err
}

func (e *endpoint) closeListeners() {
	for _, l := range e.listeners {
		l.Close()
	}
}

// close ends every listener and connection.
func (e *endpoint) close() error {
	e.closeListeners()
	var errs []error
	if c, ok := e.quic.(io.Closer); ok {
		errs = append(errs, c.Close())
	}
	if e.reuse != nil {
		errs = append(errs, e.reuse.Close())
	}
	return errors.Join(append(errs, e.limits.Close())...)
}
