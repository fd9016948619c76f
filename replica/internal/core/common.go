package core

import (
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// Common is what two devices had in common when both knew of each other that they
// lack nothing: they both remember it, and tell their frontiers from it when they meet
// again. It is named by the digest, so that a difference of what the two remember (a
// message that was lost with the stream, a process that died, a directory that was put
// back) is noticed, and costs a frontier in full.
type Common struct {
	Digest   [32]byte // of Roster and Frontier, as in a hello
	Roster   [32]byte // of the membership and the epochs
	Frontier map[encryption.WriterID]uint64
}

// present is what is durable here now.
func (l *Ledger) present() Common {
	c := Common{Digest: l.Digest(), Roster: l.roster, Frontier: make(map[encryption.WriterID]uint64, len(l.durable))}
	for w, chain := range l.durable { // order-free: a map is filled
		c.Frontier[w] = chain.Seq
	}
	return c
}

// delta tells what is durable here as what is not as in c.
func (c *Common) delta(l *Ledger, hello wire.Hello) *wire.Resume {
	m := &wire.Resume{Hello: hello, Base: c.Digest}
	if l.roster != c.Roster {
		m.Members = l.roster[:]
	}
	for _, w := range l.Writers() {
		if d := l.durable[w]; d.Seq != c.Frontier[w] {
			m.Entries = append(m.Entries, wire.Entry{Writer: w, Seq: d.Seq, Head: d.Head})
		}
	}
	return m
}

// agree remembers what is durable here as what both ends of s have in common, if each
// knows that the other has it. Rosters are not acknowledged, so only one that both have
// said to have when they met is in common.
func (x *Exchange) agree(s *session) {
	if x.sessions[s.id] != s || !s.known || !s.same || s.roster != x.roster || s.agreedAt == x.version || len(s.due) > 0 {
		return
	}
	for w, seq := range s.claimed { // order-free: a conjunction
		if seq > x.durable[w].Seq {
			return
		}
	}
	for w, c := range x.durable { // order-free: a conjunction
		if s.has[w] < c.Seq || s.told[w] < c.Seq {
			return
		}
	}
	now := x.present()
	s.agreedAt, x.common[s.device], x.recommon[s.device] = x.version, &now, true
}

// RememberCommon tells the ledger what it had in common with a device when the process
// ended. What goes beyond what is durable here is forgotten: some of it was lost.
func (l *Ledger) RememberCommon(d encryption.DeviceID, c Common) {
	for w, seq := range c.Frontier { // order-free: a conjunction
		if seq > l.durable[w].Seq {
			return
		}
	}
	l.common[d] = &c
}

// CommonNews returns what is in common with the devices with which it is something
// else than when it was called last, nil for nothing. It is not to be changed.
func (l *Ledger) CommonNews() map[encryption.DeviceID]*Common {
	news := map[encryption.DeviceID]*Common{}
	for d := range l.recommon { // order-free: a map is filled
		news[d] = l.common[d]
	}
	clear(l.recommon)
	return news
}

// forgetCommon makes this device tell its frontier in full to everyone, once.
func (l *Ledger) forgetCommon() {
	for d := range l.common { // order-free: a set is filled
		l.recommon[d] = true
	}
	clear(l.common)
}
