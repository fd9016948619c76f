package p2p

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// listenAddr is a parsed Config.Listen.
type listenAddr struct {
	hosts []netip.Addr
	port  uint16
	// optional is the number of trailing hosts that may be missing on this
	// machine: a kernel without IPv6 still serves ":0".
	optional int
}

// parseListen accepts IP:PORT, [IP]:PORT, :PORT (both families) and "" (:0).
func parseListen(s string) (listenAddr, error) {
	bad := func() (listenAddr, error) { return listenAddr{}, fmt.Errorf("listen %q: %w", s, ErrListenAddr) }
	i := strings.LastIndexByte(s, ':')
	if s != "" && i < 0 {
		return bad()
	}
	host, port := "", "0"
	if s != "" {
		host, port = s[:i], s[i+1:]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return bad()
	}
	if host == "" {
		both := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
		return listenAddr{hosts: both, port: uint16(n), optional: 1}, nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Addr().Zone() != "" {
		return bad()
	}
	return listenAddr{hosts: []netip.Addr{ap.Addr().Unmap()}, port: uint16(n)}, nil
}

func quicAddr(ip netip.Addr, port uint16) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("/%s/%s/udp/%d/quic-v1", family(ip), ip, port))
}

func tcpAddr(ip netip.Addr, port uint16) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("/%s/%s/tcp/%d", family(ip), ip, port))
}

func family(ip netip.Addr) string {
	if ip.Is4() {
		return "ip4"
	}
	return "ip6"
}

// dialable reports whether a is exactly /ip/…/udp/…/quic-v1 or /ip/…/tcp/….
func dialable(a ma.Multiaddr) bool {
	shape := ""
	for _, c := range a {
		shape += "/" + c.Protocol().Name
	}
	shape = strings.NewReplacer("ip4", "ip", "ip6", "ip").Replace(shape)
	if shape != "/ip/udp/quic-v1" && shape != "/ip/tcp" {
		return false
	}
	return !manet.IsIPUnspecified(a) && portOf(a) != 0
}

func isTCP(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_TCP)
	return err == nil
}

func portOf(a ma.Multiaddr) uint16 {
	for _, code := range []int{ma.P_UDP, ma.P_TCP} {
		if v, err := a.ValueForProtocol(code); err == nil {
			n, err := strconv.ParseUint(v, 10, 16)
			if err == nil {
				return uint16(n)
			}
		}
	}
	return 0
}

// parsePeer splits one entry of Config.Peers. The id is empty when the
// address has no /p2p part.
func parsePeer(s string) (ma.Multiaddr, peer.ID, error) {
	full, err := ma.NewMultiaddr(s)
	if err != nil {
		return nil, "", fmt.Errorf("peer %q: %w", s, ErrPeerAddr)
	}
	a, id := peer.SplitAddr(full)
	if a == nil || !dialable(a) {
		return nil, "", fmt.Errorf("peer %q: %w", s, ErrPeerAddr)
	}
	return a, id, nil
}

// rank orders addresses by how likely they are to be the shortest way: the
// private network first, then loopback, then link-local, then public ones;
// QUIC before TCP at each.
func rank(addrs []ma.Multiaddr) []ma.Multiaddr {
	out := slices.Clone(addrs)
	slices.SortStableFunc(out, func(a, b ma.Multiaddr) int { return rankOf(a) - rankOf(b) })
	return out
}

func rankOf(a ma.Multiaddr) int {
	n := 6
	switch {
	case manet.IsIPLoopback(a):
		n = 2
	case manet.IsIP6LinkLocal(a):
		n = 4
	case manet.IsPrivateAddr(a):
		n = 0
	}
	if isTCP(a) {
		n++
	}
	return n
}

// nearby reports whether a is on this machine or on a private network, where
// a dead TCP port answers at once and a dead QUIC port not at all.
func nearby(a ma.Multiaddr) bool { return rankOf(a) < 6 }
