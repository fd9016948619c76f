package p2p

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sort"
	"strings"
	"time"

	manet "github.com/multiformats/go-multiaddr/net"
)

// watchInterval is how often the network interfaces are compared.
const watchInterval = 2 * time.Second

// watcher restarts multicast discovery whenever the network interfaces
// change, because neither the sockets nor the announced addresses follow by
// themselves; it makes the finder dial again at once, and doubts every session.
type watcher struct {
	h          *Host
	interfaces func() (string, error)
	ticks      <-chan time.Time                       // nil: every watchInterval
	discover   func(*Host, *names) (discovery, error) // nil: no multicast

	again   chan struct{} // a token says that the names have changed
	running discovery     // owned by run
	failed  bool          // owned by run; logged once per spell
}

// discovery is a running announcement and search.
type discovery interface{ close() }

// newWatcher returns nil on a simulated network.
func newWatcher(h *Host, c *Config) *watcher {
	if c.ListenPacket != nil && c.interfaces == nil {
		return nil
	}
	w := &watcher{h: h, interfaces: c.interfaces, ticks: c.ticks, discover: c.discover, again: make(chan struct{}, 1)}
	if w.interfaces == nil {
		w.interfaces = interfaceState
	}
	if w.discover == nil {
		w.discover = startMulticast
	}
	if c.NoDiscovery {
		w.discover = nil
	}
	return w
}

func (w *watcher) run(ctx context.Context) {
	ticks := w.ticks
	if ticks == nil {
		t := time.NewTicker(watchInterval)
		defer t.Stop()
		ticks = t.C
	}
	defer w.stop()
	last := w.look("")
	w.restart()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.again:
			w.restart()
			continue
		case <-ticks:
		}
		now := w.look(last)
		if now != last {
			w.h.log.Debug("network interfaces have changed")
			last = now
			w.restart()
			w.h.finder.wakeAll()
			w.h.doubtAll()
		} else if w.running == nil {
			w.restart()
		}
	}
}

// doubtAll ends the sessions whose own address is gone, and makes sure that
// the others are alive.
func (h *Host) doubtAll() {
	own, err := net.InterfaceAddrs()
	for _, s := range h.sessions.all() {
		ip, bad := manet.ToIP(s.conn.LocalMultiaddr())
		bound := bad == nil && !ip.IsUnspecified()
		if err == nil && bound && !slices.ContainsFunc(own, func(a net.Addr) bool { return isIP(a, ip) }) {
			s.end()
			continue
		}
		s.doubt()
	}
}

func isIP(a net.Addr, ip net.IP) bool {
	n, ok := a.(*net.IPNet)
	return ok && n.IP.Equal(ip)
}

// look returns the state of the interfaces, or last if it cannot be had.
func (w *watcher) look(last string) string {
	now, err := w.interfaces()
	if err != nil {
		w.h.log.Debug("network interfaces cannot be listed", "err", err)
		return last
	}
	return now
}

func (w *watcher) restart() {
	w.stop()
	if w.discover == nil {
		return
	}
	d, err := w.discover(w.h, w.h.current.Load())
	if err != nil {
		if !w.failed {
			w.h.log.Info("no multicast discovery for now", "err", err)
		}
		w.failed = true
		return
	}
	w.failed = false
	w.running = d
}

func (w *watcher) stop() {
	if w.running != nil {
		w.running.close()
		w.running = nil
	}
}

// interfaceState describes the interfaces that are up and their addresses.
func interfaceState() (string, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list network interfaces: %w", err)
	}
	var parts []string
	for _, i := range ifaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went away meanwhile
		}
		part := fmt.Sprint(i.Name, i.Flags)
		for _, a := range addrs {
			part += " " + a.String()
		}
		parts = append(parts, part)
	}
	sort.Strings(parts)
	return strings.Join(parts, "\n"), nil
}
