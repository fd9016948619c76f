package core

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// A device drops envelopes that all members have. What is in them is in its
// documents, so a device that lacks them (it is new, or was away for long) is
// offered these: it asks for them part by part, merges each into its own, and
// holds afterwards what the frontier of the offer says. That frontier was taken
// before the first document was read, and documents only grow, so all of it is
// in them, however long the transfer takes. More may be in them than it says,
// which comes again as envelopes, and is known by then.
//
// The device that asks remembers how far it came, and the one that answers
// remembers nothing: whoever has an offer that is still of use is asked for what
// follows. Of two offers whose documents were mixed, the part that both have is
// what holds.

// offerFrom is how many envelopes there have to be for a device that has nothing
// at all to be offered documents in place of all of them. A log that was sealed in
// long runs is no larger than the documents, and signed; one of many short ones is.
const offerFrom = 4096

// fetch is a transfer of documents to this device.
type fetch struct {
	session SessionID
	chains  map[encryption.WriterID]encryption.Chain // what holds at its end
	after   [16]byte                                 // the last document that came
	begun   bool                                     // something has come
	asked   bool                                     // a part is on its way
	merging int                                      // parts with the host
	ended   bool                                     // the last part has come
}

// behind says whether the other end of s lacks envelopes of w that were dropped
// here, or is to get documents in place of everything.
func (x *Exchange) behind(s *session, w encryption.WriterID) bool {
	return s.sent[w] < x.base[w].Seq || s.empty && s.sent[w] == 0
}

// offerSnapshot offers the documents, once for each time that envelopes were dropped.
func (x *Exchange) offerSnapshot(s *session) {
	if s.offeredAt == x.drops+1 {
		return
	}
	s.offeredAt = x.drops + 1
	x.emit(Send{s.id, offerOf(x.durable)})
}

// total is how many envelopes there were ever.
func (l *Ledger) total() (n uint64) {
	for _, c := range l.durable { // order-free: a sum
		n += c.Seq
	}
	return n
}

// offered notes an offer and takes it up if nothing is being fetched.
func (x *Exchange) offered(s *session, m *wire.Offer) {
	chains := ChainsOf(m)
	for _, w := range sortedWriters(chains) {
		c := chains[w]
		if _, known := x.id.KnownDevice(c.Device); !known {
			x.drop(s, fmt.Errorf("offer of writer %x: %w: %s", w[:4], encryption.ErrUnknownDevice, c.Device))
			return
		}
		s.claimed[w] = max(s.claimed[w], c.Seq)
	}
	s.offer = chains
	clear(s.taken)
	x.answerOffer(s)
	x.fetchNext()
}

// answerOffer acknowledges what of an offer is here already: it may have come since
// this device told its frontier, or from another one.
func (x *Exchange) answerOffer(s *session) {
	for _, w := range sortedWriters(s.offer) {
		switch o, c := s.offer[w], x.durable[w]; {
		case o.Seq > c.Seq || x.disputed[dispute{s.device, w}]:
		case o.Seq == c.Seq && o.Head != c.Head:
			x.dispute(s.device, w, o.Seq, ErrOther)
		default:
			x.learn(s, w, o.Seq)
			s.due[w] = c.Seq
		}
	}
	x.emit(s.acknowledge()...)
}

// ChainsOf returns the chains of an offer by writer.
func ChainsOf(m *wire.Offer) map[encryption.WriterID]encryption.Chain {
	chains := map[encryption.WriterID]encryption.Chain{}
	for _, e := range m.Chains {
		chains[e.Writer] = encryption.Chain{Device: e.Device, Seq: e.Seq, Head: e.Head, Members: e.Members}
	}
	return chains
}

// offerOf is the reverse of ChainsOf.
func offerOf(chains map[encryption.WriterID]encryption.Chain) *wire.Offer {
	o := &wire.Offer{}
	for _, w := range sortedWriters(chains) {
		c := chains[w]
		o.Chains = append(o.Chains, wire.Chain{Writer: w, Seq: c.Seq, Head: c.Head, Device: c.Device, Members: c.Members})
	}
	return o
}

// Bases returns the chains behind which the logs begin, as an offer has them.
func (l *Ledger) Bases() []wire.Chain { return offerOf(l.base).Chains }

// useful says whether an offer of s has something that is not here and may be. One
// that leads on a log in dispute is of no use: the other logs may rest on it.
func (x *Exchange) useful(s *session, chains map[encryption.WriterID]encryption.Chain) (useful bool) {
	for w, c := range chains { // order-free: a conjunction of one thing, and any one of another
		if c.Seq <= x.durable[w].Seq {
			continue
		}
		if x.disputed[dispute{s.device, w}] {
			return false
		}
		useful = useful || x.adoptable(w) && !s.taken[w]
	}
	return useful
}

// adoptable says whether the chain of w may be taken over. That of the author is
// what this device remembers of itself; what it has forgotten makes it another one.
func (l *Ledger) adoptable(w encryption.WriterID) bool {
	return w != l.author.Writer && l.frozen[w] == nil
}

// fetchNext asks whoever has a useful offer for the next documents, unless
// somebody was asked already.
func (x *Exchange) fetchNext() {
	if f := x.fetch; f != nil && x.sessions[f.session] == nil {
		if f.merging > 0 || f.ended {
			return // what has come is merged first
		}
		x.fetch, x.partial = nil, f
	}
	for _, s := range x.ordered() {
		if x.fetch == nil && x.useful(s, s.offer) {
			x.fetch = x.resumed(s)
		}
	}
	if f := x.fetch; f != nil && !f.asked && !f.ended && f.merging == 0 {
		f.asked = true
		x.want(x.sessions[f.session], &wire.Want{After: f.after})
	}
}

// want asks for documents. Answers come in the order of questions.
func (x *Exchange) want(s *session, m *wire.Want) {
	s.wanted = append(s.wanted, wanted{mends: len(m.IDs) > 0})
	x.emit(Send{s.id, m})
}

// resumed begins a transfer from s, where the last one that was cut left off if
// that is still of use.
func (x *Exchange) resumed(s *session) *fetch {
	f := &fetch{session: s.id, chains: x.undisputed(s)}
	last := x.partial
	x.partial = nil
	if last == nil || !last.begun {
		return f
	}
	both := map[encryption.WriterID]encryption.Chain{}
	for w, c := range f.chains { // order-free: each writer apart
		if o, ok := last.chains[w]; ok {
			if o.Seq < c.Seq {
				c = o
			}
			both[w] = c
		}
	}
	if x.useful(s, both) {
		f.chains, f.after, f.begun = both, last.after, true
	}
	return f
}

// undisputed returns the offer of s without the writers of whose log it has
// another version.
func (x *Exchange) undisputed(s *session) map[encryption.WriterID]encryption.Chain {
	chains := maps.Clone(s.offer)
	maps.DeleteFunc(chains, func(w encryption.WriterID, _ encryption.Chain) bool { return x.disputed[dispute{s.device, w}] })
	return chains
}

// part hands documents to the host, and asks for the next ones meanwhile.
func (x *Exchange) part(s *session, m *wire.Part) {
	if len(s.wanted) == 0 {
		x.drop(s, errors.New("documents that nobody asked for"))
		return
	}
	asked := s.wanted[0]
	s.wanted = s.wanted[1:]
	f := x.fetch
	if asked.mends || asked.differ != nil {
		x.emit(Absorb{Session: s.id, Device: s.device, Packed: m.Packed, Mended: asked.mends, Differ: asked.differ})
		return
	}
	if f == nil || f.session != s.id || !f.asked {
		return // the transfer that it belongs to has ended
	}
	f.asked, f.begun, f.after, f.ended = false, true, m.Last, !m.More
	f.merging++
	a := Absorb{Session: s.id, Device: s.device, Packed: m.Packed}
	switch {
	case f.ended && x.useful(s, f.chains): // a dispute may have come up meanwhile
		a.Chains = f.chains
	case !f.ended && f.merging == 1:
		f.asked = true
		x.want(s, &wire.Want{After: f.after})
	}
	x.emit(a)
}

// absorbed goes on after documents are durable, or were refused.
func (x *Exchange) absorbed(ev Absorbed) {
	s := x.sessions[ev.Session]
	if ev.Err != nil {
		x.fetch = nil
		x.emit(Report{ev.Device, ev.Err})
		if s != nil {
			x.drop(s, ev.Err)
		}
	} else if f := x.fetch; f != nil && !ev.Mended && !ev.Differ {
		if f.merging--; f.ended && f.merging == 0 {
			x.fetch = nil
		}
	}
	x.fetchNext()
	x.retune()
	if ev.Differ {
		x.took(ev)
	}
}

// Adopted is a writer's chain that was taken over with a snapshot.
type Adopted struct {
	Writer        encryption.WriterID
	Before, Chain encryption.Chain
}

// Adopt makes the chains of a snapshot, all of whose documents are merged by
// this group, part of it, as far as they lead beyond what is here. The host drops
// what it holds of these writers' logs. The order is that of writers.
func (l *Ledger) Adopt(chains map[encryption.WriterID]encryption.Chain) (adopted []Adopted) {
	for _, w := range sortedWriters(chains) {
		before, _ := l.chain(w)
		if c := chains[w]; c.Seq > before.Seq && l.adoptable(w) {
			l.staged[w], l.stagedBase[w] = c, c
			l.outdate(w, c.Seq)
			adopted = append(adopted, Adopted{w, before, c})
		}
	}
	return adopted
}

// outdate takes out of the buffer what came of w up to seq.
func (l *Ledger) outdate(w encryption.WriterID, seq uint64) {
	for _, n := range slices.Sorted(maps.Keys(l.buffered[w])) {
		for n <= seq && len(l.buffered[w][n]) > 0 {
			l.take(w, n, 0)
		}
	}
}

// Pruned says that the host holds the log of each writer from behind a chain on.
func (l *Ledger) Pruned(base map[encryption.WriterID]encryption.Chain) { l.base = maps.Clone(base) }

// Prune makes it part of the group that the log of w up to c is dropped.
func (l *Ledger) Prune(w encryption.WriterID, c encryption.Chain) { l.stagedBase[w] = c }

// Base returns the chain behind which the log of w begins here, or will after the
// group in the making, zero for all of it.
func (l *Ledger) Base(w encryption.WriterID) encryption.Chain {
	if c, ok := l.stagedBase[w]; ok {
		return c
	}
	return l.base[w]
}

// tellAdopted acknowledges what was taken over to everyone. What their offers have
// beyond it, if anything, they send now: as envelopes, or else they offer again. It is
// no reason to take such an offer up. Where there is another reason it counts with the
// rest, because only all chains of an offer rest on nothing else.
func (x *Exchange) tellAdopted(s *session, adopted []encryption.WriterID) {
	for _, w := range adopted {
		if !s.known || x.disputed[dispute{s.device, w}] {
			continue
		}
		if s.claimed[w] >= x.durable[w].Seq {
			x.learn(s, w, x.durable[w].Seq)
		}
		s.due[w] = x.durable[w].Seq
		s.taken[w] = true
	}
}

// Wants names the documents that are damaged here, by ascending id, and no others
// any more. Whoever comes is asked for them.
func (x *Exchange) Wants(ids [][16]byte) { x.mends = ids }

// mend asks those who are there for a document.
func (x *Exchange) mend(ev Mend) {
	for _, s := range x.ordered() {
		if s.known {
			x.want(s, &wire.Want{IDs: [][16]byte{ev.ID}})
		}
	}
}

func (x *Exchange) askMends(s *session) {
	for ids := range slices.Chunk(x.mends, wire.MaxWanted) {
		x.want(s, &wire.Want{IDs: ids})
	}
}
