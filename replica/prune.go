package replica

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

// The log of envelopes is there for devices that lack some of them, and to make
// damaged documents anew. What all members have nobody lacks, so once there is
// much of it, it is dropped, and documents that are damaged come from other
// devices from then on. A device that is away holds that up, but not for ever:
// beyond a size the log is cut to its newest part, and a device that was away for
// longer gets a snapshot when it is back.

// How many envelopes the log holds. Each takes some 300 bytes when it was sent at
// once, and far more when it was not; then there are few.
type logLimits struct {
	keep   uint64 // are kept though everybody has them
	most   uint64 // are kept for devices that are away
	tail   uint64 // of each writer are kept when there are more
	every  uint64 // pass between two looks, and are dropped at least
	atOnce uint64 // are dropped in one group, at most
	part   int    // bytes of saved documents that are sent at once, about
}

func defaultLogLimits() logLimits {
	return logLimits{keep: 4096, most: 32768, tail: 1024, every: 256, atOnce: 8192, part: 96 << 10}
}

// errPruned says that the log does not go back to the beginning.
var errPruned = errors.New("the log does not go back far enough, as all devices have had what is missing; another device can help")

// inLog is how many envelopes are in the log.
func (l *loop) inLog() uint64 { return l.counters.Arrival - l.base.Dropped }

// loadBase tells the ledger where the logs begin, and what others have.
func (l *loop) loadBase(ledger *core.Ledger) error {
	if _, err := get(l.config.Store, tableMeta, keyBase, &l.base); err != nil {
		return err
	}
	ledger.Pruned(l.base.chains())
	err := l.config.Store.Scan(tableHolds, nil, nil, func(key, value []byte) error {
		var rec map[[16]byte]uint64
		if err := cbor.Unmarshal(value, &rec); err != nil || len(key) != 16 {
			return nil // nothing but room depends on it
		}
		holds := make(map[encryption.WriterID]uint64, len(rec))
		for w, seq := range rec { // order-free: a map is filled
			holds[w] = seq
		}
		ledger.Remember(encryption.DeviceID(key), holds)
		return nil
	})
	if err != nil && !errors.Is(err, store.ErrDamaged) {
		return fmt.Errorf("load what others have: %w", err)
	}
	return l.loadCommon(ledger)
}

// loadCommon tells the ledger what it had in common with others. What cannot be read
// is told in full when they meet.
func (l *loop) loadCommon(ledger *core.Ledger) error {
	err := l.config.Store.Scan(tableCommon, nil, nil, func(key, value []byte) error {
		var rec commonRecord
		if err := cbor.Unmarshal(value, &rec); err != nil || len(key) != 16 {
			return nil
		}
		c := core.Common{Digest: rec.Digest, Roster: rec.Roster, Frontier: make(map[encryption.WriterID]uint64, len(rec.Frontier))}
		for w, seq := range rec.Frontier { // order-free: a map is filled
			c.Frontier[w] = seq
		}
		ledger.RememberCommon(encryption.DeviceID(key), c)
		return nil
	})
	if err != nil && !errors.Is(err, store.ErrDamaged) {
		return fmt.Errorf("load what is in common with others: %w", err)
	}
	return nil
}

// putHolds adds to b what was learnt of others.
func (l *loop) putHolds(b *store.Batch) {
	for d, holds := range l.core.News() { // order-free: each device has a record
		b.Put(tableHolds, d[:], encode(announcedRecord(holds)))
	}
	for d, c := range l.core.CommonNews() { // order-free: each device has a record
		if c == nil {
			b.Delete(tableCommon, d[:])
			continue
		}
		b.Put(tableCommon, d[:], encode(commonRecord{Digest: c.Digest, Roster: c.Roster, Frontier: announcedRecord(c.Frontier)}))
	}
}

// saveHolds writes what was learnt of others since the last look.
func (l *loop) saveHolds() error {
	b := &store.Batch{}
	if l.putHolds(b); b.Len() == 0 {
		return nil
	}
	return l.config.Store.Commit(b)
}

// prune makes it part of the group that envelopes are dropped, if there are too
// many. What it cannot read it leaves alone.
func (l *loop) prune(g *group) {
	if g.next.Arrival/l.limits.every == l.counters.Arrival/l.limits.every {
		return
	}
	l.putHolds(&g.batch)
	keep := l.limits.keep
	if len(l.r.id.Members()) == 1 {
		keep = l.limits.most // nobody else could help with a damaged document
	}
	kept, room := l.inLog(), l.limits.atOnce
	for _, w := range l.core.Writers() {
		if kept <= keep {
			return
		}
		n := l.pruneWriter(g, w, kept > l.limits.most, room)
		kept, room = kept-n, room-n
	}
}

// goes says whether an envelope is dropped by the group in flight, and may be gone from
// the disk already. Whoever lacks it is offered documents once that group is durable.
func (l *loop) goes(e wire.Acked) bool { return e.Seq <= l.core.Base(e.Writer).Seq }

// pruneWriter drops the oldest envelopes of a writer, at most room of them, and
// returns how many.
func (l *loop) pruneWriter(g *group, w encryption.WriterID, crowded bool, room uint64) uint64 {
	from, to := l.core.Base(w).Seq, l.core.Stable(w)
	if last := l.core.Seq(w); crowded && last > l.limits.tail {
		to = max(to, last-l.limits.tail)
	}
	to = min(to, from+room)
	if to < from+l.limits.every {
		return 0
	}
	c, err := l.chainAt(w, to)
	if err != nil {
		l.config.Log.Warn("the log is not shortened", "writer", w, "err", err)
		return 0
	}
	base := l.nextBase(g)
	for seq := from + 1; seq <= to; seq++ {
		g.batch.Delete(tableLog, logKey(w, seq))
	}
	base.Dropped += to - from
	base.Chains[w] = chainToRecord(c)
	g.batch.Put(tableMeta, keyBase, encode(base))
	l.core.Prune(w, c)
	return to - from
}

// chainAt returns the chain of a writer as it was after an envelope that is in the
// log. An envelope names the membership only where it differs from the one before.
func (l *loop) chainAt(w encryption.WriterID, seq uint64) (encryption.Chain, error) {
	base := l.core.Base(w)
	c := encryption.Chain{Device: l.core.Writer(w).Device, Seq: seq, Members: base.Members}
	for n := seq; n > base.Seq; n-- {
		u, err := l.envelope(w, n)
		if err != nil {
			return c, err
		}
		if n == seq {
			c.Head = u.ID()
		}
		if members, named := u.Members(); named {
			c.Members = members
			break
		}
	}
	return c, nil
}

// envelope reads an envelope of the log.
func (l *loop) envelope(w encryption.WriterID, seq uint64) (*encryption.Unverified, error) {
	var rec logRecord
	found, err := get(l.config.Store, tableLog, logKey(w, seq), &rec)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("envelope %d of writer %s: %w", seq, w, store.ErrDamaged)
	}
	return l.r.id.OpenEnvelope(rec.Raw)
}
