package virtual_test

import (
	"testing"
	"time"
)

// TestMove: devices that restart, vanish without a word or get another address find
// each other again. The last meeting rests on what the devices told each other: nobody
// is at the address any more that either was given by hand.
func TestMove(t *testing.T) {
	t.Parallel()
	play(t, 2, badger, func(w *world) {
		a, b := w.devices[0], w.devices[1]
		a.edit()
		w.converge(redial + transfer)
		for _, step := range []struct {
			what string
			do   func()
		}{
			{"the second restarts", func() { b.stop(); b.start() }},
			{"the first restarts", func() { a.stop(); a.start() }},
			{"the second vanishes and is back at once", func() { w.cut(b); b.stop(); w.mend(b); b.start() }},
			{"the second moves", func() { b.stop(); b.ip = "1.0.1.2"; b.start() }},
			{"the first moves", func() { a.stop(); a.ip = "1.0.1.1"; a.start() }},
			{"both restart", func() { a.stop(); b.stop(); b.start(); a.start() }},
			{"the first comes back after an hour", func() { a.stop(); w.pass(time.Hour); a.start() }},
		} {
			a.edit()
			b.edit()
			step.do()
			took := w.converge(redial + transfer)
			w.Logf("%s: equal after %v", step.what, took)
		}
		w.check()
	})
}
