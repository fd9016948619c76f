package encryption

import (
	"flag"
	"testing"
)

var epochSteps = flag.Int("epoch-steps", 2, "length of the sequences that TestSmallEpochWorlds runs")

// TestSmallEpochWorlds runs every sequence of two steps of three devices, from the
// state in which all know each other, and then lets all of them write: 196
// worlds, and with -epoch-steps 3, which takes half a minute, 2,744. Sequences
// that differ in the names of devices alone all run: roles are not symmetric,
// since the first device founded the account and ids decide between equals.
func TestSmallEpochWorlds(t *testing.T) {
	base, steps, worlds := team(t, 3), smallSteps(), 1
	for range *epochSteps {
		worlds *= len(steps)
	}
	for n := range worlds {
		w := &epochWorld{tb: t, seeds: 20}
		for _, id := range base {
			w.devices = append(w.devices, copyOf(id))
		}
		for i, rest := 0, n; i < *epochSteps; i, rest = i+1, rest/len(steps) {
			steps[rest%len(steps)](w)
		}
		w.checkMeeting()
		for _, d := range w.devices {
			w.write(d)
		}
		w.checkSecrecy()
		w.settle()
		w.checkReading()
	}
	t.Logf("%d worlds", worlds)
}

func smallSteps() (steps []func(*epochWorld)) {
	for i := range 3 {
		steps = append(steps,
			func(w *epochWorld) { w.write(w.devices[i]) },
			func(w *epochWorld) { w.rotate(w.devices[i]) })
		for j := range 3 {
			if i != j {
				steps = append(steps, func(w *epochWorld) { w.remove(w.devices[i], w.devices[j].device) })
			}
		}
	}
	for i := range 2 { // enough to have one device know more than another
		steps = append(steps, func(w *epochWorld) { w.sync(w.devices[i], w.devices[i+1]) })
	}
	return steps
}
