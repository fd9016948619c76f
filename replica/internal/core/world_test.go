package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/starling-sync/starling/replica/internal/wire"
)

// maxWorldEnvelope is the size of the largest envelope in a world, and the
// limits are so tight that a few fill them.
const maxWorldEnvelope = 1024

func worldLimits() limits {
	return limits{window: 1500, load: 600, buffered: 6000, flight: 600, offerFrom: 6}
}

// world is a network of honest hosts in which anything happens that the
// numbers given to step choose.
type world struct {
	*network
	safety  *safety
	liar    *host // tells lies beside what it does as the others do; nil if all are honest
	repeats int   // envelopes that a stream carried twice
	lies    int
	backups bool
	shorten bool
	prints  bool
}

// kind is which world it is.
type kind struct {
	hosts   int
	knowAll bool // unless, each knows those that joined before it, and the others by and by
	liar    bool // the last host lies
	backups bool // directories are saved and put back
	shorten bool // logs are cut, and hosts join late
	prints  bool // hosts compare their documents
}

func newWorld(k kind) *world {
	w := &world{network: newNetwork(), backups: k.backups, shorten: k.shorten, prints: k.prints}
	w.safety = newSafety(w.network)
	w.check = w.safety
	for _, c := range names[:k.hosts] {
		knows := ""
		if k.knowAll {
			knows = names[:k.hosts]
		}
		w.enter(string(c), knows)
	}
	if k.liar {
		w.liar = w.hosts[k.hosts-1]
		w.safety.liar = w.liar
	}
	return w
}

// enter opens a new host.
func (w *world) enter(name, knows string) {
	h := w.add(name, identity(name, knows), "world")
	h.limits, h.perEntry, h.perGroup, h.tail, h.prints = worldLimits(), 2, 2, 1, w.prints
	h.open()
}

// run replays a world.
func run(k kind, ops []uint16) *world {
	w := newWorld(k)
	for _, op := range ops {
		w.step(op)
	}
	w.settle()
	return w
}

// runSeed makes a world out of a seed.
func runSeed(seed uint64) *world {
	k, ops := seededWorld(seed)
	return run(k, ops)
}

func seededWorld(seed uint64) (kind, []uint16) {
	r := rand.New(rand.NewPCG(seed, 0))
	ops := make([]uint16, 100+r.IntN(400))
	for i := range ops {
		ops[i] = uint16(r.Uint32())
	}
	k := kind{hosts: 2 + r.IntN(4), knowAll: r.IntN(2) == 0}
	k.liar = k.hosts > 2 && r.IntN(2) == 0
	k.backups = r.IntN(2) == 0
	k.shorten = r.IntN(3) > 0
	return k, ops
}

// step does one thing that can happen now.
func (w *world) step(op uint16) {
	kind, arg := op%32, int(op/32)
	switch {
	case kind < 2 && w.liar != nil:
		pick(arg/16, w.lied(), func(e *end) { w.lie(e, arg) })
	case kind < 10:
		pick(arg, w.waiting(), w.deliver)
	case kind < 14:
		pick(arg, w.hosts, func(h *host) { h.edits += 1 + uint64(arg/8%3) })
	case kind < 18:
		pick(arg, w.where((*host).hasWork), (*host).build)
	case kind < 22:
		pick(arg, w.where((*host).flying), (*host).commit)
	case kind == 22:
		pick(arg, w.where((*host).flying), (*host).abort)
	case kind < 26:
		pick(arg, w.pairs(), func(p [2]*host) { w.meet(p[0], p[1]) })
	case kind == 26:
		pick(arg, w.open(), func(e *end) { w.cut(e, arg/16) })
	case kind == 27 && w.backups && arg/8%3 > 0:
		pick(arg, w.hosts, func(h *host) { w.backup(h, arg/8%3 > 1) })
	case kind == 27:
		pick(arg, w.hosts, w.kill)
	case (kind == 28 || kind == 29) && w.shorten && arg%8 > 0:
		w.reshape(arg%8, arg/8)
	case kind == 28:
		pick(arg, w.hosts, func(h *host) { h.admit(Admit{Ops: made.ops[:1+arg/8%len(w.hosts)]}) })
	case kind == 29 && arg%2 == 0:
		pick(arg/2, w.hosts, func(h *host) { h.perform(h.x.Step(Tick{})) })
	case kind == 29:
		pick(arg, w.hosts, func(h *host) { h.perform(h.x.Step(CompareAll{Nonce: [8]byte{1}})) })
	case kind == 30:
		pick(arg, w.hosts, func(h *host) { h.bulk = arg / 8 % 3 * 250 })
		pick(arg/4, w.waiting(), w.disorder)
	default:
		pick(arg, w.waiting(), func(e *end) {
			for e.waits() {
				w.deliver(e)
			}
		})
	}
	w.safety.invariants()
}

func pick[T any](arg int, from []T, do func(T)) {
	if len(from) > 0 {
		do(from[arg%len(from)])
	}
}

func (h *host) flying() bool { return h.group != nil }

func (w *world) where(is func(*host) bool) []*host {
	return slices.DeleteFunc(slices.Clone(w.hosts), func(h *host) bool { return !is(h) })
}

func (w *world) waiting() []*end {
	return slices.DeleteFunc(slices.Clone(w.ends), func(e *end) bool { return !e.waits() })
}

func (w *world) open() []*end {
	return slices.DeleteFunc(slices.Clone(w.ends), func(e *end) bool { return e.closed })
}

// pairs returns who may open a stream. Two hosts may have two.
func (w *world) pairs() [][2]*host {
	var out [][2]*host
	for i, a := range w.hosts {
		for _, b := range w.hosts[i+1:] {
			if w.streams(a, b) < 2 {
				out = append(out, [2]*host{a, b})
			}
		}
	}
	return out
}

func (w *world) streams(a, b *host) int {
	n := 0
	for _, e := range a.ends {
		if e.peer.host == b {
			n++
		}
	}
	return n
}

// meet opens a stream. The hello below has told each side of the members
// that it did not know.
func (w *world) meet(a, b *host) {
	opsA, opsB := a.id.Ops(), b.id.Ops()
	a.admit(Admit{Ops: opsB})
	b.admit(Admit{Ops: opsA})
	w.logf("connect %s %s", a.name, b.name)
	w.connect(a, b)
}

// cut closes one end. The other still gets what is on its way, or a part.
func (w *world) cut(e *end, lose int) {
	w.logf("cut %s from %s", e.host.name, e.peer.host.name)
	if in := e.peer.in; len(in) > 0 {
		e.peer.in = in[:len(in)-lose%(len(in)+1)]
	}
	e.host.hangUp(e)
}

// disorder repeats the first envelope on its way to e behind the second,
// and lets the second go first, if they are next.
func (w *world) disorder(e *end) {
	if len(e.in) > 1 && isEnvelope(e.in[0]) && isEnvelope(e.in[1]) {
		e.in = slices.Insert(slices.Clone(e.in), 0, e.in[1])
		w.repeats++
	}
}

func isEnvelope(frame []byte) bool { return decoded(frame).Type() == wire.TypeEnvelope }

func (w *world) kill(h *host) {
	if h.group != nil {
		w.safety.seen["crash with a group in flight"]++
	}
	h.crash()
}

// settle ends all faults, joins the hosts to a ring and waits until nothing
// happens any more. Then all must have all, know it, and be silent.
func (w *world) settle() {
	w.logf("settle")
	w.quiet()
	honest := w.hosts
	if w.liar != nil {
		w.liar.crash()
		honest = slices.DeleteFunc(slices.Clone(honest), func(h *host) bool { return h == w.liar })
	}
	for i, h := range honest {
		if next := honest[(i+1)%len(honest)]; h != next && w.streams(h, next) == 0 {
			w.meet(h, next)
		}
	}
	w.quiet()
	for _, h := range honest {
		w.settled(h, honest)
	}
}

// quiet lets the hosts work until there is nothing to do, which must come
// to an end: each envelope goes over each stream once, with an
// acknowledgement, and the rest is a few messages a stream.
func (w *world) quiet() {
	bound := 2*w.repeats + 4*w.lies
	for range w.open() {
		bound += 20 + 4*len(names) + 8*worldDocs + patience
	}
	for _, h := range w.hosts {
		bound += (3*int(h.edits+h.disk.edits) + 4) * (2 + len(w.open()))
	}
	if w.backups { // edits are counted anew, and envelopes of them are there
		for _, h := range w.hosts {
			bound += 3 * int(h.x.total()) * (2 + len(w.open()))
		}
	}
	for n := 0; w.busy(); n++ {
		w.safety.invariants()
		if n > bound {
			w.safety.breach("not quiet after %d steps", n)
		}
		if w.safety.broken != "" {
			return
		}
	}
}

// busy does the next thing, and says whether there was one.
func (w *world) busy() bool {
	for _, h := range w.hosts {
		if h.hasWork() {
			h.build()
		}
		if h.group != nil {
			h.commit()
			return true
		}
	}
	ends := w.waiting()
	pick(0, ends, w.deliver)
	return len(ends) > 0 || w.tick()
}

// tick makes time pass where somebody waits for it, as its contract says, and says
// whether there is such a host.
func (w *world) tick() bool {
	leaving := w.where(func(h *host) bool { return h.x.Leaves() })
	for _, h := range leaving {
		w.safety.seen["left until a tick"]++
		h.perform(h.x.Step(Tick{}))
	}
	return len(leaving) > 0
}

func (w *world) settled(h *host, honest []*host) {
	s, first := w.safety, honest[0]
	if h.x.Digest() != first.x.Digest() {
		s.breach("%s and %s are not equal in the end", h.name, first.name)
	}
	s.ended(h)
	for _, author := range honest {
		if got := s.lastEdit(h, author); got != author.disk.edits {
			s.breach("%s has %d of %d edits of %s", h.name, got, author.disk.edits, author.name)
		}
	}
	for _, p := range h.x.Peers() {
		if !p.Known || !p.CaughtUp || !p.Delivered {
			s.breach("%s is not in sync with %s in the end: %+v", h.name, h.ends[p.Session].peer.host.name, p)
		}
	}
	for _, ss := range h.x.ordered() {
		if ss.inflight != 0 || len(ss.unacked)+len(ss.due) != 0 {
			s.breach("%s waits for an acknowledgement in the end", h.name)
		}
	}
	if len(h.x.staged) != 0 || w.liar == nil && w.awaited(h) {
		s.breach("%s still holds envelopes in the end", h.name)
	}
	if out := slices.Concat(h.x.Step(nil), h.x.Step(Committed{}), h.x.SetBacklog(false)); slices.ContainsFunc(out, speaks) {
		s.breach("%s is not silent in the end", h.name)
	}
}

// speaks says whether an effect is seen by others.
func speaks(e Effect) bool { _, progress := e.(Progress); return !progress }

// report is what is printed of a world that broke.
func (w *world) report(seed any) string {
	lines := strings.Split(strings.TrimSpace(w.trace.String()), "\n")
	if len(lines) > 60 {
		lines = lines[len(lines)-60:]
	}
	return fmt.Sprintf("world %v: %s\n... %s", seed, w.safety.broken, strings.Join(lines, "\n"))
}
