package disk

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/starling-sync/starling/replica/store"
)

// op is one put or delete in Badger.
type op struct {
	key   []byte
	value []byte // sealed; nil deletes
}

// cost is at least what Badger counts against the limit of a transaction.
func (o op) cost() int64 {
	if len(o.value) >= valueThreshold {
		return int64(len(o.key)) + 32 // the value goes to the value log
	}
	return int64(len(o.key)+len(o.value)) + 16
}

// request is one batch on its way to the disk.
type request struct {
	ops   []op
	cost  int64
	bytes uint64
	done  chan error // has room for the one answer
}

func (r *request) add(o op) {
	r.ops = append(r.ops, o)
	r.cost += o.cost()
	r.bytes += uint64(len(o.key) + len(o.value))
}

// maxGroupBytes bounds what one transaction writes, values in the value log
// included.
const maxGroupBytes = 16 << 20

// perOp is what Badger may add to the bytes of one operation in its files.
const perOp = 64

// committer writes requests in the order in which it takes them. Everything
// but submit and close happens on its one goroutine.
type committer struct {
	writing sync.Mutex // held while Badger writes a transaction, or rewrites a file of values

	db    *badger.DB
	seal  *sealer
	snaps *snapshots
	space func(need uint64) error
	// collect is called after collectEvery bytes of values went to the value log.
	collect func()

	queue   chan *request // has no buffer: a request is either waiting or taken
	quit    chan struct{} // closed by close
	stopped chan struct{} // closed when the goroutine has ended

	logged uint64 // bytes to the value log since collect; owned by the goroutine
	ts     uint64 // of the newest transaction; owned by the goroutine
	broken error  // why no commit is possible until the next Open; owned by the goroutine

	step func(name string) error // see Config
	mark func(ts uint64)         // told of each transaction that is durable; see Store.mark
}

func newCommitter(db *badger.DB, seal *sealer, snaps *snapshots, ts uint64) *committer {
	return &committer{
		db: db, seal: seal, snaps: snaps, ts: ts,
		mark:  func(uint64) {},
		queue: make(chan *request), quit: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// submit returns when r is durable and visible, or was refused.
func (c *committer) submit(r *request) error {
	select {
	case <-c.quit:
		return store.ErrClosed
	default:
	}
	select {
	case c.queue <- r:
		return <-r.done
	case <-c.quit:
		return store.ErrClosed
	}
}

// close finishes the commit under way and refuses all others.
func (c *committer) close() {
	close(c.quit)
	<-c.stopped
}

func (c *committer) run() {
	defer close(c.stopped)
	var next *request
	for {
		first := next
		if first == nil {
			select {
			case first = <-c.queue:
			case <-c.quit:
				return
			}
		}
		var group []*request
		group, next = c.gather(first)
		err := c.write(group)
		for _, r := range group {
			r.done <- err
		}
	}
}

// gather adds to first what else is waiting, as far as it fits into one
// transaction. It returns also the request that did not fit, if any.
func (c *committer) gather(first *request) (group []*request, rest *request) {
	group = []*request{first}
	ops, cost, bytes := len(first.ops), first.cost, first.bytes
	for c.fits(ops, cost, bytes) {
		select {
		case r := <-c.queue:
			ops, cost, bytes = ops+len(r.ops), cost+r.cost, bytes+r.bytes
			if !c.fits(ops, cost, bytes) {
				return group, r
			}
			group = append(group, r)
		default:
			return group, nil
		}
	}
	return group, nil
}

// fits says whether so much can be one transaction of Badger, which counts an
// entry of its own that ends the transaction, and the tip that may be added.
func (c *committer) fits(ops int, cost int64, bytes uint64) bool {
	const endOps, endCost = 3, 64 + 128
	return int64(ops)+endOps < c.db.MaxBatchCount() && cost+endCost < c.db.MaxBatchSize() && bytes <= maxGroupBytes
}

// write makes a group durable and visible.
func (c *committer) write(group []*request) error {
	if c.broken != nil {
		return c.broken
	}
	if r := group[0]; len(group) == 1 && !c.fits(len(r.ops), r.cost, r.bytes) {
		return c.writeJournaled(r)
	}
	var need uint64
	for _, r := range group {
		need += r.bytes + perOp*uint64(len(r.ops))
	}
	if err := c.space(2 * need); err != nil { // the log, and later the table
		return err
	}
	var ops []op
	for _, r := range group {
		ops = append(ops, r.ops...)
	}
	if err := c.transact(ops); err != nil {
		return err
	}
	c.snaps.publish(c.ts)
	return nil
}

// transact makes ops durable in one transaction, at the next timestamp, which
// is not visible yet. Without any it does nothing, as does Badger: a timestamp
// that is marked and not on the disk would look like a lost end. After an error
// of the disk nothing more is written: what an operating system keeps of a
// failed sync is unknown.
func (c *committer) transact(ops []op) error {
	if len(ops) == 0 {
		return nil
	}
	ops = c.witnessed(ops)
	c.writing.Lock()
	defer c.writing.Unlock()
	txn := c.db.NewTransactionAt(c.ts, true)
	defer txn.Discard()
	for _, o := range ops {
		if err := set(txn, o); err != nil {
			return fmt.Errorf("commit: %w", err) // nothing was written
		}
	}
	c.ts++
	if err := txn.CommitAt(c.ts, nil); err != nil {
		c.fail(err)
		return c.broken
	}
	c.mark(c.ts)
	c.countLogged(ops)
	return nil
}

// witnessed adds the tip to operations that only delete. Badger forgets what is
// deleted, and the deletion with it, and then nothing on the disk would have the
// timestamp of this transaction: it would look like a lost end.
func (c *committer) witnessed(ops []op) []op {
	if slices.ContainsFunc(ops, func(o op) bool { return o.value != nil }) {
		return ops
	}
	key := metaKey(tipName)
	tip := op{key: key, value: c.seal.seal(key, binary.BigEndian.AppendUint64(nil, c.ts+1))}
	return append(ops[:len(ops):len(ops)], tip)
}

func (c *committer) countLogged(ops []op) {
	for _, o := range ops {
		if len(o.value) >= valueThreshold {
			c.logged += uint64(len(o.value))
		}
	}
	if c.logged >= collectEvery && c.collect != nil {
		c.logged = 0
		c.collect()
	}
}

func set(txn *badger.Txn, o op) error {
	if o.value == nil {
		return txn.Delete(o.key)
	}
	return txn.Set(o.key, o.value)
}

// fail makes every later commit fail until the store is opened again.
func (c *committer) fail(err error) {
	c.broken = fmt.Errorf("commit: the store must be opened again: %w", err)
}

// at is the place between two steps where a test may crash the committer.
func (c *committer) at(name string) error {
	if c.step == nil {
		return nil
	}
	err := c.step(name)
	if err != nil {
		c.fail(err)
	}
	return err
}
