package replica

import (
	"cmp"
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

// audit verifies stored envelopes again, each after the one before it of its
// writer, in which order the log holds them.
type audit struct {
	id     *encryption.Identity
	chains map[encryption.WriterID]encryption.Chain
}

// newAudit begins behind the chains at which the logs begin.
func newAudit(id *encryption.Identity, base *baseRecord) *audit {
	return &audit{id, base.chains()}
}

// open decodes and verifies the next record of the log. Somebody vouched for
// what is there of a device that was removed since, or it would not be there.
func (a *audit) open(value []byte) (*logRecord, *encryption.Content, error) {
	var rec logRecord
	if err := cbor.Unmarshal(value, &rec); err != nil {
		return nil, nil, err
	}
	u, err := a.id.OpenEnvelope(rec.Raw)
	if err != nil {
		return nil, nil, err
	}
	var prior *encryption.Chain
	if c, ok := a.chains[u.Writer]; ok {
		prior = &c
	}
	c, hash, err := u.Verify(a.id, prior)
	if err != nil && !errors.Is(err, encryption.ErrRemoved) {
		return nil, nil, err
	}
	a.chains[u.Writer] = encryption.Chain{Device: c.Device, Seq: c.Seq, Head: hash, Members: c.Members}
	return &rec, c, nil
}

// remake makes a document out of the log and the changes that wait to be
// sealed. It reads all of both, so it is for a record that is damaged.
func (l *loop) remake(ref account.Ref) (*crdt.Document, error) {
	changes, err := l.changesOf(ref)
	if errors.Is(err, errPruned) {
		l.wants(ref.ID(l.docs.account))
	}
	if err != nil {
		return nil, err
	}
	doc := crdt.NewDocument(l.docs.writer)
	n, err := doc.Apply(changes)
	if err != nil {
		return nil, err
	}
	l.config.Log.Warn("a damaged document was made anew from the log", "document", ref, "changes", n)
	return doc, nil
}

// arrived are changes of one document that came in one envelope.
type arrived struct {
	arrival uint64
	changes []crdt.Change
}

// changesOf returns all changes of a document in causal order. It fails
// unless every envelope there should be can be read.
func (l *loop) changesOf(ref account.Ref) ([]crdt.Change, error) {
	if len(l.base.Chains) > 0 {
		return nil, errPruned
	}
	logged, err := l.logged(ref)
	if err != nil {
		return nil, err
	}
	return l.appendPending(logged, ref)
}

// logged returns the changes of a document that are in the log.
func (l *loop) logged(ref account.Ref) ([]crdt.Change, error) {
	var parts []arrived
	var count uint64
	a := newAudit(l.r.id, &l.base)
	err := l.config.Store.Scan(tableLog, nil, nil, func(key, value []byte) error {
		rec, content, err := a.open(value)
		if err != nil {
			return &store.DamagedError{Table: tableLog, Key: slices.Clone(key), Err: err}
		}
		count++
		changes, err := changesIn(content, ref)
		if err == nil && len(changes) > 0 {
			parts = append(parts, arrived{rec.Arrival, changes})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	if kept := l.inLog(); count != kept {
		return nil, fmt.Errorf("the log has %d envelopes of %d: %w", count, kept, ErrDamaged)
	}
	slices.SortFunc(parts, func(a, b arrived) int { return cmp.Compare(a.arrival, b.arrival) })
	var all []crdt.Change
	for _, p := range parts {
		all = append(all, p.changes...)
	}
	return all, nil
}

var errNoChange = errors.New("the log has no change of it")

// appendPending appends the own changes of a document that are not sealed.
func (l *loop) appendPending(all []crdt.Change, ref account.Ref) ([]crdt.Change, error) {
	err := l.eachPending(func(_ []byte, c localChange) error {
		if c.ref != ref {
			return nil
		}
		parsed, err := change.Parse(c.raw)
		all = append(all, parsed)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read changes that wait to be sealed: %w", err)
	}
	if len(all) == 0 {
		return nil, errNoChange
	}
	return all, nil
}

// changesIn returns the changes of one document in a batch.
func changesIn(c *encryption.Content, ref account.Ref) ([]crdt.Change, error) {
	batch, err := wire.DecodeBatch(elision(c.Writer), c.Batch)
	if err != nil {
		return nil, err
	}
	at := slices.Index(batch.Docs, wire.Document{Kind: uint8(ref.Kind), Entity: ref.Entity})
	var changes []crdt.Change
	for i, c := range batch.Changes {
		if int(c.Doc) != at {
			continue
		}
		parsed, err := c.Parse()
		if err != nil {
			return nil, fmt.Errorf("change %d: %w", i, err)
		}
		changes = append(changes, parsed)
	}
	return changes, nil
}
