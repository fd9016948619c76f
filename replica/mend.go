package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/store"
)

// Mended is what Mend has made anew.
type Mended struct {
	Changes     int           // that wait to be sealed
	Documents   []account.Ref // with their index entries
	Entries     int           // of the index, about nothing that exists
	Local       int           // damaged device-local records that were forgotten
	Fingerprint bool
}

// mendAtOnce is how many documents are made durable together.
const mendAtOnce = 64

// Mend makes anew what Verify says is wrong and what can be computed from what is
// whole: documents, index entries and the fingerprint from the log and the changes
// that wait, and these from the documents. Damaged device-local records, which
// nobody can read, are forgotten.
//
// Errors: ErrDamaged when the log itself cannot be read as a whole, or a document
// and a change that waits are both damaged; those of the store. What was made anew
// by then is durable.
func (r *Replica) Mend(ctx context.Context) (Mended, error) {
	var m Mended
	err := r.ask(ctx, func(l *loop) (err error) {
		m, err = l.mend(ctx)
		return err
	})
	if err != nil {
		return m, fmt.Errorf("mend: %w", closed(err))
	}
	return m, nil
}

func (l *loop) mend(ctx context.Context) (m Mended, err error) {
	if m.Changes, err = l.mendPending(ctx); err != nil {
		return m, err
	}
	v := newVerification(&model.Verification{}, ctx.Err)
	if err := l.verify(v); err != nil {
		return m, err
	}
	slices.SortFunc(v.bad, compareRefs)
	for refs := range slices.Chunk(slices.Compact(v.bad), mendAtOnce) {
		if err := l.mendDocuments(refs); err != nil {
			return m, err
		}
		m.Documents = append(m.Documents, refs...)
	}
	if m.Entries, err = l.mendIndex(); err != nil {
		return m, err
	}
	if m.Local, err = l.mendLocal(); err != nil {
		return m, err
	}
	m.Fingerprint, err = l.mendFingerprint()
	return m, err
}

// mendDocuments writes documents anew. They replace what the log can be without.
func (l *loop) mendDocuments(refs []account.Ref) error {
	b := &store.Batch{}
	if err := l.docs.begin(b); err != nil {
		return err
	}
	defer l.docs.abort() // what is in memory is older now
	for _, ref := range refs {
		doc, err := l.remake(ref)
		if err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
		id := ref.ID(l.docs.account)
		l.docs.open.Add(id, remade(ref, id, doc))
	}
	if err := l.docs.finish(); err != nil {
		return err
	}
	return l.config.Store.Commit(b)
}

// mendIndex deletes entries of the index that cannot be read and whose document
// has none: a contact that was deleted, say.
func (l *loop) mendIndex() (n int, err error) {
	b := &store.Batch{}
	damaged, err := damagedRecords(l.config.Store.Scan(tableIndex, nil, nil, func(_, _ []byte) error { return nil }))
	if err != nil {
		return 0, err
	}
	for _, d := range damaged {
		b.Delete(tableIndex, d.Key)
	}
	if b.Len() == 0 {
		return 0, nil
	}
	return b.Len(), l.config.Store.Commit(b)
}

// mendLocal forgets device-local records that cannot be read. They are addresses
// and the like, which come again.
func (l *loop) mendLocal() (n int, err error) {
	damaged, err := damagedRecords(l.config.Store.Scan(tableLocal, nil, nil, func(_, _ []byte) error { return nil }))
	if err != nil || len(damaged) == 0 {
		return 0, err
	}
	b := &store.Batch{}
	for _, d := range damaged {
		b.Delete(tableLocal, d.Key)
	}
	return len(damaged), l.config.Store.Commit(b)
}

// mendFingerprint stores the fingerprint of the documents if another one is there.
func (l *loop) mendFingerprint() (bool, error) {
	sum, err := sumDocuments(l.config.Store)
	if err != nil {
		return false, err
	}
	stored, err := loadFingerprint(l.config.Store)
	if err == nil && stored.buckets == sum.buckets {
		return false, nil
	}
	if err != nil && !errors.Is(err, store.ErrDamaged) {
		return false, err
	}
	b := &store.Batch{}
	root := sum.root()
	sum.flush(b)
	if err := l.config.Store.Commit(b); err != nil {
		return false, err
	}
	*l.docs.prints, l.docs.stale = *sum, false
	l.setPrint(root)
	return true, nil
}
