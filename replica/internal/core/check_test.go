package core

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// frontier is, of every writer, the last number.
type frontier map[encryption.WriterID]uint64

func frontierOf(chains map[encryption.WriterID]encryption.Chain) frontier {
	f := frontier{}
	for w, c := range chains {
		f[w] = c.Seq
	}
	return f
}

// missing returns what of want f lacks.
func (f frontier) missing(want frontier) frontier {
	lacks := frontier{}
	for w, seq := range want {
		if f[w] < seq {
			lacks[w] = seq
		}
	}
	return lacks
}

// fact is what is true of an envelope, whatever it says of itself.
type fact struct {
	raw  []byte
	made encryption.Chain // of its writer, after it
	past frontier         // all that its author had applied
	said frontier         // what its author's envelopes up to it say of that
	edit uint64           // of its author, the last one up to it
}

// place names an envelope.
type place struct {
	writer encryption.WriterID
	seq    uint64
}

// safety watches honest hosts and notes the first thing that must not be.
type safety struct {
	net      *network
	liar     *host // of whom nothing is expected, nor of what is said to it
	facts    map[place]*fact
	drafts   map[place]*fact // sealed and not durable
	sent     map[*end]frontier
	flights  map[*end]frontier // sent before the hello came
	offers   map[*end]frontier
	cuts     map[*host]*encryption.DeviceID // whose transfer was cut last, that of a host
	seen     map[string]int                 // how often something rare came about
	broken   string
	received int // envelopes that were sent
}

func newSafety(n *network) *safety {
	return &safety{
		net: n, facts: map[place]*fact{}, drafts: map[place]*fact{},
		sent: map[*end]frontier{}, flights: map[*end]frontier{}, offers: map[*end]frontier{}, cuts: map[*host]*encryption.DeviceID{}, seen: map[string]int{},
	}
}

func (s *safety) breach(format string, args ...any) {
	if s.broken == "" {
		s.broken = fmt.Sprintf(format, args...)
		s.net.logf("BROKEN: %s", s.broken)
	}
}

// staged: every envelope once, in its writer's order, after all that its
// author knew, and as its author wrote it.
func (s *safety) staged(h *host, g *disk, a *Admitted) {
	c := a.Content
	at, have := place{c.Writer, c.Seq}, frontierOf(g.chains)
	if have[c.Writer]+1 != c.Seq {
		s.breach("%s applies %s after number %d", h.name, s.net.content(c), have[c.Writer])
	}
	if c.Writer == h.author.Writer && s.facts[at] == nil {
		s.drafted(h, at, a, have)
		return
	}
	f := s.facts[at]
	if f == nil || !bytes.Equal(f.raw, a.Raw) {
		s.breach("%s applies %s, which its author never made durable", h.name, s.net.content(c))
		return
	}
	if lacks := have.missing(f.past); len(lacks) > 0 {
		s.breach("%s applies %s without %d writers' part of its causal past", h.name, s.net.content(c), len(lacks))
	}
}

// drafted: the own envelopes up to this one name all that was applied here.
func (s *safety) drafted(h *host, at place, a *Admitted, have frontier) {
	_, last := editsIn(a.Content.Batch)
	f := &fact{raw: a.Raw, made: a.Chain, past: have, said: frontier{at.writer: at.seq - 1}, edit: last}
	before := s.drafts[place{at.writer, at.seq - 1}]
	if durable := s.facts[place{at.writer, at.seq - 1}]; durable != nil {
		before = durable
	}
	if before != nil {
		maps.Copy(f.said, before.said)
		f.said[at.writer] = at.seq - 1
	}
	for _, d := range a.Content.Deps {
		f.said[d.Writer] = d.Seq
	}
	if lacks := f.said.missing(have); len(lacks) > 0 {
		s.breach("%s seals %s and does not say that it has seen %d writers' part", h.name, s.net.content(a.Content), len(lacks))
	}
	s.drafts[at] = f
}

func (s *safety) committed(h *host, g *disk) {
	for _, e := range g.log {
		at := place{e.Writer, e.Seq}
		if e.Writer == h.author.Writer && s.facts[at] == nil {
			s.facts[at] = s.drafts[at]
		}
	}
	s.whole(h, g)
}

func (s *safety) effect(h *host, e Effect) {
	if r, ok := e.(Report); ok && errors.Is(r.Err, errSpoilt) {
		s.seen["documents refused"]++
	}
	if h == s.liar || s.excused(h, e) || s.returned(h, e) {
		return
	}
	switch e := e.(type) {
	case Send:
		if end := h.ends[e.Session]; end == nil {
			s.breach("%s sends on session %d, which has ended", h.name, e.Session)
		} else {
			s.message(h, end, e.Message)
		}
	case Load:
		if h.ends[e.Session] == nil {
			s.breach("%s loads for session %d, which has ended", h.name, e.Session)
		}
		for _, f := range e.From {
			if f.Seq <= h.disk.base[f.Writer].Seq {
				s.breach("%s loads %s, which it has dropped", h.name, s.net.entry(f.Writer, f.Seq))
			}
		}
	case Serve, Absorb:
		s.transfer(h, e)
	case Report:
		s.breach("%s reports an honest device: %v", h.name, e.Err)
	case Disconnect:
		if !strings.Contains(e.Reason.Error(), "could not be stored") {
			s.breach("%s disconnects an honest device: %v", h.name, e.Reason)
		}
	}
}

// excused says whether an effect is about the liar.
func (s *safety) excused(h *host, e Effect) bool {
	if s.liar == nil {
		return false
	}
	switch e := e.(type) {
	case Report:
		s.seen["lie reported"]++
		return e.Device == s.liar.id.Device()
	case Disconnect:
		return h.ends[e.Session] != nil && h.ends[e.Session].peer.host == s.liar
	case Send:
		return h.ends[e.Session] != nil && h.ends[e.Session].peer.host == s.liar
	}
	return false
}

// message: what is said of the own state is durable.
func (s *safety) message(h *host, e *end, m wire.Message) {
	have := frontierOf(h.disk.chains)
	switch m := m.(type) {
	case *wire.Frontier:
		said := frontier{}
		for _, f := range m.Entries {
			said[f.Writer] = f.Seq
		}
		if !maps.Equal(said, have) {
			s.breach("%s claims another frontier than the durable one", h.name)
		}
	case *wire.Resume:
		s.resumed(h, e, m)
	case *wire.Ack:
		for _, a := range m.Entries {
			if a.Seq > have[a.Writer] {
				s.breach("%s acknowledges %s before it is durable", h.name, s.net.entry(a.Writer, a.Seq))
			}
		}
	case *wire.Envelope:
		s.envelope(h, e, m.Raw)
	case *wire.Offer:
		s.offered(h, e, m)
	case *wire.Want:
		s.wanted(h, e, m)
	}
}

// envelope: only what is durable is sent, once in a session, and the other
// end has its causal past or was sent it before, or is to get documents
// in its place.
func (s *safety) envelope(h *host, e *end, raw []byte) {
	i := slices.IndexFunc(h.disk.log, func(e Entry) bool { return bytes.Equal(e.Raw, raw) })
	if i < 0 {
		s.breach("%s sends %s before it is durable", h.name, s.net.envelope(raw))
		return
	}
	entry := h.disk.log[i]
	if s.sent[e] == nil {
		s.sent[e] = frontier{}
	}
	if ss := h.x.sessions[e.id]; ss != nil && !ss.known {
		s.flown(h, e, entry)
		return
	}
	if s.sent[e][entry.Writer] >= entry.Seq {
		s.breach("%s sends %s twice in a session", h.name, s.net.envelope(raw))
	}
	has := frontierOf(e.peer.host.disk.chains)
	if has[entry.Writer] >= entry.Seq {
		s.seen["sent what the other end has"]++
	}
	for _, f := range []frontier{s.sent[e], s.flights[e], s.offers[e]} {
		for w, seq := range f {
			has[w] = max(has[w], seq)
		}
	}
	for w, l := range h.x.sessions[e.id].left { // somebody else sends it
		has[w] = max(has[w], l.seq)
		s.seen["left to somebody else"]++
	}
	s.received++
	lacks := has.missing(s.facts[place{entry.Writer, entry.Seq}].past)
	if ss := h.x.sessions[e.id]; ss != nil { // of what was dropped documents are offered, and what follows them waits
		maps.DeleteFunc(lacks, func(w encryption.WriterID, _ uint64) bool { return h.x.behind(ss, w) })
	}
	if len(lacks) > 0 {
		s.breach("%s sends %s ahead of its causal past", h.name, s.net.envelope(raw))
	}
	s.sent[e][entry.Writer] = entry.Seq
}

// invariants checks what holds between any two events.
func (s *safety) invariants() {
	for _, h := range s.net.hosts {
		if h == s.liar {
			continue
		}
		if !maps.Equal(h.x.durable, h.disk.chains) && len(h.x.durable)+len(h.disk.chains) > 0 {
			s.breach("the ledger of %s is not what is durable", h.name)
		}
		if !maps.Equal(h.x.base, h.disk.base) && len(h.x.base)+len(h.disk.base) > 0 {
			s.breach("%s does not know where its logs begin", h.name)
		}
		s.buffers(h)
		for _, ss := range h.x.ordered() {
			s.window(h, ss)
			s.understood(h, ss)
			if !ss.greeted && ss.offered.Digest != h.x.Digest() {
				s.seen["digest moved before the hello came"]++
			}
		}
		for _, p := range h.x.Peers() {
			s.known(h, p)
		}
		s.blamed(h)
	}
}

// window: it is kept, or twice that with what was left to others and is not
// any more, and counted right.
func (s *safety) window(h *host, ss *session) {
	sum := 0
	for _, f := range ss.unacked {
		sum += f.size
	}
	if sum != ss.inflight || sum >= 2*h.limits.window+maxWorldEnvelope {
		s.breach("%s counts %d of %d bytes on their way", h.name, ss.inflight, sum)
	}
	if sum >= h.limits.window+maxWorldEnvelope {
		s.seen["beyond the window"]++ // with what was left to others
	}
	if sum >= h.limits.window {
		s.seen["window full"]++
	}
}

// blamed: no lie costs an honest device the trust of another.
func (s *safety) blamed(h *host) {
	for at := range h.x.disputed {
		if s.liar == nil || at.device != s.liar.id.Device() {
			s.breach("%s disputes with %s, which is honest", h.name, s.net.device(at.device))
		}
	}
	for w := range h.x.frozen {
		s.breach("%s froze %s", h.name, s.net.writer(w))
	}
}

// buffers: what arrived early is counted right, and within the limit.
func (s *safety) buffers(h *host) {
	sums := map[encryption.DeviceID]int{}
	for _, bySeq := range h.x.buffered {
		for _, rivals := range bySeq {
			for _, b := range rivals {
				sums[b.from.device] += len(b.raw)
			}
		}
	}
	if !maps.Equal(sums, h.x.waiting) {
		s.breach("%s counts what is buffered wrong: %v of %v", h.name, h.x.waiting, sums)
	}
	if s.liar != nil && sums[s.liar.id.Device()] > 0 {
		s.seen["lie held"]++
	}
	if len(sums) > 0 && !h.x.Ready() {
		s.seen["buffered ahead"]++
	}
}

// known: what a host says of a peer is true.
func (s *safety) known(h *host, p Peer) {
	e := h.ends[p.Session]
	if e.peer.host == s.liar || e.putBack() {
		return
	}
	have, theirs := frontierOf(h.disk.chains), frontierOf(e.peer.host.disk.chains)
	if p.Delivered && len(theirs.missing(have)) > 0 {
		s.breach("%s says that %s has all, and it lacks something", h.name, e.peer.host.name)
	}
	if !p.CaughtUp {
		return
	}
	if then := e.peer.opened; len(have.missing(frontierOf(then.chains))) > 0 {
		s.breach("%s says that it has what %s had when they met, and lacks some", h.name, e.peer.host.name)
	} else if then.edits > s.lastEdit(h, e.peer.host) {
		s.breach("%s says that it has what %s had when they met, and lacks edits that it had not sealed", h.name, e.peer.host.name)
	}
}

// lastEdit returns the number of author's last edit that h has.
func (s *safety) lastEdit(h, author *host) uint64 {
	w := author.author.Writer
	if f := s.facts[place{w, h.disk.chains[w].Seq}]; f != nil {
		return f.edit
	}
	return author.disk.since
}
