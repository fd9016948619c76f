package disk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/dgraph-io/badger/v4"
	"github.com/starling-sync/starling/replica/store"
)

// The journal makes a batch atomic that is larger than a transaction:
//
//  1. write its operations as numbered chunks under spaceJournal
//  2. write the marker: from here on the batch counts
//  3. apply the operations
//  4. delete the marker: from here on the journal does not count
//  5. delete the chunks
//
// Each step is one or more synced transactions, and readers see the result
// after step 4 only. A crash before 2 leaves chunks without a marker, which
// Open deletes; one between 2 and 4 leaves a marker, and Open does 3 to 5
// again, which gives the same result. One committer means one journal.

// markerName is the name under spaceMeta of the marker. Its value is the
// number of chunks.
const markerName = "journal"

// chunkSize is the size in bytes of the contents of a chunk: below
// valueThreshold, so that chunks stay out of the value log, where space comes
// back late.
const chunkSize = 128 << 10

func chunkKey(n uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{spaceJournal}, n)
}

// writeJournaled makes r durable and visible in steps.
func (c *committer) writeJournaled(r *request) error {
	need := r.bytes + perOp*uint64(len(r.ops))
	if err := c.space(3 * need); err != nil { // journal, log and table
		return err
	}
	chunks, err := c.writeChunks(r.ops)
	if err == nil {
		err = c.at("before the marker")
	}
	if err == nil {
		err = c.writeMarker(chunks)
	}
	if err != nil {
		return c.giveUp(chunks, err)
	}
	return c.finishJournal(opSeq(r.ops), chunks)
}

// giveUp removes the chunks of a batch that does not count. If that fails
// too, the next Open does it.
func (c *committer) giveUp(chunks uint32, err error) error {
	if c.broken == nil {
		err = errors.Join(err, c.deleteChunks(chunks))
	}
	return err
}

// finishJournal does the steps after the marker.
func (c *committer) finishJournal(ops iter.Seq2[op, error], chunks uint32) error {
	err := c.apply(ops)
	if err == nil {
		err = c.at("before the marker is deleted")
	}
	if err == nil {
		err = c.transact([]op{{key: metaKey(markerName)}})
	}
	if err != nil {
		// Half of the batch is in place, not visible, and the journal has all of it.
		c.fail(err)
		return c.broken
	}
	c.snaps.publish(c.ts)
	if err := c.at("before the chunks are deleted"); err != nil {
		return err
	}
	if err := c.deleteChunks(chunks); err != nil {
		c.fail(err) // the batch is durable and visible all the same
	}
	return nil
}

// writeChunks is step 1. It returns the number of chunks it began to write,
// also with an error.
func (c *committer) writeChunks(ops []op) (uint32, error) {
	w := &chunkWriter{c: c}
	buf := bufio.NewWriterSize(w, chunkSize)
	for _, o := range ops {
		writeOp(buf, o) // errors stay in buf until Flush
	}
	if err := buf.Flush(); err != nil {
		return w.chunks, err
	}
	return w.chunks, w.flush()
}

func (c *committer) writeMarker(chunks uint32) error {
	key := metaKey(markerName)
	count := binary.BigEndian.AppendUint32(nil, chunks)
	if err := c.transact([]op{{key: key, value: c.seal.seal(key, count)}}); err != nil {
		return err
	}
	if err := c.at("after the marker"); err != nil {
		return c.broken
	}
	return nil
}

// apply is step 3: the operations in order, in as many transactions as it takes.
func (c *committer) apply(ops iter.Seq2[op, error]) error {
	var group request
	for o, err := range ops {
		if err != nil {
			return err
		}
		group.add(o)
		if c.fits(len(group.ops), group.cost, group.bytes) {
			continue
		}
		last := len(group.ops) - 1 // with this one it is too much
		if err := c.transact(group.ops[:last]); err != nil {
			return err
		}
		if err := c.at("between two parts"); err != nil {
			return err
		}
		group = request{ops: group.ops[:0]}
		group.add(o)
	}
	return c.transact(group.ops)
}

// deleteChunks is step 5.
func (c *committer) deleteChunks(chunks uint32) error {
	return c.apply(func(yield func(op, error) bool) {
		for n := range chunks {
			if !yield(op{key: chunkKey(n)}, nil) {
				return
			}
		}
	})
}

func opSeq(ops []op) iter.Seq2[op, error] {
	return func(yield func(op, error) bool) {
		for _, o := range ops {
			if !yield(o, nil) {
				return
			}
		}
	}
}

// chunkWriter cuts a stream into chunks and writes as many at a time as fit
// into a transaction.
type chunkWriter struct {
	c      *committer
	chunks uint32
	group  request
}

func (w *chunkWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), chunkSize)
		if err := w.add(rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

func (w *chunkWriter) add(contents []byte) error {
	key := chunkKey(w.chunks)
	o := op{key: key, value: w.c.seal.seal(key, contents)}
	g := &w.group
	if !w.c.fits(len(g.ops)+1, g.cost+o.cost(), g.bytes+uint64(len(o.value))) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.chunks++
	g.add(o)
	return nil
}

func (w *chunkWriter) flush() error {
	if err := w.c.transact(w.group.ops); err != nil {
		return err
	}
	w.group = request{}
	return w.c.at("between two chunks")
}

// recoverJournal finishes or drops the journal of a commit that a crash
// interrupted. It checks all of a journal that counts before it applies any.
func (s *Store) recoverJournal() error {
	c := s.commit
	ts := c.ts // transactions below do not change what is read
	get := func(key []byte) ([]byte, error) { return s.get(key, ts) }
	marker, err := get(metaKey(markerName))
	if errors.Is(err, store.ErrNotFound) {
		return s.dropChunks(ts)
	}
	if err == nil && len(marker) != 4 {
		err = fmt.Errorf("marker of %d bytes", len(marker))
	}
	if err != nil {
		return fmt.Errorf("%w: journal: %w", store.ErrDamaged, err)
	}
	chunks := binary.BigEndian.Uint32(marker)
	for _, err := range readOps(&chunkReader{get: get, chunks: chunks}) {
		if err != nil {
			return fmt.Errorf("%w: journal: %w", store.ErrDamaged, err)
		}
	}
	return c.finishJournal(readOps(&chunkReader{get: get, chunks: chunks}), chunks)
}

// dropChunks deletes every chunk there is.
func (s *Store) dropChunks(ts uint64) error {
	txn := s.db.NewTransactionAt(ts, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{spaceJournal}})
	defer it.Close()
	return s.commit.apply(func(yield func(op, error) bool) {
		for it.Rewind(); it.Valid(); it.Next() {
			if !yield(op{key: it.Item().KeyCopy(nil)}, nil) {
				return
			}
		}
	})
}
