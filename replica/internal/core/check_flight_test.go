package core

import (
	"maps"

	"github.com/starling-sync/starling/replica/internal/wire"
)

// resumed: from what the host remembers, what a hello tells is the durable frontier.
func (s *safety) resumed(h *host, e *end, m *wire.Resume) {
	ss := h.x.sessions[e.id]
	if ss == nil || ss.common == nil || ss.common.Digest != m.Base {
		s.breach("%s tells its frontier from what it does not remember", h.name)
		return
	}
	said := maps.Clone(frontier(ss.common.Frontier))
	for _, f := range m.Entries {
		said[f.Writer] = f.Seq
	}
	if !maps.Equal(said, frontierOf(h.disk.chains)) {
		s.breach("%s claims another frontier than the durable one", h.name)
	}
}

// understood: what a host takes the other end to hold, once it knows it, is held there.
func (s *safety) understood(h *host, ss *session) {
	e := h.ends[ss.id]
	if !ss.known || e == nil || e.peer.host == s.liar || e.putBack() {
		return
	}
	if ss.common != nil {
		s.seen["met again with something in common"]++
	}
	theirs := frontierOf(e.peer.host.disk.chains)
	if len(theirs.missing(ss.has)) > 0 {
		s.breach("%s takes %s to hold what it lacks", h.name, e.peer.host.name)
	}
}

// flown: what is sent before the hello has come is little, each of it once, and in
// causal order if the other end has what it had.
func (s *safety) flown(h *host, e *end, entry Entry) {
	s.seen["first flight"]++
	ss := h.x.sessions[e.id]
	if ss.greeted {
		s.breach("%s guesses though the hello has come", h.name)
	}
	if ss.inflight > h.limits.flight {
		s.breach("%s sends %d bytes before the hello has come", h.name, ss.inflight)
	}
	if s.flights[e] == nil {
		s.flights[e] = frontier{}
	}
	if s.flights[e][entry.Writer] >= entry.Seq {
		s.breach("%s sends %s twice before the hello has come", h.name, s.net.entry(entry.Writer, entry.Seq))
	}
	s.flights[e][entry.Writer] = entry.Seq
	s.received++
	has := frontierOf(e.peer.host.disk.chains)
	switch {
	case has[entry.Writer] >= entry.Seq:
		s.seen["first flight that was not needed"]++
	case has[entry.Writer] < ss.guess[entry.Writer] && e.peer.host != s.liar:
		s.seen["first flight to one that was put back"]++
		if e.peer.host.saves == 0 {
			s.breach("%s takes %s to hold what it lacks", h.name, e.peer.host.name)
		}
		return
	}
	for w, seq := range s.flights[e] {
		has[w] = max(has[w], seq)
	}
	if lacks := has.missing(s.facts[place{entry.Writer, entry.Seq}].past); len(lacks) > 0 && e.peer.host.saves == 0 {
		s.breach("%s sends %s ahead of its causal past", h.name, s.net.entry(entry.Writer, entry.Seq))
	}
}
