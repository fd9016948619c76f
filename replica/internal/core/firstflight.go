package core

import (
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// What a device lacks by what was last known of it is sent right behind the hello,
// without waiting for its own. So a device catches up in half a round trip. It may have
// got the same from somebody else meanwhile, and then it comes twice; so this is done
// only where it is little, all of it at once, and never twice in a session.

// flightBytes is how much may be sent before the other end's hello has come: about what
// a slow line carries in a round trip, which would be idle otherwise.
const flightBytes = 64 << 10

// guess asks for what the other end of s lacks as far as is known, unless there is a
// doubt: nothing is remembered of it, the membership or the keys are others since then,
// or something that it lacks is not to be had as an envelope.
func (x *Exchange) guess(s *session) {
	if s.common == nil || s.common.Roster != x.roster {
		return
	}
	load := Load{Session: s.id, Bytes: min(x.limits.flight, x.limits.window)}
	has := map[encryption.WriterID]uint64{}
	for _, w := range x.Writers() {
		has[w] = max(s.common.Frontier[w], x.holds[s.device][w])
		switch {
		case has[w] >= x.durable[w].Seq:
		case has[w] < x.base[w].Seq || x.disputed[dispute{s.device, w}]:
			return
		default:
			load.From = append(load.From, wire.Acked{Writer: w, Seq: has[w] + 1})
		}
	}
	if len(load.From) > 0 {
		s.guess = has
		x.emit(load)
	}
}

// takeOff sends what guess has asked for, if it is all.
func (x *Exchange) takeOff(s *session, ev Loaded) {
	size, ends := 0, map[encryption.WriterID]uint64{}
	for _, e := range ev.Entries {
		size += len(e.Raw)
		ends[e.Writer] = e.Seq
	}
	whole := size <= x.limits.flight
	for w, has := range s.guess { // order-free: a conjunction
		whole = whole && (has >= x.durable[w].Seq || ends[w] == x.durable[w].Seq)
	}
	if !whole {
		s.guess = nil
		return
	}
	for _, e := range ev.Entries {
		x.emit(s.send(e))
	}
}

// land goes on from what the other end really has, once that is known. Where it has
// less than was thought, what was sent may wait there for what comes before it, and where
// the rosters are not the same it may have let go of what it could not read. Then all of it
// is sent once more, in its order, and what was sent takes no room: else it could fill the
// window.
func (s *session) land() {
	wrong := !s.agreed
	for w, has := range s.guess { // order-free: a disjunction
		wrong = wrong || s.has[w] < has
	}
	if wrong && s.guess != nil {
		for w := range s.guess { // order-free: each writer apart
			s.sent[w] = s.has[w]
		}
		s.takeOut(func(flight) bool { return true })
	}
	s.guess = nil
}
