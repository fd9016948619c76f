package core

import (
	"slices"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// session is what is known of one stream and the device at its other end.
type session struct {
	id     SessionID
	device encryption.DeviceID
	// offered is what our hello named by its digest. common: what both ends had in
	// common when they last met; nil for nothing, or what cannot be relied upon.
	offered Common
	common  *Common
	roster  [32]byte // digest of members and epochs, as the hello or the frontier had it
	same    bool     // the other end has said that it has that roster too
	// guess: what the other end was thought to have for the first flight. agreedAt: the
	// state of the ledger of which both ends are known to know that the other has it.
	guess    map[encryption.WriterID]uint64
	agreedAt uint64
	// greeted: its hello has come. known: has is its frontier.
	greeted, known bool
	// agreed: it has our membership and epochs, or has told us its own.
	agreed bool
	// backlog: it seals changes that we will be sent. owed: it was told so of
	// us, and waits to hear that it has been sent them.
	backlog, owed bool
	// empty: it had nothing at all when it came, and is to get documents. offeredAt:
	// which state of the log was offered to it. offer: what it has offered.
	empty     bool
	offeredAt int
	offer     map[encryption.WriterID]encryption.Chain
	taken     map[encryption.WriterID]bool   // the chains were taken over up to somewhere since
	wanted    []wanted                       // each Want that is not answered
	has       map[encryption.WriterID]uint64 // durable at the other end, or sent by it
	sent      map[encryption.WriterID]uint64 // handed to the stream, at least has
	claimed   map[encryption.WriterID]uint64 // what it said it holds
	told      map[encryption.WriterID]uint64 // what the other end knows to be durable here
	missing   map[encryption.WriterID]bool   // writers whose next envelope cannot be read here
	due       map[encryption.WriterID]uint64 // to be acknowledged
	// declines: writers of whom the other end was told that nothing is taken from it.
	// declined: those of whom it has said so.
	declines, declined map[encryption.WriterID]bool
	unacked            []flight
	// nearby: whom the other end is connected with, as it said. toldNearby: what it
	// was told of this device; nil for nothing. left: what is left to those.
	nearby     map[encryption.DeviceID]bool
	toldNearby [][16]byte
	left       map[encryption.WriterID]left
	inflight   int // bytes of unacked
	harmony    harmony
}

// wanted is what a Want was for: a Mend, documents that differ, or the next ones.
type wanted struct {
	mends  bool
	differ [][16]byte
}

// flight is an envelope that was sent and not acknowledged.
type flight struct {
	writer encryption.WriterID
	seq    uint64
	size   int
}

func newSession(id SessionID, device encryption.DeviceID) *session {
	return &session{
		id: id, device: device,
		has:      map[encryption.WriterID]uint64{},
		sent:     map[encryption.WriterID]uint64{},
		claimed:  map[encryption.WriterID]uint64{},
		told:     map[encryption.WriterID]uint64{},
		missing:  map[encryption.WriterID]bool{},
		taken:    map[encryption.WriterID]bool{},
		due:      map[encryption.WriterID]uint64{},
		left:     map[encryption.WriterID]left{},
		declines: map[encryption.WriterID]bool{},
		declined: map[encryption.WriterID]bool{},
	}
}

// inTurn says whether m may come now: first a hello, then, unless what the other end
// holds is known by that, a frontier, and neither of them again. Only envelopes may
// come before the frontier.
func (s *session) inTurn(m wire.Message) bool {
	switch m.(type) {
	case *wire.Hello, *wire.Resume:
		return !s.greeted
	case *wire.Frontier:
		return s.greeted && !s.known
	case *wire.Envelope:
		return s.greeted // of the first flight, maybe
	}
	return s.known
}

// learn notes that the other end holds everything of w up to seq.
func (s *session) learn(w encryption.WriterID, seq uint64) {
	s.has[w] = max(s.has[w], seq)
	s.sent[w] = max(s.sent[w], seq)
	s.claimed[w] = max(s.claimed[w], seq)
}

// settle takes what the other end has acknowledged, or does not take, out of the window.
func (s *session) settle() {
	s.takeOut(func(f flight) bool { return f.seq <= s.has[f.writer] || s.declined[f.writer] })
}

func (s *session) takeOut(done func(flight) bool) {
	s.unacked = slices.DeleteFunc(s.unacked, func(f flight) bool {
		if !done(f) {
			return false
		}
		s.inflight -= f.size
		return true
	})
}

// send records e as on its way and returns the effect that sends it.
func (s *session) send(e Entry) Effect {
	s.sent[e.Writer], s.told[e.Writer] = e.Seq, max(s.told[e.Writer], e.Seq)
	s.unacked = append(s.unacked, flight{e.Writer, e.Seq, len(e.Raw)})
	s.inflight += len(e.Raw)
	return Send{s.id, &wire.Envelope{Raw: e.Raw}}
}

// acknowledge returns the acknowledgement that is due, if any.
func (s *session) acknowledge() []Effect {
	if len(s.due) == 0 {
		return nil
	}
	ack := &wire.Ack{}
	for _, w := range sortedWriters(s.due) {
		ack.Entries = append(ack.Entries, wire.Acked{Writer: w, Seq: s.due[w]})
		s.told[w] = max(s.told[w], s.due[w])
	}
	clear(s.due)
	return []Effect{Send{s.id, ack}}
}
