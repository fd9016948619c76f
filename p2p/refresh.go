package p2p

import (
	"time"

	"github.com/starling-sync/starling/encryption"
)

// refreshInterval is how often a host looks whether its names are still those of
// the day. A timer for midnight would be late by the time that the machine sleeps.
const refreshInterval = time.Minute

// keepCurrent refreshes the host until it is closed.
func (h *Host) keepCurrent() {
	checks := h.checks
	if checks == nil {
		t := time.NewTicker(refreshInterval)
		defer t.Stop()
		checks = t.C
	}
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-checks:
			h.Refresh()
		}
	}
}

// Refresh makes the host follow its Identity: call it when operations or epochs
// were admitted. When it returns, the streams of devices that are not members have
// ended; if this device is none, all have, and the host dials once an hour only,
// or every few seconds as long as another one may bring it back. Other streams
// stay. Names and the host key change where they have to, as they also do every
// day. The host calls it by itself within a minute, and when Admit has returned. It
// does nothing while nothing has changed.
func (h *Host) Refresh() {
	h.refreshing.Lock()
	defer h.refreshing.Unlock()
	last := h.current.Load()
	n, err := h.account.names(h.clock.now(), last)
	if err != nil {
		h.log.Warn("the names of the day cannot be derived", "err", err)
		return
	}
	h.current.Store(n)
	h.renew(n)
	if n == last {
		return
	}
	h.noteStanding(n, last)
	h.endRemoved()
	if n.waits && !last.waits {
		h.finder.recall() // in a freeze, nobody that was looked for is left
	}
	if n.members != last.members || !n.sameEpochs(last) {
		h.finder.wakeAll()
	}
	if !n.sameServices(last) && h.finder.watcher != nil {
		poke(h.finder.watcher.again)
	}
}

// renew changes the host key if it is not that of names, but not during an
// invite, whose ticket names the host and lives for minutes.
func (h *Host) renew(n *names) {
	if !h.end.needs(n.announced[0].host) || h.window.current() != nil {
		return
	}
	listeners, err := h.end.renew(n.seed)
	if err != nil {
		h.log.Warn("not reachable at all addresses for now", "err", err)
	}
	h.serveAll(listeners)
}

// endRemoved ends the sessions that only members have.
func (h *Host) endRemoved() {
	for _, s := range h.sessions.all() {
		if !h.both(s.peer.Device) {
			h.log.Debug("device is not a member any more", "device", s.peer.Device)
			s.end()
		}
	}
}

// both reports whether this device and another one are members.
func (h *Host) both(other encryption.DeviceID) bool {
	return h.account.member(h.account.device()) && h.account.member(other)
}

func (h *Host) noteStanding(n, last *names) {
	was := last != nil && last.out
	switch {
	case n.out && !was:
		h.log.Warn("this device is not a member of its account any more")
	case was && !n.out:
		h.log.Info("this device is a member of its account again")
	}
}
