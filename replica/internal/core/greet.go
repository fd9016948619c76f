package core

import (
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// Both ends speak first. A hello names what its sender holds by a digest, and tells
// it where that can be done briefly: as what is not as it was when the two last met.
// What was told so, or names something that the receiver remembers, need not be told
// in full. Both ends see the same two hellos, so both know which of them is to follow
// with all of its frontier: one, the other, both or none.

func (x *Exchange) connected(ev Connected) {
	if err := x.apart(ev.Device); err != nil {
		x.emit(Disconnect{Session: ev.Session, Reason: err})
		return
	}
	s := newSession(ev.Session, ev.Device)
	s.offered, s.roster = x.present(), x.roster
	if !x.rewound {
		s.common = x.common[ev.Device]
	}
	x.sessions[s.id] = s
	s.owed = x.backlog
	s.harmony.due = begins(x.id.Device(), ev.Device)
	x.emit(Send{s.id, x.hello(s)})
	x.guess(s)
}

// hello tells what this device holds, briefly, if it can.
func (x *Exchange) hello(s *session) wire.Message {
	hello := wire.Hello{Instance: x.author.instance(), Digest: s.offered.Digest, Backlog: x.backlog}
	if s.resumes() {
		return s.common.delta(x.Ledger, hello)
	}
	return &hello
}

// resumes says whether our hello tells our frontier from what was in common.
func (s *session) resumes() bool { return s.common != nil && s.common.Digest != s.offered.Digest }

// greeted compares what the hellos that crossed name. Where they name the same, that
// is all. r is nil if the hello does not tell a frontier.
func (x *Exchange) greeted(s *session, m *wire.Hello, r *wire.Resume) {
	s.greeted, s.backlog = true, m.Backlog
	x.met(s.device, m.Instance)
	if m.Digest == s.offered.Digest {
		x.equal(s)
		return
	}
	ours, theirs := s.offered.Digest, m.Digest // what the frontiers are told from
	if s.resumes() {
		ours = s.common.Digest
	}
	if r != nil {
		theirs = r.Base
	}
	var base *Common
	switch {
	case theirs == s.offered.Digest:
		base = &s.offered
	case s.common != nil && theirs == s.common.Digest:
		base = s.common
	}
	if ours == m.Digest || ours == theirs {
		s.tell(s.offered.Frontier)
	} else {
		x.sendFrontier(s)
	}
	if base == nil {
		return
	}
	members, entries := base.Roster, []wire.Entry(nil)
	if r != nil {
		entries = r.Entries
		if len(r.Members) > 0 {
			members = [32]byte(r.Members)
		}
	}
	x.holding(s, members, base.Frontier, entries)
}

// equal goes on where both held the same when they said hello.
func (x *Exchange) equal(s *session) {
	s.known, s.agreed, s.same = true, true, true
	for w, seq := range s.offered.Frontier { // order-free: each entry is learnt apart
		x.learn(s, w, seq)
	}
	s.tell(s.offered.Frontier)
	s.land()
	if s.roster != x.roster {
		x.sendRoster(s, x.id.Ops(), x.id.EpochRecords())
	}
	x.goOn(s)
}

// sendFrontier tells all that is durable here.
func (x *Exchange) sendFrontier(s *session) {
	s.roster = x.roster
	f := &wire.Frontier{Members: s.roster}
	for _, w := range x.Writers() {
		c := x.durable[w]
		f.Entries = append(f.Entries, wire.Entry{Writer: w, Seq: c.Seq, Head: c.Head})
	}
	s.tell(x.present().Frontier)
	x.emit(Send{s.id, f})
}

// tell notes what the other end was told to be durable here.
func (s *session) tell(f map[encryption.WriterID]uint64) {
	for w, seq := range f { // order-free: each writer apart
		s.told[w] = max(s.told[w], seq)
	}
}

// holding takes in what the other end holds: entries, and base of the writers that
// they do not name. Of base both ends had the very same, so only entries may be of
// another log than ours.
func (x *Exchange) holding(s *session, members [32]byte, base map[encryption.WriterID]uint64, entries []wire.Entry) {
	named := make(map[encryption.WriterID]bool, len(entries))
	for _, e := range entries {
		w := encryption.WriterID(e.Writer)
		named[w] = true
		if c := x.durable[w]; c.Seq == e.Seq && c.Head != e.Head {
			x.dispute(s.device, w, e.Seq, ErrOther)
		}
		x.compareOwn(s.device, e)
		x.learn(s, w, e.Seq)
	}
	for w, seq := range base { // order-free: each entry is learnt apart
		if !named[w] {
			x.learn(s, w, seq)
		}
	}
	s.known = true
	s.empty = len(entries)+len(base) == 0 && x.total() >= x.limits.offerFrom
	// The two digests that crossed decide, so that both come to the same
	// conclusion, and whoever waits for the other's roster gets it.
	s.agreed = members == s.roster
	s.same = s.agreed
	s.land()
	if !s.agreed || s.roster != x.roster {
		x.sendRoster(s, x.id.Ops(), x.id.EpochRecords())
	}
	x.goOn(s)
}

// goOn begins with what can be done once the other end's frontier is known.
func (x *Exchange) goOn(s *session) {
	x.nearbyChanged()
	x.askMends(s)
	x.pump(s)
	x.emit(Progress{s.id})
}
