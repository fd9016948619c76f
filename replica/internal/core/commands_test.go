package core

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// command is one word of the language of scenarios.
type command struct {
	name, usage string
	args        int // at least
	do          func(s *scenario, args []string) error
}

func commands() []command {
	return slices.Concat(hostCommands(), streamCommands(), treeCommands())
}

// onHost is a command whose first argument is a host.
func onHost(name, usage string, do func(s *scenario, h *host, args []string) error) command {
	return command{name, "HOST " + usage, 1, func(s *scenario, args []string) error {
		h, err := s.host(args[0])
		if err != nil {
			return err
		}
		return do(s, h, args[1:])
	}}
}

// onStream is a command on what is on its way from one host to another.
func onStream(name, usage string, do func(s *scenario, e *end, args []string) error) command {
	return command{name, "FROM TO " + usage, 2, func(s *scenario, args []string) error {
		e, err := s.end(args[0], args[1])
		if err != nil {
			return err
		}
		return do(s, e, args[2:])
	}}
}

func hostCommands() []command {
	return []command{
		{"hosts", "HOST...", 1, (*scenario).open},
		onHost("learn", "DEVICE", func(s *scenario, h *host, args []string) error {
			h.admit(Admit{Ops: [][]byte{operation(args[0])}})
			return nil
		}),
		onHost("clone", "NAME [noticed]", (*scenario).clone),
		onHost("save", "", func(_ *scenario, h *host, _ []string) error { h.saved = h.disk; return nil }),
		onHost("restore", "[noticed]", func(_ *scenario, h *host, args []string) error {
			h.restore(h.saved, len(args) > 0)
			return nil
		}),
		onHost("write", "[EDITS [BYTES EACH]]", (*scenario).write),
		onHost("group", "", func(_ *scenario, h *host, _ []string) error { h.build(); return nil }),
		onHost("commit", "", func(_ *scenario, h *host, _ []string) error { h.commit(); return nil }),
		onHost("abort", "", func(_ *scenario, h *host, _ []string) error { h.abort(); return nil }),
		onHost("crash", "", func(_ *scenario, h *host, _ []string) error { h.crash(); return nil }),
		onHost("poison", "WRITER", func(_ *scenario, h *host, args []string) error { h.poison = args[0]; return nil }),
		onHost("lose", "WRITER:NUMBER", func(_ *scenario, h *host, args []string) error { h.lost[args[0]] = true; return nil }),
		onHost("compare", "", func(_ *scenario, h *host, _ []string) error {
			h.perform(h.x.Step(CompareAll{Nonce: [8]byte{1}}))
			return nil
		}),
		onHost("show", "", (*scenario).show),
		onHost("rotate", "", (*scenario).rotate),
		onHost("shorten", "[KEEP]", (*scenario).shorten),
		{"offers", "COUNT", 1, (*scenario).offers},
		{"manual", "", 0, func(s *scenario, _ []string) error { s.auto = false; return nil }},
		{"auto", "", 0, func(s *scenario, _ []string) error { s.auto = true; return nil }},
	}
}

func streamCommands() []command {
	return []command{
		{"connect", "HOST HOST", 2, (*scenario).meet},
		{"settle", "", 0, (*scenario).settle},
		onStream("deliver", "[COUNT]", (*scenario).pass),
		onStream("drop", "[INDEX]", (*scenario).lose),
		onStream("repeat", "[INDEX]", (*scenario).repeat),
		onStream("swap", "", func(_ *scenario, e *end, _ []string) error { e.in[0], e.in[1] = e.in[1], e.in[0]; return nil }),
		onStream("cut", "", func(s *scenario, e *end, _ []string) error { e.host.hangUp(e); e.peer.host.hangUp(e.peer); return nil }),
		onStream("queue", "", (*scenario).queue),
		onStream("inject", "hello|frontier|ack|compare|part [WRITER:NUMBER]", (*scenario).inject),
		onStream("forge", "signature|epoch|chain|gap|garbage WRITER [early]", (*scenario).forge),
		onStream("flood", "COUNT BYTES", (*scenario).flood),
	}
}

// open opens hosts that know all that are named.
func (s *scenario) open(args []string) error {
	for _, name := range args {
		s.add(name, identity(name, strings.Join(args, "")), "scenario")
	}
	return nil
}

// rotate begins a new epoch.
func (s *scenario) rotate(h *host, _ []string) error {
	op, record, err := h.id.PrepareEpoch(time.UnixMilli(1_700_000_000_000), h.random)
	if err == nil {
		h.admit(Admit{Ops: [][]byte{op}, Records: [][]byte{record}})
	}
	return err
}

// clone opens a second host on a copy of the first one's disk, as somebody
// does who copies the directory.
func (s *scenario) clone(h *host, args []string) error {
	c := s.add(args[0], h.id, "scenario")
	c.disk, c.random = h.disk, seeded("clone")
	c.open()
	if len(args) > 1 {
		c.renew()
	}
	return nil
}

// shorten drops what all have from the log, or all but the last KEEP envelopes of each
// writer.
func (s *scenario) shorten(h *host, args []string) error {
	keep, err := number(args, 0, 0)
	h.pruning, h.tail = stableLog, uint64(keep)
	if len(args) > 0 {
		h.pruning = cutLog
	}
	return err
}

// offers sets how many envelopes there have to be for a host that has nothing to be
// offered documents.
func (s *scenario) offers(args []string) error {
	n, err := number(args, 0, 0)
	for _, h := range s.hosts {
		h.limits.offerFrom, h.x.limits.offerFrom = uint64(n), uint64(n)
	}
	return err
}

func (s *scenario) write(h *host, args []string) error {
	n, err := number(args, 0, 1)
	if err == nil {
		h.edits += uint64(n)
		h.bulk, err = number(args, 1, 0)
	}
	return err
}

// show prints what a host has and what it knows of the others.
func (s *scenario) show(h *host, _ []string) error {
	line := h.name + ": has"
	for _, w := range h.x.Writers() {
		line += " " + s.entry(w, h.x.Seq(w))
	}
	for _, w := range sortedWriters(h.x.base) {
		line += ", dropped " + s.entry(w, h.x.base[w].Seq)
	}
	for _, w := range sortedWriters(h.x.frozen) {
		line += ", froze " + s.writer(w)
	}
	s.logf("%s", line)
	for _, p := range h.x.Peers() {
		s.logf("%s: %s known=%v caughtUp=%v delivered=%v inflight=%d", h.name, h.ends[p.Session].peer.host.name,
			p.Known, p.CaughtUp, p.Delivered, h.x.sessions[p.Session].inflight)
	}
	for d, n := range h.x.waiting {
		s.logf("%s: holds %d bytes of %s", h.name, n, s.device(d))
	}
	return nil
}

func (s *scenario) meet(args []string) error {
	a, err := s.host(args[0])
	if err != nil {
		return err
	}
	b, err := s.host(args[1])
	if err == nil {
		s.network.connect(a, b)
	}
	return err
}

// settle delivers everything until nothing is on its way.
func (s *scenario) settle([]string) error {
	for range 10_000 {
		i := slices.IndexFunc(s.ends, (*end).waits)
		if i < 0 {
			return nil
		}
		s.network.deliver(s.ends[i])
		s.work()
	}
	return fmt.Errorf("they do not stop")
}

func (s *scenario) pass(e *end, args []string) error {
	n, err := number(args, 0, 1)
	for ; n > 0 && err == nil; n-- {
		if !e.waits() {
			return fmt.Errorf("nothing is on its way")
		}
		s.network.deliver(e)
		s.work()
	}
	return err
}

func (s *scenario) lose(e *end, args []string) error {
	i, err := number(args, 0, 0)
	if err == nil {
		e.in = slices.Delete(slices.Clone(e.in), i, i+1)
	}
	return err
}

func (s *scenario) repeat(e *end, args []string) error {
	i, err := number(args, 0, 0)
	if err == nil {
		e.in = slices.Insert(slices.Clone(e.in), i, e.in[i])
	}
	return err
}

func (s *scenario) queue(e *end, _ []string) error {
	for _, frame := range e.in {
		s.logf("from %s to %s: %s", e.peer.host.name, e.host.name, s.message(decoded(frame)))
	}
	return nil
}

// put puts a message of the test's own on its way to e.
func (s *scenario) put(e *end, m wire.Message) error {
	frame, err := wire.AppendFrame(nil, m)
	e.in = append(e.in, frame)
	return err
}

// inject sends a message that the exchange would not send.
func (s *scenario) inject(e *end, args []string) error {
	var at place
	if len(args) > 1 {
		name, seq, _ := strings.Cut(args[1], ":")
		n, err := strconv.ParseUint(seq, 10, 64)
		if err != nil {
			return err
		}
		at = place{encryption.WriterID{0xff}, n}
		if h, err := s.host(name); err == nil {
			at.writer = h.author.Writer
		}
	}
	switch args[0] {
	case "hello":
		return s.put(e, &wire.Hello{})
	case "frontier":
		m := &wire.Frontier{Members: e.host.x.roster}
		if at.seq > 0 {
			m.Entries = []wire.Entry{{Writer: at.writer, Seq: at.seq, Head: [32]byte{0xba, 0xd0}}}
		}
		return s.put(e, m)
	case "ack":
		return s.put(e, &wire.Ack{Entries: []wire.Acked{{Writer: at.writer, Seq: at.seq}}})
	case "compare":
		return s.put(e, &wire.Compare{})
	case "part":
		return s.put(e, &wire.Part{Packed: packPlaces([]place{at})})
	}
	return fmt.Errorf("inject what?")
}
