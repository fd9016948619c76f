package virtual_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/starling-sync/starling/p2p/p2ptest"
)

// TestRandomWorld: devices edit, go off and on, crash, move, are added, begin epochs and
// lose sight of each other at random, over paths whose delay and loss change, for hours. Then everything works
// again, and they have to be equal in time.
func TestRandomWorld(t *testing.T) {
	t.Parallel()
	for i := range *virtualWorlds {
		seed := *virtualSeed + uint64(i)
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			play(t, *virtualDevices, memory, func(w *world) { w.random(seed, time.Duration(*virtualHours)*time.Hour) })
		})
	}
}

func (w *world) random(seed uint64, hours time.Duration) {
	w.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	did := map[string]int{}
	for begin := time.Now(); time.Since(begin) < hours; {
		did[w.happen(r)]++
		w.pass(time.Duration(r.Int64N(int64(time.Minute))))
	}
	w.net.SetPath(p2ptest.Path{Delay: 20 * time.Millisecond})
	for _, d := range w.devices {
		w.mend(d)
		if !d.on() {
			d.start()
		}
	}
	took := w.converge(lateRedial + transfer)
	w.check()
	w.Logf("seed %d: %v in %v; equal %v after the end of it", seed, did, hours, took)
}

// happen does one thing, and says which.
func (w *world) happen(r *rand.Rand) string {
	w.Helper()
	d := w.devices[r.IntN(len(w.devices))]
	n := r.IntN(100)
	switch {
	case !d.on():
		if n < 30 && d != w.devices[0] { // of the first all know the address
			d.ip = w.address()
		}
		d.start()
		return "on"
	case n < 60:
		d.edit(randomEdit(r))
		return "edit"
	case n < 66:
		d.stop()
		return "off"
	case n < 69:
		d.crash()
		return "crash"
	case n < 78:
		w.cut(d)
		return "cut"
	case n < 92:
		w.mend(d)
		return "mend"
	case n < 94:
		w.try(d.Rotate(w.Context()))
		return "rotate"
	case n < 95 && len(w.devices) < 2**virtualDevices:
		d := w.make(fmt.Sprint("device ", len(w.devices)+1), w.address())
		w.link(d)
		w.devices = append(w.devices, d)
		return "link"
	}
	w.net.SetPath(p2ptest.Path{
		Delay: time.Duration(r.IntN(200)) * time.Millisecond, Jitter: time.Duration(r.IntN(100)) * time.Millisecond, Loss: r.Float64() / 5,
	})
	return "path"
}

// address is one that nobody has had.
func (w *world) address() string {
	w.moves++
	return fmt.Sprintf("1.1.%d.%d", w.moves/200, 1+w.moves%200)
}
