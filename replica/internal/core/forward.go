package core

import (
	"bytes"
	"maps"
	"slices"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// Every device sends on what it got, so that devices which cannot reach each other
// have it all the same. Where everybody is connected with everybody that would
// carry each envelope over each connection. So a device to which something came
// twice says whom it is connected with, from then on whenever that changes, and so does
// one that has written something and is connected with many. Others leave to those what
// came from one of them: whoever is nearest to the author on the way to a device has
// nobody to leave it to, and sends it. What was left to somebody else is acknowledged,
// so that both know of each other.
//
// Somebody else may be slow, or keep a writer's log from that device. After a
// while (Tick) nothing is left to others any more.

// patience is how many ticks an envelope is left to somebody else, at most.
const patience = 2

// many is with how many devices one is connected that says so before it sends what it has
// written. With fewer, what comes twice in the beginning is less than that.
const many = 3

// origin is where the newest envelopes of a writer came from.
type origin struct {
	device encryption.DeviceID
	since  uint64 // all from this number on
}

// left is what was not sent because somebody else has it.
type left struct {
	seq   uint64
	ticks int
}

// arrived notes where an envelope came from that is durable now; the zero device
// is this one.
func (l *Ledger) arrived(e Entry) {
	if o, ok := l.origins[e.Writer]; !ok || o.device != e.from {
		l.origins[e.Writer] = origin{e.from, e.Seq}
	}
}

// leaves says whether what the other end of s lacks of w is left to the device that
// it came from here.
func (x *Exchange) leaves(s *session, w encryption.WriterID) bool {
	o, ok := x.origins[w]
	return ok && !o.device.IsZero() && s.sent[w]+1 >= o.since && s.left[w].ticks < patience && x.adjoins(s, o.device)
}

// adjoins says whether the other end of s and a device are connected, as either says.
func (x *Exchange) adjoins(s *session, with encryption.DeviceID) bool {
	if s.nearby[with] {
		return true
	}
	for _, o := range x.sessions { // order-free: any one
		if o.device == with && o.nearby[s.device] {
			return true
		}
	}
	return false
}

// leave notes what was left to others.
func (s *session) leave(w encryption.WriterID, seq uint64) {
	if l := s.left[w]; l.seq < seq {
		s.left[w] = left{seq, l.ticks}
		s.due[w] = seq
	}
}

// answer makes an acknowledgement due for what the other end has said that it has, as
// it may have left that to others.
func (s *session) answer(w encryption.WriterID, seq, have uint64) {
	if told := s.told[w]; have > told && seq > told {
		s.due[w] = have
	}
}

// Leaves says whether anything was left to others that has not arrived, so that the
// host has to call Tick after a second or so.
func (x *Exchange) Leaves() bool {
	for _, s := range x.sessions { // order-free: any one
		for _, l := range s.left {
			if l.ticks < patience {
				return true
			}
		}
	}
	return false
}

// tick makes time pass.
func (x *Exchange) tick() {
	for _, s := range x.ordered() {
		for w, l := range s.left { // order-free: each writer apart
			s.left[w] = left{l.seq, l.ticks + 1}
		}
		x.pump(s)
	}
}

// room is how many bytes may be sent now. What fills the window may wait at the other
// end for what was left to somebody else and is not any more, so that goes beyond the
// window, with all that comes before it, by as much again.
func (x *Exchange) room(s *session) int {
	for w, l := range s.left { // order-free: any one
		if l.seq > s.sent[w] && !x.leaves(s, w) {
			return 2*x.limits.window - s.inflight
		}
	}
	return x.limits.window - s.inflight
}

// arrivedThere forgets what was left to others and has arrived.
func (s *session) arrivedThere() {
	maps.DeleteFunc(s.left, func(w encryption.WriterID, l left) bool { return s.has[w] >= l.seq })
}

// nearby returns the devices that this one exchanges with, but for one, ascending.
func (x *Exchange) nearby(but encryption.DeviceID) [][16]byte {
	devices := [][16]byte{}
	for _, s := range x.sessions { // order-free: sorted below
		if s.known && s.device != but {
			devices = append(devices, s.device)
		}
	}
	slices.SortFunc(devices, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(devices)
}

// nearbyChanged tells everyone whom this device is connected with, once something
// has come twice: what one has sent needlessly others will.
func (x *Exchange) nearbyChanged() {
	if x.twice {
		x.tellNearby()
	}
}

// tellNearby tells everyone who has not heard it whom this device is connected with.
func (x *Exchange) tellNearby() {
	for _, s := range x.ordered() {
		if now := x.nearby(s.device); s.known && !slices.Equal(now, s.toldNearby) {
			s.toldNearby = now
			x.emit(Send{s.id, &wire.Neighbours{Devices: now}})
		}
	}
}

// neighbours takes what the other end says of itself.
func (x *Exchange) neighbours(s *session, m *wire.Neighbours) {
	s.nearby = map[encryption.DeviceID]bool{}
	for _, d := range m.Devices {
		s.nearby[d] = true
	}
	x.pump(s)
}

// forward sends entries to a session that lacks them, and acknowledges those that
// it has or gets from somebody else.
func (x *Exchange) forward(s *session, entries []Entry) {
	for _, e := range entries {
		switch {
		case !s.greeted || s.declined[e.Writer] || x.disputed[dispute{s.device, e.Writer}]:
		case s.claimed[e.Writer] >= e.Seq:
			x.learn(s, e.Writer, e.Seq)
			s.due[e.Writer] = e.Seq
		case s.known && x.leaves(s, e.Writer):
			s.leave(e.Writer, e.Seq)
		case s.known && s.sent[e.Writer]+1 == e.Seq && s.inflight < x.limits.window:
			x.emit(s.send(e))
		}
	}
	x.pump(s)
}

// decline tells the other end of s that nothing more of w is taken from it. Otherwise
// what it has sent would take room in its window for ever, and in the end there would be
// none for what honest devices wrote. It is not acknowledged, as it is not here.
func (x *Exchange) decline(s *session, w encryption.WriterID) {
	if !s.declines[w] && w != x.author.Writer {
		s.declines[w] = true
		x.emit(Send{s.id, &wire.Decline{Writer: w}})
	}
}

// declined sends no more of w, which the other end does not take.
func (x *Exchange) declined(s *session, w encryption.WriterID) {
	if x.durable[w].Seq == 0 {
		return // without that a device could fill our memory with writers
	}
	s.declined[w] = true
	delete(s.left, w)
	s.settle()
	x.pump(s)
}

// known returns with how many sessions the frontiers have crossed.
func (x *Exchange) known() (n int) {
	for _, s := range x.sessions { // order-free: a sum
		if s.known {
			n++
		}
	}
	return n
}
