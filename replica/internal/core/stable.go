package core

import (
	"maps"

	"github.com/starling-sync/starling/encryption"
)

// What every member has is stable: nobody will ask for it again. A device is
// known to have what it has said in a session that it holds, what its envelopes
// say that they rest on, and its own envelopes.

// seen notes that a device holds everything of w up to seq.
func (l *Ledger) seen(d encryption.DeviceID, w encryption.WriterID, seq uint64) {
	if l.holds[d] == nil {
		l.holds[d] = map[encryption.WriterID]uint64{}
	}
	if seq > l.holds[d][w] {
		l.holds[d][w] = seq
		l.heard[d] = true
	}
}

// seenIn notes what an envelope says of its author.
func (l *Ledger) seenIn(c *encryption.Content) {
	l.seen(c.Device, c.Writer, c.Seq)
	for _, d := range c.Deps {
		l.seen(c.Device, d.Writer, d.Seq)
	}
}

// Remember tells the ledger what was known of a device when the process ended.
func (l *Ledger) Remember(d encryption.DeviceID, holds map[encryption.WriterID]uint64) {
	l.holds[d] = maps.Clone(holds)
}

// News returns what is known of the devices of which more is known than when it
// was called last.
func (l *Ledger) News() map[encryption.DeviceID]map[encryption.WriterID]uint64 {
	news := map[encryption.DeviceID]map[encryption.WriterID]uint64{}
	for d := range l.heard { // order-free: a map is filled
		news[d] = maps.Clone(l.holds[d])
	}
	clear(l.heard)
	return news
}

// Stable returns how far all members have the log of w, as far as is known here.
func (l *Ledger) Stable(w encryption.WriterID) uint64 {
	n := l.durable[w].Seq
	for _, m := range l.id.Members() {
		if m.ID != l.id.Device() {
			n = min(n, l.holds[m.ID][w])
		}
	}
	return n
}

// learn notes that the other end of s holds everything of w up to seq.
func (x *Exchange) learn(s *session, w encryption.WriterID, seq uint64) {
	x.raise(s, w, seq)
	x.seen(s.device, w, seq)
}

// raise notes it for the session. If that is not enough to go on with envelopes, the
// other end is offered documents once more.
func (x *Exchange) raise(s *session, w encryption.WriterID, seq uint64) {
	if seq > s.has[w] && x.behind(s, w) {
		s.offeredAt = 0
	}
	s.learn(w, seq)
}
