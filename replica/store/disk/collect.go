package disk

import (
	"errors"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// Values of valueThreshold bytes and more live in Badger's value log. Space
// that dead ones take there comes back in two steps: compaction learns that
// they are dead, which happens once two tables have been written, each when a
// memtable is full or at Close; and the collector rewrites the files that are
// mostly dead. It is a slow way, which is why the threshold is high.

// collectEvery is how many bytes go to the value log before the collector
// looks again.
const collectEvery = 64 << 20

// deadRatio is the part of a file that has to be dead for it to be rewritten.
const deadRatio = 0.5

// collector gives back the space of dead values: once after Open, and then
// whenever it is told to look.
type collector struct {
	writing *sync.Mutex // of the committer

	db      *badger.DB
	space   func(need uint64) error
	warn    func(msg string, args ...any)
	look    chan struct{} // has room for one
	quit    chan struct{} // closed by close
	stopped chan struct{} // closed when the goroutine has ended
}

func newCollector(writer *committer, warn func(string, ...any)) *collector {
	c := &collector{db: writer.db, space: writer.space, writing: &writer.writing, warn: warn,
		look: make(chan struct{}, 1), quit: make(chan struct{}), stopped: make(chan struct{})}
	c.wake()
	return c
}

// wake tells the collector to look, now or after what it does now.
func (c *collector) wake() {
	select {
	case c.look <- struct{}{}:
	default:
	}
}

func (c *collector) close() {
	close(c.quit)
	<-c.stopped
}

func (c *collector) run() {
	defer close(c.stopped)
	for {
		select {
		case <-c.look:
			c.collect()
		case <-c.quit:
			return
		}
	}
}

// collect rewrites one file after the other until none is worth it.
func (c *collector) collect() {
	for {
		select {
		case <-c.quit:
			return
		default:
		}
		if c.space(valueLogSize) != nil {
			return // a rewrite needs space before it gives any back
		}
		err := c.rewrite()
		if errors.Is(err, badger.ErrNoRewrite) || errors.Is(err, badger.ErrRejected) {
			return
		}
		if err != nil {
			c.warn("space of deleted values was not given back", "err", err)
			return
		}
	}
}

// rewrite waits for the transaction under way, and the next one waits for it: what
// Badger looks at first, a write changes without a lock.
func (c *collector) rewrite() (err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	defer recovered(&err)
	return c.db.RunValueLogGC(deadRatio)
}
