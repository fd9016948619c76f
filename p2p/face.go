package p2p

import (
	"crypto/rand"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"syscall"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	libyamux "github.com/libp2p/go-yamux/v5"
	ma "github.com/multiformats/go-multiaddr"
)

// A face is the endpoint under one host key: the transports that show it, and
// their listeners. Connections that were made under a face outlive it. Read-only
// once it is the endpoint's.
type face struct {
	id        peer.ID
	gate      gate
	quic      transport.Transport
	tcp       transport.Transport // nil over Config.ListenPacket
	listeners []transport.Listener
}

func (e *endpoint) newFace(seed [32]byte) (*face, error) {
	key, err := hostKey(seed)
	if err != nil {
		return nil, err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("host id: %w", err)
	}
	f := &face{id: id, gate: gate{self: id}}
	if f.quic, err = libp2pquic.NewTransport(key, e.reuse, nil, f.gate, e.limits); err != nil {
		return nil, fmt.Errorf("quic: %w", err)
	}
	if e.tcp {
		if f.tcp, err = e.newTCP(key, f.gate); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (e *endpoint) newTCP(key crypto.PrivKey, g gate) (transport.Transport, error) {
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
		return nil, fmt.Errorf("tls: %w", err)
	}
	up, err := upgrader.New([]sec.SecureTransport{secure}, muxers, nil, e.limits, g, upgrader.WithAcceptTimeout(helloTime))
	if err != nil {
		return nil, fmt.Errorf("tcp: %w", err)
	}
	// With SO_REUSEPORT two programs could share a port without noticing.
	t, err := tcp.NewTCPTransport(up, e.limits, nil, tcp.DisableReuseport(), tcp.WithConnectionTimeout(dialTime))
	if err != nil {
		return nil, fmt.Errorf("tcp: %w", err)
	}
	return t, nil
}

func (e *endpoint) current() *face {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.face
}

// id is the peer id of new connections.
func (e *endpoint) id() peer.ID { return e.current().id }

// listen opens QUIC and TCP on the same port of every host. With port 0 the
// kernel chooses, and the choice is tried again if another program has the
// other protocol's port of that number.
func (e *endpoint) listen(at listenAddr) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	tries := 1
	if at.port == 0 {
		tries = 16
	}
	var err error
	for range tries {
		e.at = at
		if err = e.listenOnce(e.face); err == nil {
			return nil
		}
		e.release()
		e.face.closeListeners()
		e.face.listeners = nil
		if !errors.Is(err, ErrAddrInUse) {
			return err
		}
	}
	return err
}

// renew shows another host key from now on. Connections stay, and so do the port
// and the UDP sockets. It returns the new listeners also beside an error, after
// which it is to be called again: the host is not reachable at all its addresses.
func (e *endpoint) renew(seed [32]byte) ([]transport.Listener, error) {
	next, err := e.newFace(seed)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	e.face.closeListeners()
	e.face = next
	err = e.listenOnce(next)
	e.stale = err != nil
	return next.listeners, err
}

// needs reports whether renew would change anything.
func (e *endpoint) needs(id peer.ID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.closed && (e.stale || e.face.id != id)
}

// lost is called when a listener has ended. If nobody has closed it, renew is
// needed, and without a QUIC listener also a new socket. libp2p's QUIC listener
// ends by itself if a handshake finishes in the microseconds in which the old
// face has left and the new one has not come. The port is then taken until the
// old socket is collected, and meanwhile the host is reachable by TCP.
func (e *endpoint) lost(l transport.Listener) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || !slices.Contains(e.face.listeners, l) {
		return
	}
	e.stale = true
	if !isTCP(l.Multiaddr()) {
		e.release()
	}
}

// listenOnce opens what it can, unless the first port is not to be had. It needs mu.
func (e *endpoint) listenOnce(f *face) error {
	var errs []error
	for i, host := range e.at.hosts {
		got, err := e.listenBoth(f, host, e.at.port)
		if err == nil {
			e.at.port = got
			continue
		}
		if i >= len(e.at.hosts)-e.at.optional && !errors.Is(err, ErrAddrInUse) {
			continue
		}
		errs = append(errs, err)
		if e.at.port == 0 {
			break
		}
	}
	return errors.Join(errs...)
}

// listenBoth returns the port, which the kernel chose if the argument is 0. It
// needs mu.
func (e *endpoint) listenBoth(f *face, host netip.Addr, port uint16) (uint16, error) {
	if f.tcp != nil {
		l, err := f.listenOn(f.tcp, tcpAddr(host, port))
		if err != nil {
			return 0, err
		}
		port = portOf(l.Multiaddr())
	}
	l, err := f.listenOn(f.quic, quicAddr(host, port))
	if err != nil {
		return 0, err
	}
	return portOf(l.Multiaddr()), e.hold(l.Multiaddr())
}

func (f *face) listenOn(t transport.Transport, addr ma.Multiaddr) (transport.Listener, error) {
	l, err := t.Listen(addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: %w", addr, ErrAddrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	f.listeners = append(f.listeners, l)
	return l, nil
}

var errNobody = errors.New("nobody speaks this protocol")

// hold adds a second QUIC listener at an address, for a protocol whose name
// nobody can know and which refuses everybody. A UDP socket closes some seconds
// after its last listener, and with it die all connections that came in through
// it: so there must be one while those of the old face make way. It needs mu.
func (e *endpoint) hold(at ma.Multiaddr) error {
	if e.sockets[at.String()] != nil {
		return nil
	}
	nobody := func(*stdtls.ClientHelloInfo) (*stdtls.Config, error) { return nil, errNobody }
	l, err := e.reuse.ListenQUIC(at, &stdtls.Config{NextProtos: []string{rand.Text()}, GetConfigForClient: nobody}, nil)
	if err != nil {
		return fmt.Errorf("hold %s: %w", at, err)
	}
	e.sockets[at.String()] = l
	return nil
}

// release needs mu.
func (e *endpoint) release() {
	for _, l := range e.sockets {
		l.Close()
	}
	clear(e.sockets)
}

func (f *face) closeListeners() {
	for _, l := range f.listeners {
		l.Close()
	}
}

// close ends every listener and connection.
func (e *endpoint) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	if e.face != nil {
		e.face.closeListeners()
	}
	e.release()
	var errs []error
	if e.reuse != nil {
		errs = append(errs, e.reuse.Close())
	}
	return errors.Join(append(errs, e.limits.Close())...)
}
