package core

import (
	"bytes"
	"errors"
	"slices"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// Two devices that hold the same envelopes should have the same documents. Where
// they have not (a transfer of documents was cut and its source is gone, or there
// is a fault), each takes from the other what it lacks.
//
// How it is noticed: once a session is in step, the device with the lower id sends a
// Print, 14 bytes beside the two hellos, and the other one answers only if its own
// is different. From then on a Print goes out when documents have changed without
// envelopes, and never because of an edit.
//
// What happens then: who gets another Print than its own goes down the tree of
// hashes (a descent) to the documents that differ, asks for these like for damaged
// ones, merges them, and sends its Print, by which the other side does the same. The
// Print of the one is always what the other looks into, so that both directions are
// one rule. It ends when the prints are equal, or when both have looked at the same
// two before.

// Bounds of descents.
const (
	maxProbes    = 1024           // that one descent sends
	maxDiffering = wire.MaxWanted // documents that one descent finds
	atOnceProbes = 8              // on their way to one device
	atOnceWanted = 64             // documents of one Want
	maxFruitless = 64             // descents of one session after which this device is as before
	maxServed    = 64 * maxProbes // probes of one session that are answered
	maxQuestions = 64             // of one session that wait until its descent ends
)

// harmony is what the two ends of a session have told each other of their documents.
type harmony struct {
	due       bool          // a Print is to be sent as soon as the session is in step
	told      wire.Print    // the last one that was sent
	heard     wire.Print    // the last one that came
	unheeded  bool          // and it was not compared yet
	looked    [2]wire.Print // heard and own, when the last descent had ended
	descent   *descent
	fruitless int
	served    int
	questions [][8]byte // nonces of comparisons that wait for the end of the descent
}

// descent is a search for documents that differ from those of a session's other end.
type descent struct {
	begun  wire.Print // own, when it began
	heard  wire.Print // the one that is looked into
	todo   [][]byte   // prefixes that are to be asked for
	asked  [][]byte   // and those that were, in the order of questions
	probes int
	differ []Difference
	want   [][16]byte // of these, what is to be asked for
	taking bool       // documents are on their way, or are being merged
	more   bool       // something was left out
}

// Difference is a document that two devices have at different heads.
type Difference struct {
	ID          [16]byte
	Here, There bool // whether there is such a document at all
}

// tune is what is known of the documents of this device.
type tune struct {
	print    [32]byte // their fingerprint
	known    bool     // and it is one
	unsealed bool     // and has changes that are in no envelope
}

// begins says which of two devices sends its Print unasked.
func begins(self, other encryption.DeviceID) bool { return bytes.Compare(self[:], other[:]) < 0 }

// SetPrint tells the fingerprint of the documents that are durable, and whether own
// changes are in them that no envelope has yet. The host calls it before Committed,
// and whenever it has changed otherwise.
func (x *Exchange) SetPrint(print [32]byte, unsealed bool) {
	x.tune = tune{print, true, unsealed}
}

// stepTree and receivedTree take the events and messages of this file.
func (x *Exchange) stepTree(ev Event) {
	switch ev := ev.(type) {
	case Descend:
		x.descendNow(ev)
	case Looked:
		x.looked(ev)
	}
}

func (x *Exchange) receivedTree(s *session, m wire.Message) {
	switch m := m.(type) {
	case *wire.Print:
		s.harmony.heard, s.harmony.unheeded = *m, true
	case *wire.Probe:
		x.asksProbe(s, m)
	case *wire.Probed:
		x.probed(s, m)
	}
}

// print is what this device says of itself.
func (x *Exchange) print() wire.Print {
	digest := x.Digest()
	return wire.Print{Digest: [4]byte(digest[:]), Fingerprint: [8]byte(x.tune.print[:])}
}

// inStep says whether both ends of a session hold the same envelopes, as far as is
// known, and all of what is in the documents here is in them.
func (x *Exchange) inStep(s *session) bool {
	if !x.tune.known || x.tune.unsealed || x.rewound || x.fetch != nil || !s.known || !s.agreed || s.backlog {
		return false
	}
	for w, seq := range s.claimed { // order-free: a conjunction
		if x.durable[w].Seq < seq {
			return false
		}
	}
	for w, c := range x.durable { // order-free: a conjunction
		if s.has[w] < c.Seq {
			return false
		}
	}
	return true
}

// attune sends the prints that are due. It ends every step.
func (x *Exchange) attune() {
	for _, s := range x.ordered() {
		h := &s.harmony
		if (h.due || h.unheeded) && h.descent == nil && x.inStep(s) {
			own := x.print()
			if h.unheeded {
				x.heed(s, own)
			}
			if h.due && h.descent == nil {
				h.due = false
				if own != h.told {
					x.tellPrint(s, own)
				}
			}
		}
	}
}

func (x *Exchange) tellPrint(s *session, own wire.Print) {
	s.harmony.told = own
	x.emit(Send{s.id, &own})
}

// retune has all sessions hear of documents that have changed without envelopes.
func (x *Exchange) retune() {
	for _, s := range x.sessions { // order-free: each apart
		s.harmony.due = true
	}
}

// heed begins a descent if the print that came last is a reason for one. One of other
// envelopes is answered by one's own.
func (x *Exchange) heed(s *session, own wire.Print) {
	h := &s.harmony
	h.unheeded = false
	switch {
	case h.heard.Digest != own.Digest:
		h.due = true
	case h.heard == own || h.looked == [2]wire.Print{h.heard, own} || h.fruitless >= maxFruitless:
	default:
		x.descend(s)
	}
}

// descend looks for what differs from the other end of a session.
func (x *Exchange) descend(s *session) {
	s.harmony.descent = &descent{begun: x.print(), heard: s.harmony.heard, todo: [][]byte{{}}}
	x.probe(s)
}

// Descend has a session's documents compared down to the last, whatever was
// compared before. The host hears what came of it by Descended.
type Descend struct{ Session SessionID }

func (Descend) event() {}

func (x *Exchange) descendNow(ev Descend) {
	s := x.sessions[ev.Session]
	if s == nil {
		return
	}
	s.harmony.told = wire.Print{} // so that the other end looks as well
	switch {
	case s.harmony.descent != nil:
	case x.inStep(s):
		x.descend(s)
	default:
		s.harmony.due = true
		x.emit(Descended{Session: s.id, Device: s.device})
	}
}

// probe asks for what comes next in the tree, and goes on with the documents
// when nothing more is asked.
func (x *Exchange) probe(s *session) {
	d := s.harmony.descent
	for len(d.asked) < atOnceProbes && len(d.todo) > 0 && d.probes < maxProbes && len(d.differ) < maxDiffering {
		p := d.todo[0]
		d.todo, d.asked = d.todo[1:], append(d.asked, p)
		d.probes++
		x.emit(Send{s.id, &wire.Probe{Prefix: p}})
	}
	if len(d.asked) > 0 {
		return
	}
	d.more = d.more || len(d.todo) > 0
	if x.inStep(s) { // what differs otherwise is what one of the two has not got yet
		for _, f := range d.differ {
			if f.There {
				d.want = append(d.want, f.ID)
			}
		}
	}
	x.takeDiffering(s)
}

// AnswerProbe asks the host to send a Probed of what is durable.
type AnswerProbe struct {
	Session SessionID
	Prefix  []byte
}

// Look asks the host for what it has itself where another device has Theirs. It
// answers with Looked before any other event.
type Look struct {
	Session SessionID
	Theirs  *wire.Probed
}

// Looked answers a Look: in sums if Theirs has some, and else in documents, which
// may be more than a message has. Err says why that cannot be told.
type Looked struct {
	Session      SessionID
	Theirs, Ours *wire.Probed
	Err          error
}

// Descended says that two devices have compared their documents, and that this one
// has taken what it could. The others' turn may not be over; a comparison that is
// asked for now is answered when it is.
type Descended struct {
	Session SessionID
	Device  encryption.DeviceID
	Differ  []Difference // at the beginning; ascending within each round
	More    bool         // another descent has begun, for others that may differ too
}

func (AnswerProbe) effect() {}
func (Look) effect()        {}
func (Looked) event()       {}
func (Descended) effect()   {}

// probed takes an answer, which has to be to the question that was asked first.
func (x *Exchange) probed(s *session, m *wire.Probed) {
	d := s.harmony.descent
	if d == nil || len(d.asked) == 0 || !bytes.Equal(d.asked[0], m.Prefix) {
		x.drop(s, errors.New("a branch of the tree that nobody asked for"))
		return
	}
	x.emit(Look{s.id, m})
}

// asksProbe has another device's question answered, unless it asks without end.
func (x *Exchange) asksProbe(s *session, m *wire.Probe) {
	if s.harmony.served++; s.harmony.served > maxServed {
		x.drop(s, errors.New("it asks for branches of the tree without end"))
		return
	}
	x.emit(AnswerProbe{s.id, m.Prefix})
}

func (x *Exchange) looked(ev Looked) {
	s := x.sessions[ev.Session]
	if s == nil || s.harmony.descent == nil || len(s.harmony.descent.asked) == 0 {
		return
	}
	d := s.harmony.descent
	d.asked = d.asked[1:]
	switch {
	case ev.Err != nil:
		d.more = true
		x.emit(Report{x.id.Device(), ev.Err})
	case len(ev.Theirs.Sums) > 0:
		for i, sum := range ev.Theirs.Sums {
			switch {
			case sum == ev.Ours.Sums[i]:
			case d.probes+len(d.todo) >= maxProbes: // of another device's making, or nothing is the same
				d.more = true
			default:
				d.todo = append(d.todo, append(slices.Clone(ev.Theirs.Prefix), byte(i)))
			}
		}
	default:
		d.differ = append(d.differ, differences(ev.Ours.Leaves, ev.Theirs.Leaves)...)
	}
	x.probe(s)
}

// differences returns the documents of which two lists differ, by id.
func differences(ours, theirs []wire.Leaf) (out []Difference) {
	for len(ours)+len(theirs) > 0 {
		c := 1
		switch {
		case len(theirs) == 0:
			c = -1
		case len(ours) > 0:
			c = bytes.Compare(ours[0].ID[:], theirs[0].ID[:])
		}
		switch {
		case c < 0:
			out, ours = append(out, Difference{ID: ours[0].ID, Here: true}), ours[1:]
		case c > 0:
			out, theirs = append(out, Difference{ID: theirs[0].ID, There: true}), theirs[1:]
		default:
			if ours[0].Hash != theirs[0].Hash {
				out = append(out, Difference{ID: ours[0].ID, Here: true, There: true})
			}
			ours, theirs = ours[1:], theirs[1:]
		}
	}
	return out
}

// takeDiffering asks for the next documents that differ, and ends the descent
// when all have come. One Want is on its way at a time.
func (x *Exchange) takeDiffering(s *session) {
	d := s.harmony.descent
	if len(d.want) == 0 {
		x.endDescent(s)
		return
	}
	n := min(len(d.want), atOnceWanted)
	ids := slices.Clone(d.want[:n])
	slices.SortFunc(ids, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	d.want, d.taking = d.want[n:], true
	s.wanted = append(s.wanted, wanted{differ: ids})
	x.emit(Send{s.id, &wire.Want{IDs: ids}})
}

// took goes on after documents that differed are merged.
func (x *Exchange) took(ev Absorbed) {
	if s := x.sessions[ev.Session]; s != nil && s.harmony.descent != nil && s.harmony.descent.taking {
		s.harmony.descent.taking = false
		x.takeDiffering(s)
	}
}

// endDescent says how a descent has ended, to the host and to the other device. When
// it was of use and has left something out, another one follows.
func (x *Exchange) endDescent(s *session) {
	h, own := &s.harmony, x.print()
	d := h.descent
	h.descent, h.looked = nil, [2]wire.Print{d.heard, own}
	useful := own.Fingerprint != d.begun.Fingerprint
	if !useful {
		h.fruitless++
	}
	if step := x.inStep(s); d.more && useful && step {
		x.emit(Descended{Session: s.id, Device: s.device, Differ: d.differ, More: true})
		x.descend(s)
		return
	} else if step && own != h.told {
		x.tellPrint(s, own)
	} else {
		h.due = h.due || !step
	}
	x.emit(Descended{Session: s.id, Device: s.device, Differ: d.differ})
	for _, nonce := range h.questions {
		x.emit(AnswerCompare{s.id, nonce})
	}
	h.questions = nil
}

// asksCompare has a comparison answered, once this device has taken what it lacks.
func (x *Exchange) asksCompare(s *session, m *wire.Compare) {
	if s.harmony.descent != nil && len(s.harmony.questions) < maxQuestions {
		s.harmony.questions = append(s.harmony.questions, m.Nonce)
		return
	}
	x.emit(AnswerCompare{s.id, m.Nonce})
}

func (x *Exchange) compareAll(nonce [8]byte) {
	for _, s := range x.ordered() {
		if s.known {
			x.emit(Send{s.id, &wire.Compare{Nonce: nonce}})
		}
	}
}

// Hold keeps back what comes of a writer, because its next envelope rests on what the
// host has to get in documents first. The host then aborts the group, calls Wants, and
// Release when it has got them.
func (l *Ledger) Hold(w encryption.WriterID) { l.waits[w] = true }

// Release ends what Hold began, for all writers.
func (l *Ledger) Release() { clear(l.waits) }
