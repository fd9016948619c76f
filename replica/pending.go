package replica

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/store"
)

// Own changes that wait to be sealed have numbers in the order in which they were
// made, and none may be missing in between: others would never be able to apply what
// follows it. Documents rest on nothing but their own changes, though, so where many
// changes wait those that a person sees first are sealed before the bulk: envelopes
// of one writer are numbered, and nobody can apply a later one first. What was sealed
// ahead of its turn leaves an empty record behind until its turn has come.

// hurries says whether changes of a document are sealed before the bulk. What is
// imported by the thousand, and looked at one by one, is contacts.
func hurries(ref account.Ref) bool { return ref.Kind != account.KindContact }

// Bounds of what is taken of the backlog at a time, and from how much bulk on it pays
// to seal it apart: about what a slow line carries in a round trip.
const (
	takeBytes = sealRuns * sealBytes
	bulkBytes = 64 << 10
)

// taking is what a group takes of the changes that wait.
type taking struct {
	soon, bulk map[uint64]localChange
	sizes      [2]int // of soon and of bulk
}

// takePending takes waiting changes out, first those that hurry. It returns them in
// runs, each of which gets envelopes of its own.
func (l *loop) takePending(g *group) ([][]localChange, error) {
	t := taking{soon: map[uint64]localChange{}, bulk: map[uint64]localChange{}}
	err := l.takeSoon(g, &t)
	if err == nil {
		err = l.takeBulk(g, &t)
	}
	if err != nil {
		return nil, fmt.Errorf("read changes that wait to be sealed: %w", err)
	}
	if t.sizes[1] <= bulkBytes {
		maps.Copy(t.soon, t.bulk)
		return [][]localChange{inTurn(t.soon)}, nil
	}
	return [][]localChange{recentFirst(inTurn(t.soon)), recentFirst(inTurn(t.bulk))}, nil
}

// takeSoon looks for changes that hurry where nobody has looked yet.
func (l *loop) takeSoon(g *group, t *taking) error {
	g.swept = max(l.swept, l.counters.Sealed)
	return l.scanPending(g.swept, func(n uint64, c *localChange) error {
		if t.sizes[0] >= takeBytes {
			return store.ErrStop
		}
		g.swept = n + 1
		if c != nil && hurries(c.ref) {
			t.soon[n] = *c
			t.sizes[0] += c.size()
			g.batch.Put(tablePending, numberKey(n), encode(pendingRecord{}))
		}
		return nil
	})
}

// takeBulk takes the oldest changes of all and removes what was sealed among them.
func (l *loop) takeBulk(g *group, t *taking) error {
	return l.scanPending(l.counters.Sealed, func(n uint64, c *localChange) error {
		if _, taken := t.soon[n]; !taken && c != nil {
			if t.sizes[0]+t.sizes[1] >= takeBytes {
				return store.ErrStop
			}
			t.bulk[n] = *c
			t.sizes[1] += c.size()
		}
		g.batch.Delete(tablePending, numberKey(n))
		g.next.Sealed = n + 1
		return nil
	})
}

// inTurn returns changes in the order of their numbers.
func inTurn(changes map[uint64]localChange) []localChange {
	run := make([]localChange, 0, len(changes))
	for _, n := range slices.Sorted(maps.Keys(changes)) {
		run = append(run, changes[n])
	}
	return run
}

// recentFirst puts the documents that were changed last first if the run is so long that
// it takes several envelopes. The order of changes of one document is kept.
func recentFirst(run []localChange) []localChange {
	size := 0
	documents := map[account.Ref][]localChange{}
	var order []account.Ref // by the last change, the latest first
	for _, c := range slices.Backward(run) {
		size += c.size()
		if documents[c.ref] == nil {
			order = append(order, c.ref)
		}
		documents[c.ref] = append(documents[c.ref], c)
	}
	if size <= sealBytes {
		return run
	}
	out := make([]localChange, 0, len(run))
	for _, ref := range order {
		slices.Reverse(documents[ref])
		out = append(out, documents[ref]...)
	}
	return out
}

// eachPending calls fn for the changes that wait to be sealed, in order.
func (l *loop) eachPending(fn func(key []byte, c localChange) error) error {
	return l.scanPending(l.counters.Sealed, func(n uint64, c *localChange) error {
		if c == nil {
			return nil
		}
		return fn(numberKey(n), *c)
	})
}

// scanPending calls fn for the changes from a number on, in order, with nil for one that
// was sealed ahead of its turn.
func (l *loop) scanPending(n uint64, fn func(n uint64, c *localChange) error) error {
	stopped := false
	err := l.config.Store.Scan(tablePending, nil, numberKey(n), func(key, value []byte) error {
		var p pendingRecord
		if err := cbor.Unmarshal(value, &p); err != nil {
			return &store.DamagedError{Table: tablePending, Key: slices.Clone(key), Err: err}
		}
		if !bytes.Equal(key, numberKey(n)) {
			return store.ErrStop // noticed below
		}
		c, err := p.waiting(l.author.Writer)
		if err != nil {
			return &store.DamagedError{Table: tablePending, Key: slices.Clone(key), Err: err}
		}
		if err = fn(n, c); err == nil {
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

// waiting returns the change of w in a record, nil if it was sealed ahead of its turn.
func (p *pendingRecord) waiting(w encryption.WriterID) (*localChange, error) {
	if p.isSealed() {
		return nil, nil
	}
	c, err := p.change(w)
	return &c, err
}
