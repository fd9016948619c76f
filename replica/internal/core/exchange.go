package core

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// window is how many bytes of envelopes may be on their way to one device
// without its acknowledgement; loadBytes how many are read at a time.
const (
	window    = 4 << 20
	loadBytes = 1 << 20
)

// maxUnheard is how many writers another device may have of which nothing is here.
const maxUnheard = 64

// Exchange is one device's side of the protocol with all others.
type Exchange struct {
	*Ledger
	id       *encryption.Identity
	sessions map[SessionID]*session
	backlog  bool // own changes wait to be sealed
	rewound  bool // others know more of the author; see rewind
	lives    map[encryption.DeviceID]*lives
	fetch    *fetch     // documents are coming; nil for none
	partial  *fetch     // the last one, if it was cut
	mends    [][16]byte // documents that are damaged here
	twice    bool       // something has come twice
	tune     tune       // of the documents here
	out      []Effect
}

// New returns an exchange over a ledger, for what the author writes.
func New(id *encryption.Identity, ledger *Ledger, author Author) *Exchange {
	ledger.author = author
	return &Exchange{
		Ledger: ledger, id: id,
		sessions: map[SessionID]*session{}, lives: map[encryption.DeviceID]*lives{},
	}
}

// Step takes one event and returns what to do, in order.
func (x *Exchange) Step(ev Event) []Effect {
	switch ev := ev.(type) {
	case Connected:
		x.connected(ev)
	case Disconnected:
		delete(x.sessions, ev.Session)
		x.fetchNext()
		x.nearbyChanged()
	case Received:
		if s := x.sessions[ev.Session]; s != nil {
			x.received(s, ev.Message)
			x.agree(s)
		}
	case Loaded:
		if s := x.sessions[ev.Session]; s != nil {
			x.loaded(s, ev)
		}
	case Committed:
		x.committed()
	case Aborted:
		x.aborted()
	case MembersAdded:
		x.membersAdded(ev)
	case CompareAll:
		x.compareAll(ev.Nonce)
	case Tick:
		x.tick()
	case Absorbed:
		x.absorbed(ev)
	case Mend:
		x.mend(ev)
	default:
		x.stepTree(ev)
	}
	x.attune()
	return x.effects()
}

// effects returns those since it was called last.
func (x *Exchange) effects() []Effect {
	out := x.out
	x.out = nil
	return out
}

func (x *Exchange) emit(e ...Effect) { x.out = append(x.out, e...) }

// ordered returns the sessions by id.
func (x *Exchange) ordered() []*session {
	var all []*session
	for _, id := range slices.Sorted(maps.Keys(x.sessions)) {
		all = append(all, x.sessions[id])
	}
	return all
}

// Greeted says whether a device has greeted us, so that sealing pays, and has
// told us what it knows of the membership: a removal that it knows of has to
// count before something is sealed. It has told its frontier by then, so that
// nothing is sealed towards a device which knows that this one was put back.
func (x *Exchange) Greeted() bool {
	if x.rewound {
		return false
	}
	for _, s := range x.ordered() {
		if s.agreed {
			return true
		}
	}
	return false
}

func (x *Exchange) received(s *session, m wire.Message) {
	if !s.inTurn(m) {
		x.drop(s, fmt.Errorf("message of type %d out of turn", m.Type()))
		return
	}
	switch m := m.(type) {
	case *wire.Hello:
		x.greeted(s, m, nil)
	case *wire.Resume:
		x.greeted(s, &m.Hello, m)
	case *wire.Frontier:
		x.holding(s, m.Members, nil, m.Entries)
	case *wire.Members:
		x.emit(Admit{Session: s.id, Ops: m.Ops})
	case *wire.Epochs:
		s.agreed = true // once the host has performed what follows
		x.emit(Admit{Session: s.id, Records: m.Records}, Progress{s.id})
	case *wire.Envelope:
		x.envelope(s, m)
	case *wire.Ack:
		x.ack(s, m)
	case *wire.Decline:
		x.declined(s, encryption.WriterID(m.Writer))
	case *wire.Locked:
		x.emit(HandOn{s.device, encryption.EpochTag(m.Epoch)})
	case *wire.Neighbours:
		x.neighbours(s, m)
	case *wire.Offer:
		x.offered(s, m)
	case *wire.Want:
		x.emit(Serve{s.id, m})
	case *wire.Part:
		x.part(s, m)
	case *wire.Compare:
		x.asksCompare(s, m)
	case *wire.Compared:
		x.emit(PeerCompared{s.id, s.device, m})
	default:
		x.receivedTree(s, m)
	}
}

func (x *Exchange) drop(s *session, reason error) {
	delete(x.sessions, s.id)
	x.emit(Disconnect{Session: s.id, Reason: reason})
}

// dispute stops the exchange of a writer's log with a device whose version
// of it is not ours. The person is told once.
func (x *Exchange) dispute(d encryption.DeviceID, w encryption.WriterID, seq uint64, err error) {
	if at := (dispute{d, w}); !x.disputed[at] {
		x.disputed[at] = true
		if _, staged := x.staged[w]; staged {
			x.contested = append(x.contested, at)
		}
		x.emit(Report{d, fmt.Errorf("envelope %d of writer %x: %w", seq, w[:4], err)})
	}
}

func (x *Exchange) envelope(s *session, m *wire.Envelope) {
	w, seq, err := x.offer(source{s.id, s.device}, m.Raw)
	switch {
	case errors.Is(err, errDuplicate):
		x.duplicate(s, w, seq)
	case errors.Is(err, ErrOther):
		x.dispute(s.device, w, seq, err)
		x.rewind(s.device, w, seq)
		x.decline(s, w)
	case errors.Is(err, errFrozen):
		x.decline(s, w)
	case !s.known && (errors.Is(err, encryption.ErrUnknownEpoch) || errors.Is(err, encryption.ErrUnknownDevice)):
		// It was sent before the other side had heard that this one was put back, say,
		// and comes again behind what it needs.
	case errors.Is(err, encryption.ErrUnknownEpoch):
		x.locked(s, m.Raw, err)
	case err != nil:
		x.emit(Report{s.device, err})
		x.drop(s, err)
	default:
		s.claimed[w] = max(s.claimed[w], seq)
		if x.lost(w) {
			x.rewind(s.device, w, seq)
		}
		x.takeAgain()
	}
}

// locked asks the other end of s for the epoch of what it has sent and cannot be opened
// here, and ends the session: in the next one it can.
func (x *Exchange) locked(s *session, raw []byte, err error) {
	delete(x.sessions, s.id)
	x.emit(Report{s.device, err}, Send{s.id, &wire.Locked{Epoch: encryption.EpochOf(raw)}}, Disconnect{Session: s.id, Reason: err, Flush: true})
}

// duplicate acknowledges what is durable already; what is not will be
// acknowledged when it is.
func (x *Exchange) duplicate(s *session, w encryption.WriterID, seq uint64) {
	s.claimed[w] = max(s.claimed[w], seq)
	if seq <= x.durable[w].Seq {
		x.learn(s, w, seq)
		s.due[w] = x.durable[w].Seq
		x.emit(s.acknowledge()...)
		x.emit(Progress{s.id}) // it may be the last that was not known of it
	}
	if seq > s.offered.Frontier[w] { // otherwise it was sent before this device had said what it has
		x.twice = true
	}
	x.nearbyChanged()
}

func (x *Exchange) ack(s *session, m *wire.Ack) {
	s.backlog = s.backlog && len(m.Entries) > 0
	for _, e := range m.Entries {
		// Without a bound a device could fill our memory with writers.
		w := encryption.WriterID(e.Writer)
		if x.durable[w].Seq == 0 && s.has[w] == 0 && len(s.has) >= len(x.durable)+maxUnheard {
			continue
		}
		x.raise(s, w, e.Seq)
		if x.durable[w].Seq > 0 {
			x.seen(s.device, w, e.Seq)
			s.empty = s.empty && x.durable[w].Device == s.device // it has the documents
			s.answer(w, e.Seq, x.durable[w].Seq)
		}
	}
	x.emit(s.acknowledge()...)
	s.settle()
	s.arrivedThere()
	x.pump(s)
	x.emit(Progress{s.id})
}

// pump asks for what the other end lacks and the window has room for. When
// it lacks nothing, it is told that the backlog is sent, if it waits for that.
func (x *Exchange) pump(s *session) {
	if !s.known {
		return
	}
	room := x.room(s)
	load := Load{Session: s.id, Bytes: min(x.limits.load, max(room, 1))}
	withheld, behind, leaves := false, false, false
	for _, w := range x.Writers() {
		switch {
		case s.sent[w] >= x.durable[w].Seq || s.declined[w]:
		case s.missing[w] || x.disputed[dispute{s.device, w}]:
			withheld = true
		case x.behind(s, w):
			behind = true
		case x.leaves(s, w):
			s.leave(w, x.durable[w].Seq)
			leaves = true
		case room <= 0:
			withheld = true
		default:
			load.From = append(load.From, wire.Acked{Writer: w, Seq: s.sent[w] + 1})
		}
	}
	if behind {
		x.offerSnapshot(s)
	}
	if leaves {
		x.emit(s.acknowledge()...)
	}
	switch {
	case len(load.From) > 0:
		x.emit(load)
	case s.owed && room > 0 && !x.backlog && !withheld && !behind:
		s.owed = false
		x.emit(Send{s.id, &wire.Ack{Entries: []wire.Acked{}}})
	}
}

func (x *Exchange) loaded(s *session, ev Loaded) {
	if !s.known {
		x.takeOff(s, ev)
		return
	}
	for _, w := range ev.Missing {
		s.missing[w] = true
	}
	for _, e := range ev.Entries {
		if e.Seq == s.sent[e.Writer]+1 {
			x.emit(s.send(e))
		}
	}
	if len(ev.Entries) > 0 {
		x.pump(s)
	}
}

// SetBacklog says whether own changes wait to be sealed. The host calls it
// whenever that changes, after Committed.
func (x *Exchange) SetBacklog(waiting bool) []Effect {
	x.backlog = waiting
	for _, s := range x.ordered() {
		if s.owed && !waiting {
			x.pump(s)
		}
	}
	return x.effects()
}

// Ready says whether an envelope waits that Next would return.
func (x *Exchange) Ready() bool {
	_, _, ok := x.ready()
	return ok
}

// Next verifies the next envelope in causal order and makes it part of the
// group. It returns nil when none is left. Effects are returned by the next
// Step.
func (x *Exchange) Next() *Admitted {
	for {
		a, refused := x.next()
		for _, r := range refused {
			x.refused(r)
		}
		if a != nil || len(refused) == 0 {
			return a
		}
	}
}

// refused deals with an envelope that failed verification. Its session ends.
// In the next one its writer's log is left out, because it would fail again,
// unless the writer is new to us and only its membership is to come. A fork
// is not the fault of who passes it on.
func (x *Exchange) refused(r refusal) {
	err := fmt.Errorf("envelope %d of writer %x refused: %w", r.seq, r.writer[:4], r.err)
	if errors.Is(r.err, encryption.ErrFork) {
		x.freeze(r.writer, err)
		x.forked = append(x.forked, r.writer)
		x.emit(Report{r.from.device, err})
		return
	}
	s := x.sessions[r.from.session]
	if s != nil && !s.known && errors.Is(r.err, encryption.ErrUnknownDevice) {
		return // it was sent in the first flight, and comes again behind what it needs
	}
	if _, known := x.chain(r.writer); known {
		x.dispute(r.from.device, r.writer, r.seq, r.err)
	} else {
		x.emit(Report{r.from.device, err})
	}
	if s != nil {
		x.drop(s, err)
	}
}

// Refuse freezes a writer whose admitted envelope could not be applied; the
// host then aborts the group.
func (x *Exchange) Refuse(w encryption.WriterID, err error) {
	c, _ := x.chain(w)
	x.freeze(w, err)
	x.forked = slices.DeleteFunc(x.forked, func(f encryption.WriterID) bool { return f == w })
	x.emit(Report{c.Device, err})
}

// committed tells everyone about what is durable now.
func (x *Exchange) committed() {
	entries, adopted := x.commit()
	x.takeAgain()
	for _, e := range entries {
		x.arrived(e)
	}
	if slices.ContainsFunc(entries, func(e Entry) bool { return e.from.IsZero() }) && x.known() >= many {
		x.tellNearby()
	}
	for _, s := range x.ordered() {
		x.tellAdopted(s, adopted)
		x.forward(s, entries)
		x.emit(s.acknowledge()...)
		if s.known && len(entries)+len(adopted) > 0 {
			x.emit(Progress{s.id})
		}
		x.agree(s)
	}
}

// takeAgain accepts writers again that others rest on. Who was told that nothing is taken
// of them sends what is missing in another session.
func (x *Exchange) takeAgain() {
	if len(x.frozen) == 0 {
		return
	}
	for _, w := range x.thaw() {
		for _, s := range x.ordered() {
			if s.declines[w] {
				delete(x.sessions, s.id)
				x.emit(Disconnect{Session: s.id, Reason: fmt.Errorf("writer %x is accepted again, as others rest on it", w[:4]), Flush: true})
			}
		}
	}
}

// aborted closes every session: what was in the group has to come again.
func (x *Exchange) aborted() {
	x.abort()
	x.fetch, x.partial = nil, nil
	for _, s := range x.ordered() {
		x.drop(s, errors.New("the last group of changes could not be stored"))
	}
}

// membersAdded tells everyone, and ends the sessions with devices that are
// out now: after they were told as well, so that they know why. Whoever has
// not told its frontier yet is compared when it does.
func (x *Exchange) membersAdded(ev MembersAdded) {
	x.Refresh()
	for _, s := range x.ordered() {
		if s.known {
			x.sendRoster(s, ev.Ops, ev.Records)
		}
		if err := x.apart(s.device); err != nil {
			delete(x.sessions, s.id)
			x.emit(Disconnect{Session: s.id, Reason: err, Flush: true})
		}
	}
}

// apart says why this device and another one have nothing more to say.
func (x *Exchange) apart(d encryption.DeviceID) error {
	for _, m := range []encryption.DeviceID{d, x.id.Device()} {
		_, known := x.id.KnownDevice(m)
		if _, member := x.id.Member(m); known && !member {
			return fmt.Errorf("device %s: %w", m, encryption.ErrRemoved)
		}
	}
	return nil
}

// sendRoster sends operations, and behind them the records that they announce.
func (x *Exchange) sendRoster(s *session, ops, records [][]byte) {
	for part := range slices.Chunk(ops, wire.MaxOps) {
		x.emit(Send{s.id, &wire.Members{Ops: part}})
	}
	for part := range slices.Chunk(records, wire.MaxRecords) {
		x.emit(Send{s.id, &wire.Epochs{Records: part}})
	}
}

// Peer is what is known of the other end of a session.
type Peer struct {
	Session SessionID
	Device  encryption.DeviceID
	// Known: its frontier has come. CaughtUp: we hold all it is known to
	// hold, the membership too. Delivered: it holds all that we hold.
	Known, CaughtUp, Delivered bool
}

// Peers returns the sessions by id.
func (x *Exchange) Peers() []Peer {
	var all []Peer
	for _, s := range x.ordered() {
		p := Peer{Session: s.id, Device: s.device, Known: s.known, CaughtUp: s.agreed && !s.backlog, Delivered: s.known}
		for w, seq := range s.claimed { // order-free: a conjunction
			p.CaughtUp = p.CaughtUp && x.durable[w].Seq >= seq
		}
		for _, w := range x.Writers() {
			p.Delivered = p.Delivered && s.has[w] >= x.durable[w].Seq
		}
		all = append(all, p)
	}
	return all
}
