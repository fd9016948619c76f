package replica

import (
	"errors"
	"fmt"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

// The tree of hashes that two devices go down together has the buckets of the
// fingerprint below its root, which are kept. What is below a bucket is summed up
// from the records of its documents when somebody asks: with a hundred thousand
// documents that is four hundred records.

// branch returns what is below a prefix of document ids as it is told to others: in
// sums at the root and where there are many documents.
func (l *loop) branch(prefix []byte) (*wire.Probed, error) {
	m := &wire.Probed{Prefix: prefix}
	if len(prefix) == 0 {
		return m, l.buckets(m)
	}
	var sums [wire.Branches][32]byte
	n := 0
	err := l.eachLeaf(prefix, func(leaf wire.Leaf) {
		if n++; n <= wire.MaxLeaves {
			m.Leaves = append(m.Leaves, leaf)
		}
		if len(prefix) < wire.MaxPrefix {
			sum := &sums[leaf.ID[len(prefix)]]
			*sum = add(*sum, leaf.Hash)
		}
	})
	if n > wire.MaxLeaves {
		m.Leaves, m.Sums = nil, sums[:]
	}
	return m, err
}

// likewise returns what is here where another device has theirs, in the same form,
// and then all of it.
func (l *loop) likewise(theirs *wire.Probed) (*wire.Probed, error) {
	m := &wire.Probed{Prefix: theirs.Prefix}
	switch {
	case len(theirs.Prefix) == 0:
		return m, l.buckets(m)
	case len(theirs.Sums) == 0:
		return m, l.eachLeaf(theirs.Prefix, func(leaf wire.Leaf) { m.Leaves = append(m.Leaves, leaf) })
	}
	m.Sums = make([][32]byte, wire.Branches)
	return m, l.eachLeaf(theirs.Prefix, func(leaf wire.Leaf) {
		sum := &m.Sums[leaf.ID[len(theirs.Prefix)]]
		*sum = add(*sum, leaf.Hash)
	})
}

// buckets are those of the store. Those in memory may be ahead of it.
func (l *loop) buckets(m *wire.Probed) error {
	f, err := openFingerprint(l.config.Store, l.config.Log)
	if err != nil {
		return err
	}
	m.Sums = f.buckets[:]
	return nil
}

// eachLeaf goes through the documents below a prefix, by id. One that cannot be read
// counts as not there, or as it was without its tail, so that it is asked for.
func (l *loop) eachLeaf(prefix []byte, do func(wire.Leaf)) error {
	err := eachDocument(l.config.Store, prefix, nil, func(id account.DocumentID, doc *docStored) error {
		do(wire.Leaf{ID: id, Hash: doc.Leaf})
		return nil
	}, func(*store.DamagedError) error { return nil })
	if _, err = damagedRecords(err); err != nil {
		return fmt.Errorf("documents below %x: %w", prefix, err)
	}
	return nil
}

// answerProbe sends a branch of the tree. A device that cannot be answered would
// wait for ever.
func (l *loop) answerProbe(e core.AnswerProbe) {
	m, err := l.branch(e.Prefix)
	if err == nil {
		l.send(core.Send{Session: e.Session, Message: m})
		return
	}
	l.fault("", err)
	if link := l.links[e.Session]; link != nil {
		l.unlink(link, err)
	}
}

func (l *loop) look(e core.Look) {
	ours, err := l.likewise(e.Theirs)
	l.perform(l.core.Step(core.Looked{Session: e.Session, Theirs: e.Theirs, Ours: ours, Err: err}))
}

// refOf says what a document is about, if its record is here and can be read.
func (l *loop) refOf(id account.DocumentID) (account.Ref, bool) {
	var rec docRecord
	found, err := get(l.config.Store, tableDocs, id[:], &rec)
	if err != nil && !errors.Is(err, store.ErrDamaged) {
		l.fault("", err)
	}
	return rec.ref(), found && err == nil
}
