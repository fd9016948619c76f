package core

import "github.com/starling-sync/starling/encryption"

// Tighten makes the bounds of the exchange smaller, in bytes, so that small worlds
// reach them: what may be on its way to one device, what is read at a time, and
// what may arrive from one device ahead of what it depends on.
func (l *Ledger) Tighten(window, load, buffered int) {
	l.limits.window, l.limits.load, l.limits.buffered = window, load, buffered
}

// Outstanding is what an exchange is not done with.
type Outstanding struct {
	Buffered int  // bytes that arrived ahead of what they depend on
	Staged   int  // envelopes of the group in the making
	Unacked  int  // bytes that were sent and not acknowledged, over all sessions
	Due      int  // acknowledgements that were not sent
	Full     bool // a session has no room in its window
	Distrust bool // a writer is frozen, or its log in dispute with somebody
}

// Outstanding returns what an exchange is not done with, for those who look at it
// from outside.
func (x *Exchange) Outstanding() (o Outstanding) {
	for _, n := range x.waiting { // order-free: a sum
		o.Buffered += n
	}
	o.Staged = len(x.staged)
	for _, s := range x.sessions { // order-free: a sum, and a disjunction
		o.Unacked += s.inflight
		o.Due += len(s.due)
		o.Full = o.Full || s.inflight >= x.limits.window
	}
	o.Distrust = len(x.frozen)+len(x.disputed) > 0
	return o
}

// Fetching says whether documents of another device are on their way, so that those here
// may be ahead of the frontier.
func (x *Exchange) Fetching() bool { return x.fetch != nil }

// OfferFrom says from how many envelopes on a device that has nothing is offered
// documents. For tests.
func (x *Exchange) OfferFrom(n uint64) { x.limits.offerFrom = n }

// Distrusted is a writer that is frozen, or of whose log a device has another version.
type Distrusted struct {
	Writer encryption.WriterID
	Author encryption.DeviceID // zero for a writer of which nothing is here
	With   encryption.DeviceID // zero for everybody: the writer is frozen
}

// Distrusted returns whom this device distrusts, in no order.
func (l *Ledger) Distrusted() (all []Distrusted) {
	for w := range l.frozen { // order-free: the caller is told so
		all = append(all, Distrusted{w, l.durable[w].Device, encryption.DeviceID{}})
	}
	for d := range l.disputed { // order-free: the caller is told so
		all = append(all, Distrusted{d.writer, l.durable[d.writer].Device, d.device})
	}
	return all
}
