package virtual_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/starling-sync/starling/p2p/p2ptest"
)

// Bounds on what takes virtual time.
const (
	// redial is how long two devices may take to be connected that can reach each
	// other again: the longest pause before a configured peer is dialled anew, and one
	// attempt that fails at first.
	redial = 30*time.Second + 5*time.Second
	// lateRedial is the same after an hour or more, when they look less often.
	lateRedial = 5*time.Minute + 5*time.Second
	// transfer is how long connected devices may take to have what all have, over
	// paths that lose packets too.
	transfer = 10 * time.Second
)

// TestConverge: four devices edit for an hour over paths that delay, reorder and lose,
// and have the same within seconds after the last edit.
func TestConverge(t *testing.T) {
	t.Parallel()
	play(t, 4, badger, func(w *world) {
		w.net.SetPath(p2ptest.Path{Delay: 40 * time.Millisecond, Jitter: 40 * time.Millisecond, Loss: 0.03})
		r := rand.New(rand.NewPCG(7, 0))
		for begin := time.Now(); time.Since(begin) < time.Hour; {
			w.devices[r.IntN(len(w.devices))].edit(randomEdit(r))
			w.pass(time.Duration(r.Int64N(int64(time.Minute))))
		}
		for _, d := range w.devices {
			d.edit(randomEdit(r))
		}
		took := w.converge(transfer)
		w.check()
		w.Logf("%d edits in a virtual hour; equal %v after the last", len(w.acked), took)
	})
}

// TestPartition: two devices lose sight of the third for minutes and then for two days,
// all go on, and when the network is whole again they are equal within a redial and a
// transfer.
func TestPartition(t *testing.T) {
	t.Parallel()
	play(t, 3, memory, func(w *world) {
		w.devices[0].edit()
		w.converge(redial + transfer)
		r := rand.New(rand.NewPCG(8, 0))
		for _, cut := range []struct{ length, pause, bound time.Duration }{
			{20 * time.Minute, time.Minute, redial + transfer},
			{2 * day, time.Hour, lateRedial + transfer},
		} {
			before := len(w.acked)
			w.cut(w.devices[2])
			for begin := time.Now(); time.Since(begin) < cut.length; {
				w.devices[r.IntN(len(w.devices))].edit(randomEdit(r))
				w.pass(time.Duration(r.Int64N(int64(cut.pause))))
			}
			for _, s := range w.statuses()[2].Peers {
				if s.Connected {
					w.Fatalf("%s is connected across the cut", s.Name)
				}
			}
			for _, d := range w.devices {
				d.edit(randomEdit(r))
			}
			w.mend(w.devices[2])
			took := w.converge(cut.bound)
			w.Logf("%d edits in %v of partition; equal %v after the end of it, at most %v is allowed", len(w.acked)-before, cut.length, took, cut.bound)
		}
		w.check()
	})
}
