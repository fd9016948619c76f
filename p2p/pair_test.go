package p2p

import (
	"errors"
	"fmt"
	"testing"

	"github.com/starling-sync/starling/encryption"
	"pgregory.net/rapid"
)

// world is two devices of one account that open streams to each other over a
// network which delays each stream's messages as it likes, but keeps the order
// within one stream, as real streams do.
type world struct {
	low, high *sessions // low decides
	runs      uint64
	streams   []*wire
}

// wire is one stream between the two, and how far it has come.
type wire struct {
	name     string
	card     *card  // on its way to low
	verdict  *stamp // on its way to high
	atLow    *session
	atHigh   *session
	lowGone  bool
	highGone bool
	done     func() // of high's settle
}

func newWorld() *world {
	w := &world{}
	w.restart(true)
	w.restart(false)
	return w
}

var lowID, highID = encryption.DeviceID{1}, encryption.DeviceID{2}

// restart replaces one side; its streams end there.
func (w *world) restart(low bool) {
	w.runs++
	if low {
		w.low = newSessions(itself(lowID), w.runs)
	} else {
		w.high = newSessions(itself(highID), w.runs)
	}
	for _, s := range w.streams {
		w.end(s, low)
	}
}

// open begins a stream: who opened it does not matter after the hello. High
// sends its card.
func (w *world) open() {
	s := &wire{name: fmt.Sprint("stream ", len(w.streams))}
	s.atLow = &session{peer: encryption.Peer{Device: highID, Addr: s.name}}
	s.atHigh = &session{peer: encryption.Peer{Device: lowID, Addr: s.name}}
	holds, at, done := w.high.settle(lowID)
	s.card, s.done = &card{holds: holds, at: at}, done
	w.streams = append(w.streams, s)
}

// end says that one side has dropped the stream. The other side notices later.
func (w *world) end(s *wire, low bool) {
	if low && !s.lowGone {
		s.lowGone = true
		w.low.remove(s.atLow)
	}
	if !low && !s.highGone {
		s.highGone = true
		w.high.remove(s.atHigh)
		s.settled()
	}
}

func (s *wire) settled() {
	if s.done != nil {
		s.done()
		s.done = nil
	}
}

// step lets the next thing happen on a stream; it reports whether there was any.
func (w *world) step(s *wire) bool {
	switch {
	case s.card != nil:
		c := *s.card
		s.card = nil
		if s.lowGone {
			return true
		}
		verdict, old, err := w.low.decide(s.atLow, c)
		w.drop(old, true)
		if err != nil {
			w.end(s, true)
			return true
		}
		s.verdict = &verdict
	case s.verdict != nil:
		v := *s.verdict
		s.verdict = nil
		if s.highGone {
			return true
		}
		old, err := w.high.follow(s.atHigh, v)
		w.drop(old, false)
		s.settled()
		if err != nil {
			w.end(s, false)
		}
	case s.lowGone && !s.highGone:
		w.end(s, false)
	case s.highGone && !s.lowGone:
		w.end(s, true)
	default:
		return false
	}
	return true
}

func (w *world) drop(old *session, low bool) {
	for _, s := range w.streams {
		if old != nil && (old == s.atLow || old == s.atHigh) {
			w.end(s, low)
		}
	}
}

// settle delivers everything.
func (w *world) settle() {
	for moved := true; moved; {
		moved = false
		for _, s := range w.streams {
			for w.step(s) {
				moved = true
			}
		}
	}
}

// agreed checks that both sides have the same stream, or none.
func (w *world) agreed() error {
	low, high := w.low.live[highID], w.high.live[lowID]
	switch {
	case low == nil && high == nil:
		return errors.New("no stream is left")
	case low == nil || high == nil || low.s.peer.Addr != high.s.peer.Addr:
		return fmt.Errorf("low has %v, high has %v", low, high)
	}
	return nil
}

// TestPairAgrees: whatever is delayed, two devices that open any number of
// streams, and restart as they like, end with the same one as soon as one of
// them opens a stream while it has none.
func TestPairAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				w.restart(rapid.Bool().Draw(t, "low"))
			case 1, 2, 3:
				w.open()
			default:
				if len(w.streams) > 0 {
					w.step(rapid.SampledFrom(w.streams).Draw(t, "stream"))
				}
			}
		}
		w.settle()
		if len(w.low.live) == 0 && len(w.high.live) == 0 {
			w.open() // either side dials
			w.settle()
		}
		if err := w.agreed(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSimultaneousStreamsDoNotFlap: of the streams that two devices open before
// either has one, exactly one is ever handed out, in every order of delivery.
func TestSimultaneousStreamsDoNotFlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		for range rapid.IntRange(1, 5).Draw(t, "streams") {
			w.open()
		}
		for moved := true; moved; {
			moved = false
			for _, i := range rapid.Permutation(indices(len(w.streams))).Draw(t, "order") {
				moved = w.step(w.streams[i]) || moved
			}
		}
		if err := w.agreed(); err != nil {
			t.Fatal(err)
		}
		if n := w.low.live[highID].verdict.n; n != 1 {
			t.Fatalf("%d streams were chosen", n)
		}
	})
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func itself(d encryption.DeviceID) func() encryption.DeviceID {
	return func() encryption.DeviceID { return d }
}
