package core

import (
	"math/rand/v2"
	"testing"
)

// Where everybody is connected with everybody, an envelope goes to each device
// about once, in whatever order things arrive.
func TestMesh(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(kind{hosts: 5, knowAll: true})
		for i, a := range w.hosts {
			for _, b := range w.hosts[i+1:] {
				w.meet(a, b)
			}
		}
		shuffled(w, r)
		const rounds = 30
		for range rounds {
			for _, h := range w.hosts {
				h.edits++
			}
			shuffled(w, r)
		}
		if w.safety.broken == "" {
			for _, h := range w.hosts {
				w.settled(h, w.hosts)
			}
		}
		if w.safety.broken != "" {
			t.Fatal(w.report(seed))
		}
		lacked := rounds * len(w.hosts) * (len(w.hosts) - 1)
		if got := float64(w.safety.received) / float64(lacked); got > 1.3 {
			t.Errorf("seed %d: each envelope came %.2f times", seed, got)
		}
	}
}

// shuffled lets things happen in any order until nothing does.
func shuffled(w *world, r *rand.Rand) {
	for n := 0; n < 100_000 && w.safety.broken == ""; n++ {
		working, flying, ends := w.where((*host).hasWork), w.where((*host).flying), w.waiting()
		switch k := r.IntN(4); {
		case len(working)+len(flying)+len(ends) == 0:
			return
		case k == 0 && len(working) > 0:
			working[r.IntN(len(working))].build()
		case k == 1 && len(flying) > 0:
			flying[r.IntN(len(flying))].commit()
		case len(ends) > 0:
			w.deliver(ends[r.IntN(len(ends))])
		}
	}
}
