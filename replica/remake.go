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
	if len(l.base.Chains) > 0 {
		l.wants(ref.ID(l.docs.account))
		return nil, errPruned
	}
	doc := crdt.NewDocument(l.docs.writer)
	if err := l.readLog(doc, ref); err != nil {
		return nil, err
	}
	if err := l.readPending(doc, ref); err != nil {
		return nil, err
	}
	if len(doc.Heads()) == 0 {
		return nil, errNoChange
	}
	l.config.Log.Warn("a damaged document was made anew from the log", "document", ref)
	return doc, nil
}

// arrived is what one envelope has of one document.
type arrived struct {
	arrival uint64
	batch   *wire.Batch
	doc     int // in the batch
}

// readLog gives a document all that the log has of it, in the order in which it came
// here. It fails unless every envelope there should be can be read.
func (l *loop) readLog(doc *crdt.Document, ref account.Ref) error {
	var parts []arrived
	var count uint64
	a := newAudit(l.r.id, &l.base)
	err := l.config.Store.Scan(tableLog, nil, nil, func(key, value []byte) error {
		rec, content, err := a.open(value)
		if err != nil {
			return &store.DamagedError{Table: tableLog, Key: slices.Clone(key), Err: err}
		}
		count++
		batch, err := wire.DecodeBatch(elision(content.Writer), content.Batch)
		if err != nil {
			return err
		}
		if i := slices.Index(batch.Docs, wire.Document{Kind: uint8(ref.Kind), Entity: ref.Entity}); i >= 0 {
			parts = append(parts, arrived{rec.Arrival, batch, i})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	if kept := l.inLog(); count != kept {
		return fmt.Errorf("the log has %d envelopes of %d: %w", count, kept, ErrDamaged)
	}
	slices.SortFunc(parts, func(a, b arrived) int { return cmp.Compare(a.arrival, b.arrival) })
	for _, p := range parts {
		changes, err := p.batch.Of(p.doc, doc.At)
		if err == nil {
			_, err = doc.Apply(changes)
		}
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
	}
	return nil
}

var errNoChange = errors.New("the log has no change of it")

// readPending gives a document the own changes of it that are not sealed.
func (l *loop) readPending(doc *crdt.Document, ref account.Ref) error {
	err := l.eachPending(func(_ []byte, c localChange) error {
		if c.ref != ref {
			return nil
		}
		parsed, err := change.Parse(c.raw)
		if err == nil {
			_, err = doc.Apply([]crdt.Change{parsed})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read changes that wait to be sealed: %w", err)
	}
	return nil
}
