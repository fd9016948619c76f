package p2ptest

import (
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/marcopolo/simnet"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
)

// Network is a simulated UDP network. Inside a testing/synctest bubble its time
// is virtual: an hour of silence takes milliseconds. Hosts on it speak QUIC
// only and find each other by Config.Peers, as there is no multicast.
type Network struct {
	t     testing.TB
	inner *simnet.Simnet

	mu  sync.Mutex
	cut map[[2]string]bool // guarded by mu; pairs of addresses that lose everything
	n   int                // guarded by mu; hosts so far
}

// NewNetwork starts a network on which a packet takes delay from one host to
// any other. The test must call Close after its hosts are closed.
func NewNetwork(t testing.TB, delay time.Duration) *Network {
	n := &Network{t: t, cut: map[[2]string]bool{}}
	n.inner = &simnet.Simnet{
		Logger: slog.New(slog.DiscardHandler),
		LatencyFunc: func(p *simnet.Packet) time.Duration {
			if n.lost(p.From, p.To) {
				return 1 << 50 // after the end of every test
			}
			return delay
		},
	}
	n.inner.Start()
	return n
}

// Close ends the network.
func (n *Network) Close() { n.inner.Close() }

// Host starts a host that keeps dialling peers. It gets the address
// 1.0.0.k, with k counting from 1, and port 8000. The caller closes it before
// the network.
func (n *Network) Host(id *encryption.Identity, peers ...string) *p2p.Host {
	n.t.Helper()
	n.mu.Lock()
	n.n++
	ip := fmt.Sprintf("1.0.0.%d", n.n)
	n.mu.Unlock()
	link := simnet.LinkSettings{BitsPerSecond: 100_000_000}
	h, err := p2p.Listen(n.t.Context(), &p2p.Config{
		Identity: id, Listen: ip + ":8000", Peers: peers, NoDiscovery: true,
		ListenPacket: func(addr *net.UDPAddr) (net.PacketConn, error) {
			return n.inner.NewEndpoint(addr, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}), nil
		},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return h
}

// Cut makes all packets between two hosts, named by their IP addresses, get
// lost; Mend undoes it.
func (n *Network) Cut(a, b string) { n.set(a, b, true) }

// Mend undoes Cut.
func (n *Network) Mend(a, b string) { n.set(a, b, false) }

func (n *Network) set(a, b string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{a, b}], n.cut[[2]string{b, a}] = cut, cut
}

func (n *Network) lost(from, to net.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut[[2]string{hostOf(from), hostOf(to)}]
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
