package p2p

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/quic-go/quic-go"
)

// An endpoint is the QUIC and TCP ports of a host and the connections that are
// made through them, under one libp2p identity at a time. There is no libp2p host
// or swarm around it, and so no identify, ping, push, relay, NAT or autonat
// protocol, no multistream negotiation on streams, and no dial back-off or
// address book but ours.
type endpoint struct {
	limits network.ResourceManager
	reuse  *quicreuse.ConnManager
	tcp    bool // false over Config.ListenPacket

	mu      sync.Mutex
	face    *face                         // guarded by mu
	at      listenAddr                    // guarded by mu; with the port that was chosen
	sockets map[string]quicreuse.Listener // guarded by mu; see hold
	stale   bool                          // guarded by mu; a listener is missing
	closed  bool                          // guarded by mu
}

// packetListener opens a UDP socket; see Config.ListenPacket.
type packetListener func(*net.UDPAddr) (net.PacketConn, error)

// newEndpoint derives the host key from seed. packets may be nil.
func newEndpoint(seed [32]byte, packets packetListener) (*endpoint, error) {
	limits, err := newLimits()
	if err != nil {
		return nil, err
	}
	e := &endpoint{limits: limits, tcp: packets == nil, sockets: map[string]quicreuse.Listener{}}
	if err := e.addQUIC(seed, packets); err != nil {
		return nil, errors.Join(err, e.close())
	}
	if e.face, err = e.newFace(seed); err != nil {
		return nil, errors.Join(err, e.close())
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

// addQUIC keeps the keys of the first day for as long as the host lives: they
// show in no packet, and a host that is restarted on the same day has them again.
func (e *endpoint) addQUIC(seed [32]byte, packets packetListener) error {
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

// addrs are the addresses at which this endpoint listens now, with the
// unspecified address replaced by those of the interfaces that exist.
func (e *endpoint) addrs() []ma.Multiaddr {
	var all []ma.Multiaddr
	for _, l := range e.current().listeners {
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
