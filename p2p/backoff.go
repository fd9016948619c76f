package p2p

import (
	"math/rand/v2"
	"time"
)

const (
	firstDelay  = 250 * time.Millisecond
	configDelay = 30 * time.Second // where the pause stops to double, for a peer of Config.Peers
	otherDelay  = 2 * time.Minute  // likewise, for any other
	briskTries  = 128              // attempts after which a pause grows beyond that
	slower      = 10               // times that, it does not grow any more
	outDelay    = time.Hour        // longest pause if one of the two is not a member any more
	waitDelay   = 20 * time.Second // longest pause of a device that is out and may be brought back

	// stableTime is how long a session lasts before its end counts as news
	// rather than as one more failure.
	stableTime = 10 * time.Second
)

// backoff is the pause before the next dial: doubled each time up to brisk. After
// briskTries attempts, an hour for a configured peer, it grows by a tenth each time, up
// to slower times brisk: an attempt at a QUIC address where nobody is sends some 13 kB,
// and a device that went on looking briskly for one that is off sent 40 MB a day. The
// pause is drawn from its upper half so that two devices do not keep step. It reads no
// clock. Not safe for concurrent use.
type backoff struct {
	brisk  time.Duration
	random *rand.Rand
	tries  int
	slow   time.Duration // the last pause beyond brisk, before it was drawn; 0: none yet
}

func (b *backoff) next() time.Duration {
	d := min(b.brisk, firstDelay<<min(b.tries, 20))
	if b.tries >= briskTries {
		b.slow = min(max(b.slow, b.brisk)*11/10, slower*b.brisk)
		d = b.slow
	}
	b.tries++
	return d/2 + time.Duration(b.random.Int64N(int64(d/2)+1))
}

func (b *backoff) reset() { b.tries, b.slow = 0, 0 }
