package sim

import (
	"fmt"
	"io"
	"time"
)

// Result is what one world came to.
type Result struct {
	Seed    uint64
	Failure string   // the first thing that must not be; empty if all was well
	Hash    [32]byte // of all that happened, in order
	Virtual time.Duration
	Settled time.Duration // from the end of the faults until all were equal

	Events, Edits, Commits, Crashes, Envelopes, Bytes int

	Rare [numRare]int // how often each rare state was reached, by Rare
}

// Rares returns all rare states, in the order of Result.Rare.
func Rares() []Rare {
	all := make([]Rare, numRare)
	for i := range all {
		all[i] = Rare(i)
	}
	return all
}

// Err is the failure with the seed that replays it.
func (r *Result) Err() error {
	if r.Failure == "" {
		return nil
	}
	return fmt.Errorf("world %d: %s (replay: starling sim --seed %d)", r.Seed, r.Failure, r.Seed)
}

// Run plays the world of a seed. Trace takes what happens, in lines; nil: nothing.
// The same seed gives the same result, and the same trace.
func Run(seed uint64, trace io.Writer) *Result {
	w := newWorld(seed, trace)
	w.play()
	w.result.Virtual = w.now + w.skipped
	w.result.Hash = [32]byte(w.sum.Sum(nil))
	return w.result
}

// play is the life of a world: faults, then none, then silence.
func (w *world) play() {
	f, err := theFamily()
	if err != nil {
		w.fail("no account: %v", err)
		return
	}
	w.tracef("plan %+v", w.plan)
	for _, id := range f.some(w.plan.devices, w.plan.allKnown) {
		d := w.newDevice(id)
		d.open()
		w.use(d)
	}
	if w.plan.hostile {
		w.hostile = w.devices[len(w.devices)-1]
		w.later(0, w.misbehave)
	}
	w.later(0, w.mingle)
	w.later(around(w.draw.fault, w.plan.faults/16), w.strike)
	w.run(w.plan.faults, never)
	w.heal()
	w.run(w.now+settleTime, func() bool { return w.calm })
	w.result.Settled = w.now - w.plan.faults
	w.silence()
	w.checks.final()
}
