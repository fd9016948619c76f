package replica

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

// Own changes become envelopes when somebody is there to take them.

// sealOrKeep makes envelopes of own changes while somebody is there to take
// them. Otherwise they wait, so that a long stretch alone becomes a few large
// and well compressed envelopes; the order of changes is kept either way.
func (l *loop) sealOrKeep(g *group) error {
	backlog := l.backlog()
	if !l.seals() || backlog {
		for _, c := range g.run {
			g.batch.Put(tablePending, numberKey(g.next.Pending), encode(c.pending(l.author.Writer)))
			g.next.Pending++
		}
	}
	if !l.seals() {
		return nil
	}
	run := g.run
	if backlog {
		var err error
		if run, err = l.takePending(g); err != nil {
			return err
		}
	}
	return l.sealRun(g, run)
}

// takePending reads the oldest waiting changes and removes them. None may be
// missing in between: others would never be able to apply what follows it.
func (l *loop) takePending(g *group) ([]localChange, error) {
	var run []localChange
	size := 0
	err := l.eachPending(func(key []byte, c localChange) error {
		if size >= sealRuns*sealBytes {
			return store.ErrStop
		}
		run = append(run, c)
		size += c.size()
		g.batch.Delete(tablePending, key)
		g.next.Sealed++
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read changes that wait to be sealed: %w", err)
	}
	return run, nil
}

// eachPending calls fn for the changes that wait to be sealed, in order.
func (l *loop) eachPending(fn func(key []byte, c localChange) error) error {
	n, stopped := l.counters.Sealed, false
	err := l.config.Store.Scan(tablePending, nil, numberKey(n), func(key, value []byte) error {
		var p pendingRecord
		if err := cbor.Unmarshal(value, &p); err != nil {
			return &store.DamagedError{Table: tablePending, Key: slices.Clone(key), Err: err}
		}
		if !bytes.Equal(key, numberKey(n)) {
			return store.ErrStop // noticed below
		}
		c, err := p.change(l.author.Writer)
		if err != nil {
			return &store.DamagedError{Table: tablePending, Key: slices.Clone(key), Err: err}
		}
		err = fn(key, c)
		if err == nil {
			n++
		}
		stopped = errors.Is(err, store.ErrStop)
		return err
	})
	if err == nil && !stopped && n != l.counters.Pending {
		err = &store.DamagedError{Table: tablePending, Key: numberKey(n), Err: errors.New("it is missing")}
	}
	return err
}

// sealRun makes envelopes of about sealBytes of changes each.
func (l *loop) sealRun(g *group, run []localChange) error {
	for len(run) > 0 {
		n, size := 0, 0
		for n < len(run) && (n == 0 || size+run[n].size() <= sealBytes) {
			size += run[n].size()
			n++
		}
		if err := l.seal(g, run[:n]); err != nil {
			return err
		}
		run = run[n:]
	}
	return nil
}

func (l *loop) seal(g *group, run []localChange) error {
	b, err := batchOf(run).Encode(elision(l.author.Writer))
	if err != nil {
		return err
	}
	a, err := l.core.Seal(l.config.Random, b)
	if err != nil {
		return err
	}
	l.keep(g, a)
	g.batch.Put(tableMeta, keyAnnounced, encode(announcedRecord(l.core.Announced())))
	return nil
}

// elision is what is left out of the batches of a writer: its id, with which its
// keys end.
func elision(w encryption.WriterID) change.Context {
	return change.Context{Actor: w, Suffix: "/" + crdt.Writer(w).String()}
}

// naming is elision for package wire.
func naming(writer [16]byte) change.Context { return elision(writer) }

func batchOf(run []localChange) *wire.Batch {
	b := &wire.Batch{}
	index := map[account.Ref]uint32{}
	for _, c := range run {
		i, ok := index[c.ref]
		if !ok {
			i = uint32(len(b.Docs))
			index[c.ref] = i
			b.Docs = append(b.Docs, wire.Document{Kind: uint8(c.ref.Kind), Entity: c.ref.Entity})
		}
		b.Changes = append(b.Changes, wire.BatchChange{Doc: i, Raw: c.raw, After: c.after})
	}
	return b
}

func announcedRecord(m map[encryption.WriterID]uint64) map[[16]byte]uint64 {
	r := make(map[[16]byte]uint64, len(m))
	for w, seq := range m {
		r[w] = seq
	}
	return r
}
