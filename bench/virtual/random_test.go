package virtual_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/starling-sync/starling/p2p/p2ptest"
)

// TestRandomWorld: devices edit, go off and on, move, and lose sight of each other at
// random, over paths whose delay and loss change, for hours. Then everything works
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
	took := w.converge(redial + transfer)
	w.check()
	w.Logf("seed %d: %v in %v; equal %v after the end of it", seed, did, hours, took)
}

// happen does one thing, and says which.
func (w *world) happen(r *rand.Rand) string {
	w.Helper()
	d := w.devices[r.IntN(len(w.devices))]
	switch n := r.IntN(20); {
	case n < 12 && d.on():
		d.edit(randomEdit(r))
		return "edit"
	case !d.on():
		if n%3 == 0 && d != w.devices[0] { // of the first all know the address
			w.moves++
			d.ip = fmt.Sprintf("1.1.%d.%d", w.moves/200, 1+w.moves%200)
		}
		d.start()
		return "on"
	case n < 14:
		d.stop()
		return "off"
	case n < 16:
		w.cut(d)
		return "cut"
	case n < 19:
		w.mend(d)
		return "mend"
	}
	w.net.SetPath(p2ptest.Path{
		Delay: time.Duration(r.IntN(200)) * time.Millisecond, Jitter: time.Duration(r.IntN(100)) * time.Millisecond, Loss: r.Float64() / 5,
	})
	return "path"
}
