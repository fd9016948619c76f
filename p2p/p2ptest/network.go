package p2ptest

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
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

	mu      sync.Mutex
	cut     map[[2]string]bool // guarded by mu; pairs of addresses that lose everything
	n       int                // guarded by mu; hosts of Host so far
	path    Path               // guarded by mu
	random  *rand.Rand         // guarded by mu
	traffic Traffic            // guarded by mu
}

// Path is what a packet meets on its way from one host to any other.
type Path struct {
	Delay  time.Duration // that every packet takes
	Jitter time.Duration // at most so much more, drawn for each packet: they overtake each other
	Loss   float64       // the part of all packets that is lost, from 0 to 1
}

// Traffic is what hosts have sent: what UDP carries, without its own headers.
// Packets that were lost count.
type Traffic struct{ Bytes, Packets int }

// linkSpeed is that of every host, both ways, in bits per second.
const linkSpeed = 100_000_000

// NewNetwork starts a network on which a packet takes delay from one host to
// any other. The test must call Close after its hosts are closed.
func NewNetwork(t testing.TB, delay time.Duration) *Network {
	n := &Network{t: t, cut: map[[2]string]bool{}, path: Path{Delay: delay}, random: rand.New(rand.NewPCG(1, 0))}
	n.inner = &simnet.Simnet{
		Logger:      slog.New(slog.DiscardHandler),
		LatencyFunc: func(*simnet.Packet) time.Duration { return n.latency() },
	}
	n.inner.Start()
	return n
}

// Close ends the network.
func (n *Network) Close() { n.inner.Close() }

// SetPath changes what packets meet from now on. What is lost and delayed is drawn
// from a fixed seed, which sets the odds and not the run: packets come in no fixed
// order.
func (n *Network) SetPath(p Path) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.path = p
}

// Sent returns what all hosts have sent so far.
func (n *Network) Sent() Traffic {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.traffic
}

// Host starts a host that keeps dialling peers. It gets the address
// 1.0.0.k, with k counting from 1, and port 8000. The caller closes it before
// the network.
func (n *Network) Host(id *encryption.Identity, peers ...string) *p2p.Host {
	n.t.Helper()
	n.mu.Lock()
	n.n++
	ip := fmt.Sprintf("1.0.0.%d", n.n)
	n.mu.Unlock()
	h, err := n.HostAt(ip, &p2p.Config{Identity: id, Peers: peers})
	if err != nil {
		n.t.Fatal(err)
	}
	return h
}

// HostAt starts a host at an IPv4 address that no other host has now, and port
// 8000. Of c it sets how and where to listen. The caller closes it before the
// network.
func (n *Network) HostAt(ip string, c *p2p.Config) (*p2p.Host, error) {
	if net.ParseIP(ip).To4() == nil {
		return nil, errors.New("start a simulated host: not an IPv4 address: " + ip)
	}
	conf := *c
	conf.Listen, conf.NoDiscovery, conf.ListenPacket = ip+":8000", true, n.listen
	return p2p.Listen(n.t.Context(), &conf)
}

func (n *Network) listen(addr *net.UDPAddr) (net.PacketConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	link := simnet.LinkSettings{BitsPerSecond: linkSpeed}
	return &socket{n.inner.NewEndpoint(addr, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}), n}, nil
}

// Cut makes all packets that are sent from now on between two hosts, named by their
// IP addresses, get lost; Mend undoes it.
func (n *Network) Cut(a, b string) { n.set(a, b, true) }

// Mend undoes Cut.
func (n *Network) Mend(a, b string) { n.set(a, b, false) }

func (n *Network) set(a, b string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]string{a, b}], n.cut[[2]string{b, a}] = cut, cut
}

func (n *Network) latency() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.path.Delay + time.Duration(n.random.Int64N(int64(n.path.Jitter)+1))
}

// pass counts a packet, and says whether it arrives.
func (n *Network) pass(from, to net.Addr, size int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.traffic.Bytes += size
	n.traffic.Packets++
	return !n.cut[[2]string{hostOf(from), hostOf(to)}] && (n.path.Loss == 0 || n.random.Float64() >= n.path.Loss)
}

// socket is that of one host. Packets are lost as they are sent, since the
// simulated router delivers whatever it was given.
type socket struct {
	*simnet.SimConn
	n *Network
}

func (s *socket) WriteTo(p []byte, to net.Addr) (int, error) {
	if !s.n.pass(s.UnicastAddr(), to, len(p)) {
		return len(p), nil
	}
	return s.SimConn.WriteTo(p, to)
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
