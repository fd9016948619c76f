package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/store"
)

// mendPending makes the changes that wait to be sealed anew if one of them cannot
// be read. Each is in its document too: it is of the present writer and newer than
// what the log has of it. Of a document that cannot be read, its changes that can
// count. Unless that gives exactly as many as there must be, nothing is changed.
func (l *loop) mendPending(ctx context.Context) (n int, err error) {
	_ = l.land() // whoever waits for it was answered
	readable := map[account.Ref][]crdt.Change{}
	sealed := 0 // ahead of their turn
	err = l.eachPending(func(_ []byte, c localChange) error {
		_, err := change.Parse(c.raw)
		return err
	})
	if err == nil {
		return 0, nil
	}
	err = l.config.Store.Scan(tablePending, nil, numberKey(l.counters.Sealed), func(_, value []byte) error {
		var p pendingRecord
		if cbor.Unmarshal(value, &p) != nil {
			return nil
		}
		if p.isSealed() {
			sealed++
		}
		if c, err := change.Parse(p.Raw); err == nil {
			ref := account.Ref{Kind: account.Kind(p.Kind), Entity: p.Entity}
			readable[ref] = append(readable[ref], c)
		}
		return nil
	})
	if _, err = damagedRecords(err); err != nil {
		return 0, err
	}
	v := newVerification(&model.Verification{}, ctx.Err)
	if err := l.verifyLog(v); err != nil {
		return 0, err
	}
	if len(v.Problems) > 0 {
		return 0, fmt.Errorf("%w: the log: %s", ErrDamaged, v.Problems[0])
	}
	all, err := l.unsealed(v, readable)
	if err != nil {
		return 0, err
	}
	if want := l.counters.Pending - l.counters.Sealed; uint64(len(all)+sealed) != want {
		return 0, fmt.Errorf("%w: %d changes wait to be sealed or were sealed ahead of their turn, and %d can be found", ErrDamaged, want, len(all)+sealed)
	}
	return len(all), l.replacePending(all)
}

// unsealed returns what the documents have of the present writer beyond the log, in
// the order of each document. Of documents that cannot be read it is what can be.
func (l *loop) unsealed(v *verification, readable map[account.Ref][]crdt.Change) (all []localChange, err error) {
	w := crdt.Writer(l.author.Writer)
	err = eachDocument(l.config.Store, nil, nil, func(id account.DocumentID, _ *docStored) error {
		rec, err := getDocument(l.config.Store, id) // again: its tail may be damaged
		if err != nil || rec == nil {
			return v.ended()
		}
		doc, err := rec.load(w)
		if err != nil {
			return v.ended()
		}
		own, err := doc.ChangesBy(w)
		if err != nil {
			return v.ended()
		}
		if sealed, ok := v.last[rec.ref()][encryption.WriterID(w)]; ok {
			own = own[slices.IndexFunc(own, func(c crdt.Change) bool { return c.Seq == sealed })+1:]
		}
		for _, c := range own {
			all = append(all, localChange{ref: rec.ref(), raw: c.Raw, after: doc.Places(&c)})
		}
		delete(readable, rec.ref())
		return v.ended()
	}, func(*store.DamagedError) error { return nil })
	if _, err = damagedRecords(err); err != nil {
		return nil, err
	}
	for ref, changes := range readable { // order-free: of different documents
		for _, c := range changes {
			all = append(all, localChange{ref: ref, raw: c.Raw})
		}
	}
	return all, nil
}

// replacePending writes the changes that wait under the numbers that they have
// between them. The numbers behind are those of what was sealed ahead of its turn.
func (l *loop) replacePending(all []localChange) error {
	b := &store.Batch{}
	for i, c := range all {
		if c.raw == nil {
			return errors.New("a change without bytes")
		}
		b.Put(tablePending, numberKey(l.counters.Sealed+uint64(i)), encode(c.pending(l.author.Writer)))
	}
	for n := l.counters.Sealed + uint64(len(all)); n < l.counters.Pending; n++ {
		b.Put(tablePending, numberKey(n), encode(pendingRecord{}))
	}
	l.swept = 0
	return l.config.Store.Commit(b)
}
