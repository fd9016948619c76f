package p2p

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	// maxPending connections may exist that have not said a valid hello.
	maxPending = 16
	// helloTime is what each of them has, from the end of the transport's
	// handshake to the last byte of the hello.
	helloTime = 5 * time.Second
	// maxInbound connections altogether: 64 devices, their replacements while
	// an old connection dies, and the pending ones.
	maxInbound = 160
	maxMemory  = 256 << 20
)

// private lists the networks on which a whole household shares one subnet, or
// one machine one address, so that a limit per subnet would lock devices out.
var private = []string{
	"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
	"::1/128", "fc00::/7", "fe80::/10",
}

// newLimits is the resource manager: what the transports may hold at once,
// whatever the other end does. Public subnets keep libp2p's own limits.
func newLimits() (network.ResourceManager, error) {
	var v4, v6 []rcmgr.NetworkPrefixLimit
	limiter := &rate.Limiter{SubnetRateLimiter: rate.SubnetLimiter{
		IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: 1, Burst: 16}}},
		IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: rate.Limit{RPS: 1, Burst: 16}}},
		GracePeriod:      time.Minute,
	}}
	for _, s := range private {
		p := netip.MustParsePrefix(s)
		limit := rcmgr.NetworkPrefixLimit{Network: p, ConnCount: math.MaxInt}
		if p.Addr().Is4() {
			v4 = append(v4, limit)
		} else {
			v6 = append(v6, limit)
		}
		limiter.NetworkPrefixLimits = append(limiter.NetworkPrefixLimits, rate.PrefixLimit{Prefix: p})
	}
	limits := rcmgr.NewFixedLimiter(limitConfig().Build(rcmgr.InfiniteLimits))
	m, err := rcmgr.NewResourceManager(limits, rcmgr.WithMetricsDisabled(),
		rcmgr.WithNetworkPrefixLimit(v4, v6), rcmgr.WithConnRateLimiters(limiter))
	if err != nil {
		return nil, fmt.Errorf("resource limits: %w", err)
	}
	return m, nil
}

func limitConfig() rcmgr.PartialLimitConfig {
	return rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: 2 * maxInbound, ConnsInbound: maxInbound, ConnsOutbound: maxInbound,
			FD: 2 * maxInbound, Memory: maxMemory,
		},
		// Connections whose TLS handshake is not finished.
		Transient:   rcmgr.ResourceLimits{Conns: 128, ConnsInbound: 64, ConnsOutbound: 64, FD: 128, Memory: 32 << 20},
		PeerDefault: rcmgr.ResourceLimits{Conns: 16, ConnsInbound: 8, ConnsOutbound: 8, FD: 16, Memory: 64 << 20},
		Conn:        rcmgr.ResourceLimits{Conns: 1, ConnsInbound: 1, ConnsOutbound: 1, FD: 1, Memory: 32 << 20},
	}
}

// gate is the connection gater. Peer ids prove nothing here (the hello does),
// so all it can refuse is talking to ourselves.
type gate struct{ self peer.ID }

var _ connmgr.ConnectionGater = gate{}

func (g gate) InterceptPeerDial(p peer.ID) bool                 { return p != g.self }
func (g gate) InterceptAddrDial(p peer.ID, _ ma.Multiaddr) bool { return p != g.self }
func (g gate) InterceptAccept(network.ConnMultiaddrs) bool      { return true }
func (g gate) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return p != g.self
}
func (g gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// pending holds the inbound connections that have not said a valid hello yet,
// oldest first. When it is full the oldest is dropped: an honest hello takes
// milliseconds, so a flood has to be quick as well as large to displace one.
type pending struct {
	mu    sync.Mutex
	conns []*pendingConn // guarded by mu, at most maxPending
}

type pendingConn struct {
	drop  func()
	timer *time.Timer
}

// enter registers a connection that drop closes; it is dropped after
// helloTime, or earlier when maxPending newer ones are waiting.
func (p *pending) enter(drop func()) *pendingConn {
	c := &pendingConn{drop: drop}
	c.timer = time.AfterFunc(helloTime, func() {
		p.leave(c)
		drop()
	})
	p.mu.Lock()
	var oldest *pendingConn
	if len(p.conns) == maxPending {
		oldest, p.conns = p.conns[0], p.conns[1:]
	}
	p.conns = append(p.conns, c)
	p.mu.Unlock()
	if oldest != nil {
		oldest.drop()
	}
	return c
}

// leave takes c out; the caller owns the connection again.
func (p *pending) leave(c *pendingConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.timer.Stop()
	for i, o := range p.conns {
		if o == c {
			p.conns = append(p.conns[:i:i], p.conns[i+1:]...)
			return
		}
	}
}

func (p *pending) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}
