package core

import (
	"slices"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// whole: what is said to be held is in the documents, nothing else that was never
// made is, the log is what lies behind its base, chains are those that their authors
// made, and all that they rest on is held.
func (s *safety) whole(h *host, g *disk) {
	if h == s.liar {
		return
	}
	have := frontierOf(g.chains)
	for _, w := range sortedWriters(g.chains) {
		c := g.chains[w]
		if f := s.facts[place{w, c.Seq}]; f == nil || f.made != c {
			s.breach("%s has another chain of %s than its author", h.name, s.net.writer(w))
		} else if len(have.missing(f.past)) > 0 {
			s.breach("%s holds %s without what it rests on", h.name, s.net.entry(w, c.Seq))
		}
		for seq := uint64(1); seq <= c.Seq; seq++ {
			if !g.docs.has(place{w, seq}) {
				s.breach("%s says that it has %s, and it is not in its documents", h.name, s.net.entry(w, seq))
			}
		}
	}
	for _, d := range g.docs {
		for p := range d {
			if s.facts[p] == nil {
				s.breach("%s has %s in its documents, which was never made", h.name, s.net.entry(p.writer, p.seq))
			}
		}
	}
	s.logged(h, g)
}

// logged: the log has what lies between base and chain, each once, in order.
func (s *safety) logged(h *host, g *disk) {
	at := frontierOf(g.base)
	for _, e := range g.log {
		if at[e.Writer]++; at[e.Writer] != e.Seq {
			s.breach("%s has %s in its log, where number %d should be", h.name, s.net.entry(e.Writer, e.Seq), at[e.Writer])
		}
	}
	if have := frontierOf(g.chains); len(at.missing(have))+len(have.missing(at)) > 0 {
		s.breach("the log of %s does not lead from its base to its chains", h.name)
	}
}

// adopted: all documents that make a chain true are there, and it leads on.
func (s *safety) adopted(h *host, g *disk, a Adopted) {
	s.seen["adopted"]++
	if h == s.liar {
		return
	}
	if len(h.disk.chains) == 0 {
		s.seen["new host got documents"]++
	}
	if a.Writer == h.author.Writer {
		s.breach("%s adopts what it writes itself", h.name)
	}
	if a.Chain.Seq <= g.chains[a.Writer].Seq || a.Before != g.chains[a.Writer] {
		s.breach("%s adopts %s, and has %d", h.name, s.net.entry(a.Writer, a.Chain.Seq), g.chains[a.Writer].Seq)
	}
}

// pruned: nothing is dropped that is not durable. Whoever lacks it needs documents.
func (s *safety) pruned(h *host, w encryption.WriterID, to uint64) {
	if h != s.liar && to > h.disk.chains[w].Seq {
		s.breach("%s drops %s before it is durable", h.name, s.net.entry(w, to))
	}
	if to <= h.x.Stable(w) {
		s.seen["dropped what all have"]++
	}
	for _, o := range s.net.hosts {
		if o.disk.chains[w].Seq < to {
			s.seen["dropped what somebody lacks"]++
			if to <= h.x.Stable(w) && o.saves == 0 && o.id.Device() != h.id.Device() && s.member(h, o) && s.liar == nil {
				s.breach("%s takes %s for stable, and %s lacks it", h.name, s.net.entry(w, to), o.name)
			}
		}
	}
}

// member says whether h knows that o is a member.
func (s *safety) member(h, o *host) bool {
	_, is := h.id.Member(o.id.Device())
	return is
}

// offered: what is offered is durable, and something of it is lacking there.
func (s *safety) offered(h *host, e *end, m *wire.Offer) {
	s.seen["offered"]++
	said := frontier{}
	for _, c := range m.Chains {
		said[c.Writer] = c.Seq
		if f := s.facts[place{c.Writer, c.Seq}]; f == nil || f.made != ChainsOf(m)[c.Writer] {
			s.breach("%s offers another chain of %s than its author made", h.name, s.net.writer(c.Writer))
		}
	}
	if lacks := frontierOf(h.disk.chains).missing(said); len(lacks) > 0 {
		s.breach("%s offers what is not durable", h.name)
	}
	s.offers[e] = said
}

// wanted: one request without ids is on its way at a time, to one device.
func (s *safety) wanted(h *host, e *end, m *wire.Want) {
	if len(m.IDs) > 0 {
		s.seen["asked for documents by id"]++
		return
	}
	f := h.x.fetch
	if f == nil || f.session != e.id || f.after != m.After {
		s.breach("%s asks for documents that it is not fetching", h.name)
		return
	}
	if last := s.cuts[h]; f.begun && last != nil {
		s.seen["transfer resumed"]++
		if *last != e.peer.host.id.Device() {
			s.seen["resumed at another host"]++
		}
	}
	delete(s.cuts, h)
}

// transfer: documents of a session that has ended are not merged.
func (s *safety) transfer(h *host, e Effect) {
	if a, ok := e.(Absorb); ok && h.ends[a.Session] == nil {
		s.breach("%s merges documents of session %d, which has ended", h.name, a.Session)
	}
}

// severed notes a transfer that ends with a stream.
func (s *safety) severed(e *end) {
	if f := e.host.x.fetch; f != nil && f.session == e.id && f.begun && !f.ended {
		s.seen["transfer cut"]++
		d := e.peer.host.id.Device()
		s.cuts[e.host] = &d
	}
}

// ended: nothing that an honest host has made is lost, unless it was put back, and
// no transfer waits.
func (s *safety) ended(h *host) {
	if h.x.fetch != nil || len(h.parts) > 0 {
		s.breach("%s still waits for documents in the end", h.name)
	}
	for _, o := range s.net.hosts {
		if o.saves > 0 || s.liar != nil {
			return
		}
	}
	for p := range s.facts {
		if !h.disk.docs.has(p) || h.disk.chains[p.writer].Seq < p.seq {
			s.breach("%s has lost %s", h.name, s.net.entry(p.writer, p.seq))
		}
	}
	for _, p := range h.disk.docs.places() {
		if h.disk.chains[p.writer].Seq < p.seq {
			s.breach("%s has %s in its documents and does not say so", h.name, s.net.entry(p.writer, p.seq))
		}
	}
}

// fetching returns the ends over which documents come.
func (w *world) fetching() []*end {
	return slices.DeleteFunc(w.open(), func(e *end) bool {
		f := e.host.x.fetch
		return f == nil || f.session != e.id || !f.begun || f.ended
	})
}

// adopting says whether the last part of a transfer waits to be merged.
func (h *host) adopting() bool {
	return h.group == nil && slices.ContainsFunc(h.parts, func(p Absorb) bool { return p.Chains != nil })
}

// reshape is what happens in worlds where logs are cut.
func (w *world) reshape(what, arg int) {
	switch {
	case what > 2 && what%2 == 1 && len(w.fetching()) > 0:
		ends := w.fetching()
		if busy := slices.DeleteFunc(w.fetching(), func(e *end) bool { return e.host.x.fetch.merging == 0 }); len(busy) > 0 {
			ends = busy
		}
		pick(arg, ends, func(e *end) {
			if e.host.x.fetch.merging > 0 {
				w.safety.seen["cut while documents are merged"]++
			}
			w.cut(e, arg/8)
			others := slices.DeleteFunc(w.pairs(), func(p [2]*host) bool { return p[0] != e.host && p[1] != e.host })
			pick(arg/4, others, func(p [2]*host) { w.meet(p[0], p[1]) })
		})
	case what < 5 && len(w.where((*host).adopting)) > 0:
		pick(arg, w.where((*host).adopting), func(h *host) { h.pruning = stableLog })
	case what < 3:
		pick(arg, w.hosts, func(h *host) { h.pruning = stableLog })
	case what < 5:
		pick(arg, w.hosts, func(h *host) { h.pruning, h.tail = cutLog, uint64(arg/8%3) })
	case what == 5 && len(w.hosts) < len(names) && len(w.where(func(h *host) bool { return h.unaware })) == 0:
		// A host that was put back has to meet those who know of it.
		n := len(w.hosts)
		w.enter(names[n:n+1], names[:n+1])
	case what == 6 && w.liar != nil:
		w.liar.spoils = 1 + arg%3
	default:
		pick(arg, w.hosts, func(h *host) { h.perform(h.x.Step(Mend{ID: documentID(arg / 8 % worldDocs)})) })
	}
}
