package core

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

var errPoison = errors.New("does not apply")

// network is some hosts, the streams between them, and a record of all that
// happened.
type network struct {
	hosts []*host
	ends  []*end // of every stream there was
	check checker
	trace strings.Builder
	sum   hash.Hash // of every frame that was sent
	names map[encryption.WriterID]string
}

// checker sees what the hosts do.
type checker interface {
	staged(h *host, g *disk, a *Admitted) // before it is added to g
	committed(h *host, g *disk)           // before g is the disk
	effect(h *host, e Effect)             // before it is performed
	adopted(h *host, g *disk, a Adopted)  // before the chain is that of g
	pruned(h *host, w encryption.WriterID, to uint64)
	severed(e *end) // before its host is told
}

// unchecked is for the scenarios, whose record is the check.
type unchecked struct{}

func (unchecked) staged(*host, *disk, *Admitted) {}
func (unchecked) committed(*host, *disk)         {}
func (unchecked) effect(*host, Effect)           {}
func (unchecked) adopted(*host, *disk, Adopted)  {}

func (unchecked) pruned(*host, encryption.WriterID, uint64) {}
func (unchecked) severed(*end)                              {}

// end is one host's end of a stream.
type end struct {
	host   *host
	id     SessionID
	peer   *end
	in     [][]byte // frames on their way to it
	closed bool
	bytes  int // sent from it
	framer wire.Framer
	opened disk // of the host, when the stream began
}

func newNetwork() *network {
	return &network{check: unchecked{}, sum: sha256.New(), names: map[encryption.WriterID]string{}}
}

// add opens a host on an empty disk.
func (n *network) add(name string, id *encryption.Identity, nonce string) *host {
	h := &host{
		name: name, net: n, id: id, random: seeded("envelopes of " + name),
		limits: defaultLimits(), lost: map[string]bool{},
		perEntry: 1, perGroup: 4,
	}
	copy(h.author.Nonce[:], nonce)
	h.author.Device, h.author.Writer = id.Device(), encryption.WriterFor(id.Device(), h.author.Nonce)
	if n.names[h.author.Writer] == "" {
		n.names[h.author.Writer] = name
	}
	n.hosts = append(n.hosts, h)
	h.open()
	return h
}

// connect opens a stream between two hosts.
func (n *network) connect(a, b *host) (x, y *end) {
	x, y = &end{host: a}, &end{host: b}
	x.peer, y.peer = y, x
	n.ends = append(n.ends, x, y)
	for _, e := range []*end{x, y} {
		e.host.nextID++
		e.id = e.host.nextID
		e.host.ends[e.id], e.opened = e, e.host.disk
	}
	for _, e := range []*end{x, y} {
		e.host.perform(e.host.x.Step(Connected{Session: e.id, Device: e.peer.host.id.Device()}))
	}
	return x, y
}

// waits says whether something is on its way to e: a frame, or the end.
func (e *end) waits() bool { return !e.closed && (len(e.in) > 0 || e.peer.closed) }

// deliver hands the next frame of e to its host, or the end of the stream.
func (n *network) deliver(e *end) {
	if len(e.in) == 0 {
		n.logf("%s: end of stream from %s", e.host.name, e.peer.host.name)
		e.host.hangUp(e)
		return
	}
	frame := e.in[0]
	e.in = e.in[1:]
	m := decoded(frame)
	n.logf("%s: got %s from %s", e.host.name, n.message(m), e.peer.host.name)
	e.host.perform(e.host.x.Step(Received{Session: e.id, Message: m}))
}

// decoded reads a frame, which here is always one that wire wrote.
func decoded(frame []byte) wire.Message {
	m, err := wire.NewReader(bytes.NewReader(frame)).Read()
	if err != nil {
		panic(err)
	}
	return m
}

func (n *network) logf(format string, args ...any) {
	fmt.Fprintf(&n.trace, format+"\n", args...)
}

func (n *network) writer(w encryption.WriterID) string {
	if name := n.names[w]; name != "" {
		return name
	}
	return "unknown writer"
}

func (n *network) entry(w encryption.WriterID, seq uint64) string {
	return fmt.Sprintf("%s:%d", n.writer(w), seq)
}

// device names a device by the first host that is it.
func (n *network) device(d encryption.DeviceID) string {
	i := slices.IndexFunc(n.hosts, func(h *host) bool { return h.id.Device() == d })
	if i < 0 {
		return "unknown device"
	}
	return n.hosts[i].name
}

// plain writes names for the ids in an error.
func (n *network) plain(err error) string {
	s := err.Error()
	for _, w := range sortedWriters(n.names) {
		name := n.names[w]
		s = strings.ReplaceAll(s, w.String(), name)
		s = strings.ReplaceAll(s, fmt.Sprintf("%x", w[:4]), name)
	}
	for _, h := range n.hosts {
		s = strings.ReplaceAll(s, h.id.Device().String(), h.name)
	}
	return s
}

func (n *network) effect(h *host, e Effect) string {
	to := func(id SessionID) string {
		if e := h.ends[id]; e != nil {
			return e.peer.host.name
		}
		return "nobody"
	}
	switch e := e.(type) {
	case Send:
		return "send " + to(e.Session) + " " + n.message(e.Message)
	case Load:
		return "load for " + to(e.Session) + n.places(e.From)
	case Admit:
		if len(e.Records) > 0 {
			return fmt.Sprintf("admit %d epochs of %s", len(e.Records), to(e.Session))
		}
		return fmt.Sprintf("admit %d operations of %s", len(e.Ops), to(e.Session))
	case HandOn:
		return "hand on an epoch to " + n.device(e.Device)
	case Disconnect:
		return "disconnect " + to(e.Session) + ": " + n.plain(e.Reason)
	case Report:
		return "report " + n.device(e.Device) + ": " + n.plain(e.Err)
	case Rewound:
		return "rewound by " + n.device(e.Device) + ": " + n.plain(e.Err)
	case Progress:
		return "progress " + to(e.Session)
	case AnswerCompare:
		return "asked to compare by " + to(e.Session)
	case PeerCompared:
		return "compared with " + to(e.Session)
	case Serve:
		return "asked by " + to(e.Session) + " for " + n.message(e.Want)
	case Absorb:
		s := "absorb"
		if e.Mended {
			s = "mend with"
		}
		if e.Differ != nil {
			s = "join with"
		}
		return s + n.documents(e.Packed) + " of " + n.device(e.Device) + n.chains(offerOf(e.Chains), " up to")
	}
	return n.treeEffect(e, to)
}

func (n *network) message(m wire.Message) string {
	switch m := m.(type) {
	case *wire.Hello:
		if m.Backlog {
			return "hello with backlog"
		}
		return "hello"
	case *wire.Resume:
		s := n.message(&m.Hello) + " with"
		for _, e := range m.Entries {
			s += " " + n.entry(e.Writer, e.Seq)
		}
		if len(m.Entries) == 0 {
			s += " nothing"
		}
		if len(m.Members) > 0 {
			s += " and another roster"
		}
		return s
	case *wire.Frontier:
		s := "frontier"
		for _, e := range m.Entries {
			s += " " + n.entry(e.Writer, e.Seq)
		}
		return s
	case *wire.Members:
		return fmt.Sprintf("members %d", len(m.Ops))
	case *wire.Epochs:
		return fmt.Sprintf("epochs %d", len(m.Records))
	case *wire.Envelope:
		return "envelope " + n.envelope(m.Raw)
	case *wire.Ack:
		return "ack" + n.places(m.Entries)
	case *wire.Locked:
		return "locked"
	case *wire.Decline:
		return "decline " + n.writer(m.Writer)
	case *wire.Neighbours:
		return fmt.Sprintf("neighbours %d", len(m.Devices))
	case *wire.Offer:
		return "offer" + n.chains(m, "")
	case *wire.Want:
		if len(m.IDs) == 0 {
			return fmt.Sprintf("want after document %d", m.After[0])
		}
		s := "want document"
		for _, id := range m.IDs {
			s += fmt.Sprintf(" %d", id[0])
		}
		return s
	case *wire.Part:
		if m.More {
			return fmt.Sprintf("part to %d of", m.Last[0]) + n.documents(m.Packed)
		}
		return fmt.Sprintf("last part to %d of", m.Last[0]) + n.documents(m.Packed)
	case *wire.Compare:
		return "compare"
	case *wire.Compared:
		return "compared"
	}
	return n.treeMessage(m)
}

func (n *network) chains(m *wire.Offer, lead string) (s string) {
	for _, c := range m.Chains {
		s, lead = s+lead+" "+n.entry(c.Writer, c.Seq), ""
	}
	return s
}

func (n *network) documents(packed []byte) (s string) {
	places, err := unpackPlaces(packed)
	if err != nil {
		return " garbage"
	}
	for _, p := range places {
		s += " " + n.entry(p.writer, p.seq)
	}
	return s
}

func (n *network) places(entries []wire.Acked) string {
	if len(entries) == 0 {
		return " of nothing"
	}
	s := ""
	for _, e := range entries {
		s += " " + n.entry(e.Writer, e.Seq)
	}
	return s
}

// envelope says what is in an envelope, with the key of the first host.
func (n *network) envelope(raw []byte) string {
	u, err := n.hosts[0].id.OpenEnvelope(raw)
	if err != nil {
		return "that " + n.hosts[0].name + " cannot open"
	}
	return n.deps(n.entry(u.Writer, u.Seq), u.Deps)
}

func (n *network) content(c *encryption.Content) string {
	return n.deps(n.entry(c.Writer, c.Seq), c.Deps)
}

func (n *network) deps(s string, deps []encryption.Dep) string {
	for i, d := range deps {
		if i == 0 {
			s += " after"
		}
		s += " " + n.entry(d.Writer, d.Seq)
	}
	return s
}
