package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/zeroconf/v2"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	mdnsDomain = "local"
	// txtPrefix is how libp2p writes addresses in DNS (specs/addressing), so
	// that stock tools can read ours.
	txtPrefix = "dnsaddr="
	// maxAnnounced addresses keep the answer within one packet.
	maxAnnounced = 8
)

// multicast is a running DNS-SD announcement and search (RFC 6762, 6763)
// under the account's service names of the day.
type multicast struct {
	servers []*zeroconf.Server
	cancel  context.CancelFunc
	work    sync.WaitGroup
}

// startMulticast fails when there is no interface to announce on.
func startMulticast(h *Host, n *names) (discovery, error) {
	ifaces, err := multicastInterfaces()
	if err != nil {
		return nil, err
	}
	m := &multicast{}
	ctx, cancel := context.WithCancel(h.ctx)
	m.cancel = cancel
	for _, s := range n.announced {
		server, err := announce(h, s, ifaces)
		if err != nil {
			m.close()
			return nil, err
		}
		m.servers = append(m.servers, server)
	}
	// One search per address family: a machine without the one still finds
	// peers by the other.
	for _, s := range n.looked {
		for _, ip := range []zeroconf.IPType{zeroconf.IPv4, zeroconf.IPv6} {
			m.browse(ctx, h, s, ip, ifaces)
		}
	}
	return m, nil
}

func (m *multicast) close() {
	m.cancel()
	for _, s := range m.servers {
		s.Shutdown()
	}
	m.work.Wait()
}

// multicastInterfaces are those that are up, can multicast, are not loopback
// and have an address.
func multicastInterfaces() ([]net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var out []net.Interface
	for _, i := range all {
		const need = net.FlagUp | net.FlagMulticast
		if i.Flags&need != need || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		if addrs, err := i.Addrs(); err == nil && len(addrs) > 0 {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no network interface that can multicast")
	}
	return out, nil
}

// dnsName is how multicast DNS writes the name of a service.
func (s service) dnsName() string { return "_" + s.name + "._udp" }

func announce(h *Host, s service, ifaces []net.Interface) (*zeroconf.Server, error) {
	ips, texts, port := announcement(h.end.addrs(), s.host)
	if len(texts) == 0 {
		return nil, errors.New("no address to announce")
	}
	name := strings.ToLower(rand.Text()) // says nothing and is new every time
	server, err := zeroconf.RegisterProxy(name, s.dnsName(), mdnsDomain, int(port), name, ips[:1], texts, ifaces)
	if err != nil {
		return nil, fmt.Errorf("announce by multicast: %w", err)
	}
	return server, nil
}

// announcement is what the records of a host say.
func announcement(addrs []ma.Multiaddr, host peer.ID) (ips, texts []string, port uint16) {
	for _, a := range addrs {
		ip, err := manet.ToIP(a)
		if err != nil || ip.IsLoopback() || len(texts) == maxAnnounced {
			continue
		}
		ips, port = append(ips, ip.String()), portOf(a)
		texts = append(texts, txtPrefix+a.String()+"/p2p/"+host.String())
	}
	return ips, texts, port
}

func (m *multicast) browse(ctx context.Context, h *Host, s service, ip zeroconf.IPType, ifaces []net.Interface) {
	entries := make(chan *zeroconf.ServiceEntry)
	done := make(chan struct{})
	m.work.Go(func() {
		defer close(done)
		err := zeroconf.Browse(ctx, s.dnsName(), mdnsDomain, entries, zeroconf.SelectIPTraffic(ip), zeroconf.SelectIfaces(ifaces))
		if err != nil && ctx.Err() == nil {
			h.log.Debug("multicast search", "family", ip, "err", err)
		}
	})
	m.work.Go(func() {
		for {
			select {
			case e, ok := <-entries:
				if !ok {
					<-done
					return
				}
				h.finder.found(s, e.Text)
			case <-done:
				return
			}
		}
	})
}

// found takes the TXT records of one announcement under a service name, which
// anybody on the network may have written.
func (f *finder) found(under service, texts []string) {
	hosts := map[peer.ID][]ma.Multiaddr{}
	for _, s := range texts[:min(len(texts), 2*maxAnnounced)] {
		s, ok := strings.CutPrefix(s, txtPrefix)
		if !ok {
			continue
		}
		if a, id, err := parsePeer(s); err == nil && id != "" {
			hosts[id] = append(hosts[id], a)
		}
	}
	if len(hosts) != 1 {
		return
	}
	for id, addrs := range hosts {
		f.heard(id, under.epoch, addrs)
	}
}
