package sim

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/hand"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// A stream is two ends. What one end sends arrives at the other in order, in
// pieces that know nothing of frames, and between streams in any order.

var errLost = errors.New("the simulated connection is lost")

// end is one device's end of a stream.
type end struct {
	device *device
	peer   *end
	link   hand.Link // nil until the replica has the stream
	closed bool

	arrived []byte        // and not yet a whole frame
	coming  []frame       // as they were sent, of which none has arrived whole; see arrive
	last    time.Duration // when the last piece that was sent to it arrives
	flying  int           // pieces on their way to it
	allowed int           // of those, how many arrive, once the stream is cut
	cut     bool
	muted   bool // it sends nothing any more
	strange bool // what comes may be no frames

	ahead frontier // of what was sent to it of documents
	wants int      // for how many parts of them it has asked
}

// meet connects two devices, if they can be connected: they authenticate each
// other, tell what they know of the membership, and begin a session.
func (w *world) meet(a, b *device) {
	if !a.up() || !b.up() || a.same(b) || !w.reachable(a, b) || w.streams(a, b) >= 2 || !w.hello(a, b) {
		return
	}
	w.event("meet", a, b)
	if w.streams(a, b) == 1 {
		w.seen(twoStreams)
	}
	x, y := &end{device: a, ahead: frontier{}}, &end{device: b, ahead: frontier{}}
	x.peer, y.peer = y, x
	delay := w.latency()
	y.last = w.now + delay + 1 // nothing comes before the stream does
	x.last = y.last
	ida, idb := a.id.Device(), b.id.Device()
	x.attach(idb)
	w.later(delay, func() {
		switch {
		case y.closed || x.closed:
		case b.rep == nil:
			y.hangUp()
		default:
			y.attach(ida)
		}
	})
	life := b.life
	w.later(delay-1, func() { // the other process has ended meanwhile
		if b.life != life {
			y.hangUp()
		}
	})
}

func (e *end) attach(peer encryption.DeviceID) {
	e.device.ends = append(e.device.ends, e)
	e.device.do(func(r hand.Replica) { e.link = r.Attach(peer) })
}

// streams counts the streams between two devices.
func (w *world) streams(a, b *device) int {
	n := 0
	for _, e := range a.ends {
		if e.peer.device == b && !e.closed {
			n++
		}
	}
	return n
}

// hello is the authentication in front of every stream.
func (w *world) hello(a, b *device) bool {
	for _, tag := range a.id.DiscoveryEpochs() {
		x, err := a.id.NewHelloIn(tag, a.transport(), b.transport(), a.clock(), w.bytes)
		if err != nil {
			w.fail("%s cannot greet: %v", a.name, err)
			return false
		}
		y := b.id.NewHello(false, b.transport(), a.transport(), b.clock(), w.bytes)
		if known, met := w.exchange(a, b, x, y); known {
			return met
		}
	}
	w.fail("%s and %s know no common epoch", a.name, b.name)
	return false
}

// exchange passes the frames of a hello. Known is false when the responder does
// not know the epoch; met is true when both are members.
func (w *world) exchange(a, b *device, x, y *encryption.Hello) (known, met bool) {
	first, _, err := x.Next(nil)
	if err != nil {
		w.fail("%s cannot greet %s: %v", a.name, b.name, err)
		return true, false
	}
	second, _, err := y.Next(first)
	if err != nil {
		return false, false
	}
	third, _, errA := x.Next(second)
	a.learn(x, errA)
	if third == nil {
		return true, false
	}
	_, _, errB := y.Next(third)
	b.learn(y, errB)
	return true, errA == nil && errB == nil && a.up() && b.up()
}

// learn takes what a hello has brought.
func (d *device) learn(h *encryption.Hello, err error) {
	_, ops := h.Peer()
	var removed *encryption.RemovedError
	if errors.As(err, &removed) {
		ops = removed.Ops
		d.w.seen(toldRemoved)
	}
	if len(ops) > 0 {
		d.do(func(r hand.Replica) { _ = r.AdmitMembers(ops) }) // what does not hold is noted there
	}
}

// send hands frames to the network, in one piece or in two.
func (e *end) send(out []byte, frames []frame) {
	w := e.device.w
	if e.muted {
		return
	}
	w.hash(out)
	w.result.Bytes += len(out)
	if !e.device.hostile() && !e.peer.device.hostile() {
		w.said += len(out)
	}
	if w.tracing() {
		for _, f := range frames {
			w.tracef("%s > %s: %s", e.device.name, e.peer.device.name, w.describe(f.message))
		}
	}
	if !e.peer.strange {
		e.peer.coming = append(e.peer.coming, frames...)
	}
	if len(out) > 1 && w.draw.net.IntN(8) == 0 {
		at := 1 + w.draw.net.IntN(len(out)-1)
		e.peer.carry(out[:at])
		out = out[at:]
	}
	e.peer.carry(out)
}

// carry brings a piece to e.
func (e *end) carry(piece []byte) {
	w := e.device.w
	if e.cut {
		return
	}
	e.last = max(e.last, w.now+w.latency())
	e.flying++
	w.at(e.last, func() {
		e.flying--
		if e.cut {
			if e.allowed == 0 {
				w.seen(lostOnTheWay)
				return
			}
			e.allowed--
		}
		e.arrive(piece)
	})
}

// arrive hands the whole frames that are there to the replica.
func (e *end) arrive(piece []byte) {
	if e.closed || e.link == nil {
		return
	}
	e.arrived = append(e.arrived, piece...)
	for !e.closed {
		m, n, err := e.first()
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			if len(e.arrived) > 0 {
				e.device.w.seen(partOfAFrame)
			}
			return
		}
		if err != nil {
			e.device.do(func(hand.Replica) { e.link.Lose(err) })
			return
		}
		e.arrived = e.arrived[n:]
		e.device.w.delivered(e, m)
		e.device.do(func(hand.Replica) { e.link.Receive(m) })
	}
}

// frame is a message and how many bytes it takes.
type frame struct {
	message wire.Message
	size    int
}

// first returns the first message that has arrived, and its size. It was read when it
// was sent, and nothing on the way alters it.
func (e *end) first() (wire.Message, int, error) {
	if len(e.coming) == 0 {
		return first(e.arrived)
	}
	f := e.coming[0]
	if len(e.arrived) < f.size {
		return nil, 0, io.ErrUnexpectedEOF
	}
	e.coming = e.coming[1:]
	return f.message, f.size, nil
}

// first reads the first frame of b.
func first(b []byte) (wire.Message, int, error) {
	under := bytes.NewReader(b)
	m, err := wire.NewReader(under).Read()
	return m, len(b) - under.Len(), err
}

// frames reads what a replica has made.
func frames(b []byte) (all []frame) {
	for len(b) > 0 {
		m, n, err := first(b)
		if err != nil {
			return all
		}
		all = append(all, frame{m, n})
		b = b[n:]
	}
	return all
}

// hangUp closes one end. What it sent before arrives, or a part of it, and then
// the other end hears of it.
func (e *end) hangUp() {
	if e.closed {
		return
	}
	e.closed = true
	e.peer.lose()
}

// lose ends what is on its way to e after some of it.
func (e *end) lose() {
	w := e.device.w
	if e.cut {
		return
	}
	e.cut, e.allowed = true, e.flying
	if e.flying > 0 && w.draw.net.IntN(2) == 0 {
		e.allowed = w.draw.net.IntN(e.flying + 1)
	}
	w.at(max(e.last, w.now+w.latency()), func() {
		if e.closed {
			return
		}
		e.closed = true
		if e.link != nil {
			if len(e.arrived) > 0 {
				w.seen(cutInAFrame)
			}
			e.device.do(func(hand.Replica) { e.link.Lose(errLost) })
		}
	})
}

// cutOff ends a stream from outside: both ends hear of it, each in its time.
func (e *end) cutOff() {
	e.device.w.event("cut", e.device, e.peer.device)
	e.lose()
	e.peer.lose()
}
