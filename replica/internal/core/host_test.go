package core

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// disk is what a host has made durable. It is replaced as a whole, as by a
// transaction, and never changed in place.
type disk struct {
	log           []Entry                                  // in the order in which they were applied, as far as it is kept
	base          map[encryption.WriterID]encryption.Chain // behind which it begins
	docs          documents                                // what was applied
	holds         map[encryption.DeviceID]map[encryption.WriterID]uint64
	common        map[encryption.DeviceID]Common
	chains        map[encryption.WriterID]encryption.Chain
	announced     map[encryption.WriterID]uint64
	edits, sealed uint64  // own edits: made, and put into envelopes
	author        Author  // that the own envelopes are by; the zero one is the first
	since         uint64  // own edits that were sealed before it
	part          *Absorb // of a group: what is in it; nil for none
	changed       bool    // of a group: there is something to write
}

// host does around an exchange what the replica does, by the contract in the
// package comment, on a disk that is a value.
type host struct {
	name     string
	net      *network
	id       *encryption.Identity
	author   Author
	random   io.Reader
	limits   limits
	disk     disk
	lost     map[string]bool // envelopes on the disk that cannot be read, as net.entry names them
	edits    uint64          // that wait for the next group
	perEntry uint64          // edits in one envelope
	perGroup int             // envelopes sealed in one group
	bulk     int             // bytes that each envelope carries for nothing
	poison   string          // the writer whose next envelope cannot be applied
	parts    []Absorb        // that came and are not merged
	pruning  int             // how the log is cut with the next group
	tail     uint64          // envelopes of each writer that are kept when it is
	spoils   int             // parts that it will send broken
	x        *Exchange
	group    *disk // the group in flight: what the disk will be
	saved    disk  // a backup of the directory
	saves    int   // how often it was saved or put back
	unaware  bool  // it was put back, and will hear of it from whomever it meets
	rewound  bool  // it needs a new writer
	renewals int
	ends     map[SessionID]*end
	nextID   SessionID
	compared []*wire.Compared
	prints   bool // it tells the exchange what its documents are like
}

// open begins a lifetime of the process on the disk as it is.
func (h *host) open() {
	if h.disk.author != (Author{}) {
		h.author = h.disk.author
	}
	h.disk.author = h.author
	ledger := NewLedger(h.id, h.disk.chains, h.disk.announced)
	ledger.limits = h.limits
	ledger.Pruned(h.disk.base)
	for d, holds := range h.disk.holds {
		ledger.Remember(d, holds)
	}
	for d, c := range h.disk.common {
		ledger.RememberCommon(d, c)
	}
	h.x = New(h.id, ledger, h.author)
	h.rewound, h.group, h.edits, h.ends = false, nil, 0, map[SessionID]*end{}
	h.parts, h.pruning = nil, keepLog
	h.x.SetBacklog(h.backlog())
	h.setPrint()
}

func (h *host) backlog() bool { return h.disk.sealed < h.disk.edits }

func (h *host) hasWork() bool {
	return h.group == nil && (h.rewound || h.edits > 0 || len(h.parts) > 0 || h.pruning != keepLog || h.x.Greeted() && h.backlog() || h.x.Ready())
}

// build begins a group: own edits, what the exchange admits, and own
// envelopes if somebody is there to take them.
func (h *host) build() {
	if h.rewound {
		h.renew()
	}
	g := h.disk
	g.log, g.chains = slices.Clone(g.log), maps.Clone(g.chains)
	if g.chains == nil {
		g.chains = map[encryption.WriterID]encryption.Chain{}
	}
	g.edits, g.changed, g.part = g.edits+h.edits, h.edits > 0, nil
	if err := h.absorb(&g); err != nil {
		h.perform(h.x.Step(Absorbed{Session: g.part.Session, Device: g.part.Device, Differ: g.part.Differ != nil, Err: err}))
		h.abort()
		return
	}
	for a := h.x.Next(); a != nil; a = h.x.Next() {
		if h.net.writer(a.Content.Writer) == h.poison {
			h.poison = ""
			h.x.Refuse(a.Content.Writer, errPoison)
			h.abort()
			return
		}
		h.keep(&g, a, "apply")
	}
	for n := 0; h.x.Greeted() && g.sealed < g.edits && n < h.perGroup; n++ {
		last := min(g.edits, g.sealed+h.perEntry)
		a, err := h.x.Seal(h.random, batch(g.sealed+1, last, h.bulk))
		if err != nil {
			panic(err)
		}
		g.sealed = last
		h.keep(&g, a, "seal")
	}
	h.prune(&g)
	h.perform(h.x.Step(nil))
	if !g.changed {
		h.absorbed(&g)
		return
	}
	g.announced, g.holds = h.x.Announced(), maps.Clone(g.holds)
	if g.holds == nil {
		g.holds = map[encryption.DeviceID]map[encryption.WriterID]uint64{}
	}
	maps.Copy(g.holds, h.x.News())
	if g.common = maps.Clone(g.common); g.common == nil {
		g.common = map[encryption.DeviceID]Common{}
	}
	for d, c := range h.x.CommonNews() {
		if delete(g.common, d); c != nil {
			g.common[d] = *c
		}
	}
	h.edits, h.group = 0, &g
}

// absorbed says that the part of a group is durable.
func (h *host) absorbed(g *disk) {
	if g.part != nil {
		h.perform(h.x.Step(Absorbed{Session: g.part.Session, Device: g.part.Device, Mended: g.part.Mended, Differ: g.part.Differ != nil}))
	}
}

// renew makes the host another writer. Own edits that are not sealed go with it.
func (h *host) renew() {
	h.renewals++
	nonce := sha256.Sum256(fmt.Append(nil, h.name, h.renewals))
	h.author.Nonce = [16]byte(nonce[:])
	h.author.Writer = encryption.WriterFor(h.id.Device(), h.author.Nonce)
	h.net.names[h.author.Writer] = h.name + strings.Repeat("'", h.renewals)
	h.disk.author, h.disk.since, h.disk.announced = h.author, h.disk.sealed, nil
	h.rewound, h.unaware = false, false
	h.net.logf("%s: writes as %s", h.name, h.net.writer(h.author.Writer))
	h.x.Renew(h.author)
}

// restore puts a backup of the directory back. If that is noticed at the start,
// the host becomes another writer at once.
func (h *host) restore(from disk, noticed bool) {
	h.disk = from
	h.crash()
	if noticed {
		h.renew()
	}
}

func (h *host) keep(g *disk, a *Admitted, verb string) {
	h.net.logf("%s: %s %s", h.name, verb, h.net.content(a.Content))
	h.net.check.staged(h, g, a)
	g.log = append(g.log, Entry{Writer: a.Content.Writer, Seq: a.Content.Seq, Raw: a.Raw})
	g.chains[a.Content.Writer] = a.Chain
	g.docs, g.changed = g.docs.add(place{a.Content.Writer, a.Content.Seq}), true
}

// batch is what an envelope carries here: the numbers of its first and last
// edit, and filling.
func batch(first, last uint64, bulk int) []byte {
	b := binary.BigEndian.AppendUint64(nil, first)
	b = binary.BigEndian.AppendUint64(b, last)
	return append(b, make([]byte, bulk)...)
}

func editsIn(batch []byte) (first, last uint64) {
	return binary.BigEndian.Uint64(batch), binary.BigEndian.Uint64(batch[8:])
}

// commit says that the group in flight is durable.
func (h *host) commit() {
	if h.group == nil {
		h.net.logf("%s: nothing to commit", h.name)
		return
	}
	h.net.check.committed(h, h.group)
	g := h.group
	h.disk, h.group = *g, nil
	h.setPrint()
	h.net.logf("%s: commit", h.name)
	h.perform(h.x.Step(Committed{}))
	h.absorbed(g)
	h.perform(h.x.SetBacklog(h.backlog()))
}

// abort says that the group in flight was not written. Its edits are lost,
// and their callers know it.
func (h *host) abort() {
	h.group, h.parts = nil, nil
	h.net.logf("%s: abort", h.name)
	h.perform(h.x.Step(Aborted{}))
}

func (h *host) perform(effects []Effect) {
	for _, e := range effects {
		h.net.logf("%s: %s", h.name, h.net.effect(h, e))
		h.net.check.effect(h, e)
		switch e := e.(type) {
		case Send:
			h.send(e.Session, e.Message)
		case Load:
			h.perform(h.x.Step(h.load(e)))
		case Admit:
			h.admit(e)
		case Disconnect:
			h.hangUp(h.ends[e.Session])
		case Rewound:
			h.rewound = true
		case AnswerCompare:
			m := &wire.Compared{Nonce: e.Nonce, Digest: h.x.Digest(), Fingerprint: h.fingerprint()}
			h.net.logf("%s: answer %s", h.name, h.net.message(m))
			h.send(e.Session, m)
		case Serve:
			h.serve(e)
		case Absorb:
			h.parts = append(h.parts, e)
		case AnswerProbe:
			h.send(e.Session, h.branch(e.Prefix))
		case Look:
			h.perform(h.x.Step(Looked{Session: e.Session, Theirs: e.Theirs, Ours: h.branch(e.Theirs.Prefix)}))
		case PeerCompared:
			h.compared = append(h.compared, e.Answer)
		}
	}
}

func (h *host) send(id SessionID, m wire.Message) {
	e := h.ends[id]
	if e == nil || e.peer.closed {
		return
	}
	frame, err := wire.AppendFrame(nil, m)
	if err != nil {
		panic(err)
	}
	e.peer.in = append(e.peer.in, frame)
	if frame, err = e.framer.Append(nil, m); err != nil {
		panic(err)
	}
	e.bytes += len(frame)
	h.net.sum.Write(frame)
}

// load reads envelopes as a Load asks for, in the order that Foremost says.
func (h *host) load(l Load) Loaded {
	out := Loaded{Session: l.Session}
	var heads []Head
	for _, f := range l.From {
		heads = append(heads, Head{Writer: f.Writer, Seq: f.Seq})
	}
	for size := 0; size < l.Bytes; {
		heads = slices.DeleteFunc(heads, func(head Head) bool { return h.read(&head, &out) == nil })
		for i := range heads {
			h.read(&heads[i], &out)
		}
		if len(heads) == 0 {
			break
		}
		first := &heads[Foremost(heads)]
		raw := h.read(first, &out)
		out.Entries = append(out.Entries, Entry{Writer: first.Writer, Seq: first.Seq, Raw: raw})
		size += len(raw)
		first.Seq++
	}
	return out
}

// read fills in what is known of an envelope in the log, and returns it; nil if there
// is none, or it cannot be read.
func (h *host) read(head *Head, out *Loaded) []byte {
	i := slices.IndexFunc(h.disk.log, func(e Entry) bool { return e.Writer == head.Writer && e.Seq == head.Seq })
	if i < 0 {
		return nil
	}
	if h.lost[h.net.entry(head.Writer, head.Seq)] {
		out.Missing = append(out.Missing, head.Writer)
		return nil
	}
	raw := h.disk.log[i].Raw
	u, err := h.id.OpenEnvelope(raw)
	if err != nil {
		panic(err)
	}
	head.Arrival, head.Deps = uint64(i), u.Deps
	return raw
}

// admit takes membership operations and epoch records, durably.
func (h *host) admit(e Admit) {
	added, err := h.id.Admit(e.Ops...)
	records, epochErr := h.id.AdmitEpochs(e.Records...)
	if err := errors.Join(err, epochErr); err != nil {
		h.net.logf("%s: membership refused: %v", h.name, err)
	}
	var raws [][]byte
	for _, op := range added {
		raws = append(raws, op.Raw)
	}
	h.perform(h.x.Step(MembersAdded{Ops: raws, Records: records}))
}

// hangUp closes the host's end of a stream, if it is open.
func (h *host) hangUp(e *end) {
	if e == nil || e.closed {
		return
	}
	e.closed, e.in = true, nil
	h.net.check.severed(e)
	delete(h.ends, e.id)
	h.perform(h.x.Step(Disconnected{Session: e.id}))
}

// crash ends the process: what is not on the disk is gone.
func (h *host) crash() {
	for _, id := range slices.Sorted(maps.Keys(h.ends)) {
		h.ends[id].closed, h.ends[id].in = true, nil
	}
	h.net.logf("%s: crash", h.name)
	h.open()
}
