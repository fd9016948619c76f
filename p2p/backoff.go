package p2p

import (
	"math/rand/v2"
	"time"
)

const (
	firstDelay  = 250 * time.Millisecond
	configDelay = 30 * time.Second // longest pause for a peer of Config.Peers
	otherDelay  = 2 * time.Minute  // longest pause for any other
	outDelay    = time.Hour        // longest pause if one of the two is not a member any more
	waitDelay   = 20 * time.Second // longest pause of a device that is out and may be brought back

	// stableTime is how long a session lasts before its end counts as news
	// rather than as one more failure.
	stableTime = 10 * time.Second
)

// backoff is the pause before the next dial: doubled each time up to longest,
// and drawn from its upper half so that two devices do not keep step. It reads
// no clock. Not safe for concurrent use.
type backoff struct {
	longest time.Duration
	random  *rand.Rand
	tries   int
}

func (b *backoff) next() time.Duration {
	d := b.longest
	if b.tries < 20 {
		d = min(d, firstDelay<<b.tries)
	}
	b.tries++
	return d/2 + time.Duration(b.random.Int64N(int64(d/2)+1))
}

func (b *backoff) reset() { b.tries = 0 }
