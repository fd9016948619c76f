package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/store"
)

// applySalvaged applies of what was salvaged what can be, and forgets what it has
// applied. The rest waits for what it rests on.
func (l *loop) applySalvaged() error {
	n, err := l.salvagedLeft()
	if err != nil || n == 0 {
		return err
	}
	if err := l.offerSalvaged(); err != nil {
		return err
	}
	if _, err := l.keptChanges(); err != nil { // counts them
		return err
	}
	return l.renew()
}

// salvagedLeft is how many records of a salvage wait.
func (l *loop) salvagedLeft() (n int, err error) {
	err = l.config.Store.Scan(tableLocal, localKey(salvageMap, ""), nil, func(key, _ []byte) error {
		n++
		return nil
	})
	_, err = damagedRecords(err)
	return n, err
}

// kept is an envelope that waits.
type kept struct {
	key    []byte
	raw    []byte
	writer encryption.WriterID
	seq    uint64
}

// offerSalvaged offers the envelopes in the order in which they were applied, in
// parts, and forgets those that are durable.
func (l *loop) offerSalvaged() error {
	prefix := append(localKey(salvageMap, ""), keptEnvelope)
	from := prefix
	var waiting []kept
	for from != nil {
		var part []kept
		from = l.readKept(prefix, from, &part)
		for i := range part {
			k := &part[i]
			var err error
			if k.writer, k.seq, err = l.core.Import(k.raw); err != nil {
				l.config.Log.Warn("a salvaged envelope waits", "err", err)
			}
		}
		waiting = append(waiting, part...)
		if err := l.drainAll(); err != nil {
			return err
		}
		var err error
		if waiting, err = l.forgetApplied(waiting); err != nil {
			return err
		}
	}
	return nil
}

// readKept reads the next part. It returns where the one after it begins, nil for
// none.
func (l *loop) readKept(prefix, from []byte, part *[]kept) (next []byte) {
	size := 0
	err := l.config.Store.Scan(tableLocal, prefix, from, func(key, value []byte) error {
		if size >= importBytes {
			next = slices.Clone(key)
			return store.ErrStop
		}
		size += len(value)
		*part = append(*part, kept{key: slices.Clone(key), raw: slices.Clone(value)})
		return nil
	})
	if err != nil {
		l.config.Log.Warn("what was salvaged cannot be read as a whole", "err", err)
	}
	return next
}

// drainAll is drain for envelopes of which some may not apply. Each of these
// freezes its writer, so that it ends.
func (l *loop) drainAll() error {
	for {
		err := l.drain()
		if _, ok := errors.AsType[*poison](err); !ok {
			return err
		}
	}
}

// forgetApplied deletes what is durable and returns the rest, without its bytes.
func (l *loop) forgetApplied(all []kept) (rest []kept, err error) {
	b := &store.Batch{}
	for _, k := range all {
		if k.seq > 0 && l.core.Seq(k.writer) >= k.seq {
			b.Delete(tableLocal, k.key)
			continue
		}
		k.raw = nil
		rest = append(rest, k)
	}
	if b.Len() == 0 {
		return rest, nil
	}
	return rest, l.config.Store.Commit(b)
}

// keptDocument are the changes of one writer to one document that wait.
type keptDocument struct {
	ref     account.Ref
	writer  crdt.Writer
	keys    [][]byte
	changes []crdt.Change
	fresh   []bool // which of them the document does not have already; set by withKept
}

// salvageReady says whether salvaged changes can be written again now.
func (l *loop) salvageReady() bool {
	if l.kept == 0 {
		return false
	}
	ready, err := l.readyChanges()
	if err != nil {
		l.config.Log.Warn("salvaged changes cannot be read", "err", err)
	}
	return len(ready) > 0
}

// readyChanges returns the changes whose documents have what they rest on. A
// document that the present writer has changed unsealed is for a later time: one
// writer takes one thing over.
func (l *loop) readyChanges() (ready []*keptDocument, err error) {
	all, err := l.keptChanges()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	busy := map[account.Ref]bool{}
	err = l.eachPending(func(_ []byte, c localChange) error {
		busy[c.ref] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if _, err := l.withKept(d); err == nil && !busy[d.ref] {
			ready = append(ready, d)
		}
	}
	return ready, nil
}

// keptChanges reads what waits. What cannot be understood waits for a person.
func (l *loop) keptChanges() (all []*keptDocument, err error) {
	byRef := map[account.Ref]*keptDocument{}
	l.kept = 0
	prefix := append(localKey(salvageMap, ""), keptChange)
	err = l.config.Store.Scan(tableLocal, prefix, nil, func(key, value []byte) error {
		var p pendingRecord
		if err := cbor.Unmarshal(value, &p); err != nil {
			return nil
		}
		c, err := change.Parse(p.Raw)
		if err != nil {
			return nil
		}
		l.kept++
		ref := account.Ref{Kind: account.Kind(p.Kind), Entity: p.Entity}
		d := byRef[ref]
		if d == nil {
			d = &keptDocument{ref: ref, writer: crdt.Writer(c.Actor)}
			byRef[ref] = d
			all = append(all, d)
		}
		if crdt.Writer(c.Actor) == d.writer {
			d.keys, d.changes = append(d.keys, slices.Clone(key)), append(d.changes, c)
		}
		return nil
	})
	_, err = damagedRecords(err)
	return all, err
}

// withKept returns a copy of the document that has the changes.
func (l *loop) withKept(d *keptDocument) (*crdt.Document, error) {
	doc, err := l.docs.get(d.ref)
	if err != nil {
		return nil, err
	}
	saved, packs, err := doc.doc.Packs()
	if err != nil {
		return nil, err
	}
	own, err := crdt.LoadDocument(saved, d.writer, packs...)
	if err != nil {
		return nil, err
	}
	d.fresh = d.fresh[:0]
	for _, c := range d.changes {
		d.fresh = append(d.fresh, !own.Has(c.Hash))
	}
	_, err = own.Apply(d.changes) // which skips those that it has
	return own, err
}

// carryOver gives salvaged changes to a new writer, as reauthor does with those of
// the present one.
func (l *loop) carryOver(g *group, w crdt.Writer, ready []*keptDocument) error {
	for _, d := range ready {
		own, err := l.withKept(d)
		if err != nil {
			return fmt.Errorf("%s: %w", d.ref, err)
		}
		withdrawn := map[crdt.Hash]bool{}
		for i, c := range d.changes {
			g.batch.Delete(tableLocal, d.keys[i])
			if d.fresh[i] {
				withdrawn[c.Hash] = true
			}
		}
		if len(withdrawn) == 0 {
			continue
		}
		if err := l.rewrite(g, d.ref, own, w, withdrawn); err != nil {
			return fmt.Errorf("%s: %w", d.ref, err)
		}
	}
	return nil
}
