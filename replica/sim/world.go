package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"time"

	"github.com/starling-sync/starling/replica/internal/hand"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// tightWindow is the window of worlds whose limits are tight, in bytes.
const tightWindow = 2 << 10

// shortLogs are the limits of worlds in which logs are dropped and documents sent.
var shortLogs = hand.Limits{Keep: 4, Most: 10, Tail: 3, Every: 2, OfferFrom: 6, Part: 200, Tails: 100}

// plan is what kind of world it is, drawn from the seed.
type plan struct {
	devices     int
	allKnown    bool // all have met before the world begins
	wrongClocks bool
	rollbacks   bool // directories are put back to an older state
	membership  bool // devices are added and removed
	tight       bool // windows are small
	short       bool // logs are
	hostile     bool // one of the members is
	copies      bool // a directory is copied, and both are used
	faults      time.Duration
	pause       time.Duration // mean, between two edits of one device
	delay       time.Duration // mean latency
	disk        time.Duration // mean time of a commit
}

func drawPlan(r *rand.Rand) plan {
	p := plan{
		devices:     2 + min(r.IntN(3), r.IntN(3)),
		allKnown:    r.IntN(4) > 0,
		wrongClocks: r.IntN(3) == 0,
		rollbacks:   r.IntN(3) == 0,
		membership:  r.IntN(3) == 0,
		tight:       r.IntN(3) == 0,
		faults:      time.Duration(3+r.IntN(6)) * time.Second,
		delay:       []time.Duration{time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond}[r.IntN(3)],
		disk:        []time.Duration{time.Millisecond, 10 * time.Millisecond, 150 * time.Millisecond}[r.IntN(3)],
	}
	if r.IntN(8) == 0 {
		p.devices += 1 + r.IntN(2)
	}
	p.short = r.IntN(3) == 0
	p.copies = r.IntN(6) == 0
	if p.hostile = r.IntN(6) == 0; p.hostile {
		p.devices, p.membership, p.rollbacks, p.copies = max(p.devices, 3), false, false, false
		p.short = false // a document that was forked spoils every snapshot, which is not mended yet
	}
	p.pause = p.faults * time.Duration(p.devices) / time.Duration(4+r.IntN(10))
	return p
}

// world is some devices of one account, the network between them, and all that
// happens to them, in virtual time.
type world struct {
	queue
	seed    uint64
	plan    plan
	now     time.Duration // since the beginning
	skipped time.Duration // that went by while nothing happened
	devices []*device
	apart   map[[2]int]bool // pairs between which nothing goes
	healing bool            // faults are over
	slow    bool            // disks are
	turn    bool            // of those who came later to call those who came before
	still   int             // how often in a row all were found equal
	calm    bool            // all are equal and wait for nothing

	draw    draws
	bytes   io.Reader // of hellos and joiners
	hostile *device   // nil for none
	said    int       // bytes between honest devices
	copies  int       // devices that run beside the one whose directory they are a copy of
	marks   int       // edits by which it is known whether anything was lost
	checks  checks
	result  *Result
	sum     hash.Hash
	trace   io.Writer // nil: nobody reads it
}

// draws are the sources of what happens, each for one thing alone.
type draws struct{ plan, net, disk, user, fault, hostile *rand.Rand }

func newWorld(seed uint64, trace io.Writer) *world {
	w := &world{
		seed: seed, apart: map[[2]int]bool{}, bytes: seededBy(seed, "bytes"),
		draw: draws{
			drawing(seed, "plan"), drawing(seed, "network"), drawing(seed, "disk"),
			drawing(seed, "user"), drawing(seed, "faults"), drawing(seed, "hostile"),
		},
		result: &Result{Seed: seed}, sum: sha256.New(), trace: trace,
	}
	w.plan = drawPlan(w.draw.plan)
	w.checks.begin(w)
	return w
}

// at plans an event.
func (w *world) at(t time.Duration, do func()) { w.queue.plan(max(t, w.now), do) }

// later plans an event.
func (w *world) later(d time.Duration, do func()) { w.at(w.now+d, do) }

// run lets happen what is planned before an instant, or until until says so.
func (w *world) run(end time.Duration, until func() bool) {
	for w.Len() > 0 && w.queue.events[0].at <= end && w.result.Failure == "" && !until() {
		e := w.pop()
		w.now = e.at
		w.result.Events++
		e.do()
	}
	if w.result.Failure == "" && !until() {
		w.now = max(w.now, end)
	}
}

func never() bool { return false }

// around draws a duration of which the mean is about d.
func around(r *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(r.ExpFloat64()*float64(d)) + 1
}

func (w *world) latency() time.Duration { return around(w.draw.net, w.plan.delay) }

func (w *world) diskDelay() time.Duration {
	if w.slow {
		return around(w.draw.disk, time.Second)
	}
	return around(w.draw.disk, w.plan.disk)
}

// noticeDelay is how long a group is on the disk before the replica knows.
func (w *world) noticeDelay() time.Duration {
	if w.draw.disk.IntN(4) > 0 {
		return 0
	}
	return around(w.draw.disk, w.plan.disk)
}

// wrongBy draws how wrong a clock is.
func (w *world) wrongBy() time.Duration {
	const years10 = 10 * 365 * 24 * time.Hour
	n := []time.Duration{time.Minute, 24 * time.Hour, years10}[w.draw.plan.IntN(3)]
	return time.Duration(w.draw.plan.Int64N(int64(2*n))) - n
}

func (w *world) reachable(a, b *device) bool {
	return a != b && !w.apart[[2]int{min(a.n, b.n), max(a.n, b.n)}]
}

// running returns the devices with a process.
func (w *world) running() []*device { return w.those((*device).up) }

func (w *world) those(is func(*device) bool) []*device {
	var out []*device
	for _, d := range w.devices {
		if is(d) {
			out = append(out, d)
		}
	}
	return out
}

// pick draws one, the zero value of nothing.
func pick[T any](r *rand.Rand, from []T) (one T) {
	if len(from) == 0 {
		return one
	}
	return from[r.IntN(len(from))]
}

// fail notes the first thing that must not be, which ends the world.
func (w *world) fail(format string, args ...any) {
	if w.result.Failure == "" {
		w.result.Failure = fmt.Sprintf(format, args...)
		w.tracef("FAILED: %s", w.result.Failure)
	}
}

// event makes something that happened part of the course of the world.
func (w *world) event(what string, devices ...*device) {
	w.hash([]byte(what))
	for _, d := range devices {
		w.hash([]byte{byte(d.n)})
	}
	if w.tracing() {
		for _, d := range devices {
			what = d.name + " " + what
		}
		w.tracef("%s", what)
	}
}

// hash makes bytes, and when they came about, part of the course of the world.
func (w *world) hash(b []byte) {
	var head [16]byte
	binary.BigEndian.PutUint64(head[:], uint64(w.now))
	binary.BigEndian.PutUint64(head[8:], uint64(len(b)))
	w.sum.Write(head[:])
	w.sum.Write(b)
}

func (w *world) tracing() bool { return w.trace != nil }

func (w *world) tracef(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%12.6f  "+format+"\n", append([]any{w.now.Seconds()}, args...)...)
	}
}

func (w *world) describe(m wire.Message) string {
	switch m := m.(type) {
	case *wire.Hello:
		return fmt.Sprintf("hello %x, digest %x, backlog %v", m.Instance[:3], m.Digest[:3], m.Backlog)
	case *wire.Frontier:
		s := "frontier"
		for _, e := range m.Entries {
			s += fmt.Sprintf(" %x:%d", e.Writer[:3], e.Seq)
		}
		return s
	case *wire.Members:
		return "operations" + short(m.Ops)
	case *wire.Epochs:
		return "epochs" + short(m.Records)
	case *wire.Envelope:
		for _, d := range w.running() {
			if u, err := d.id.OpenEnvelope(m.Raw); err == nil {
				return fmt.Sprintf("envelope %x:%d of %d bytes in epoch %x", u.Writer[:3], u.Seq, len(m.Raw), m.Raw[1:4])
			}
		}
		return fmt.Sprintf("envelope of %d bytes", len(m.Raw))
	case *wire.Ack:
		s := "ack"
		for _, e := range m.Entries {
			s += fmt.Sprintf(" %x:%d", e.Writer[:3], e.Seq)
		}
		return s
	}
	return fmt.Sprintf("%T", m)
}

// short names signed things by their hashes.
func short(raws [][]byte) (s string) {
	for _, raw := range raws {
		h := sha256.Sum256(raw)
		s += fmt.Sprintf(" %x", h[:3])
	}
	return s
}
