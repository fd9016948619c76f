package sim

import (
	"flag"
	"io"
	"testing"

	_ "github.com/starling-sync/starling/replica"
)

var (
	worlds = flag.Uint64("worlds", 40, "how many seeded worlds to play")
	from   = flag.Uint64("from", 0, "the seed of the first of them")
)

// Whatever happens, every world comes to a good end. The seed of one that does not
// is in the message.
func TestWorlds(t *testing.T) {
	var seen [numRare]int
	for seed := *from; seed < *from+*worlds; seed++ {
		r := Run(seed, nil)
		if err := r.Err(); err != nil {
			t.Error(err)
		}
		for i, n := range r.Rare {
			seen[i] += n
		}
	}
	for i, n := range seen {
		t.Log(Rare(i), n)
	}
}

func TestTrace(t *testing.T) {
	r := Run(*from, t.Output())
	t.Log(r.Failure)
}

// The same seed gives the same world, to the byte.
func TestDeterminism(t *testing.T) {
	for seed := *from; seed < *from+20; seed++ {
		a, b := Run(seed, nil), Run(seed, io.Discard)
		if *a != *b {
			t.Errorf("world %d takes two courses:\n%+v\n%+v", seed, a, b)
		}
		t.Logf("%d %x", seed, a.Hash[:4])
	}
}
