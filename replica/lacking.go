package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// An envelope may rest on changes that came to its writer in documents, out of a
// transfer that was cut, and that no envelope brings because their author is gone. It
// cannot be applied here, and that is nobody's fault. Its writer waits, and the document
// is asked for from all devices until one of them has sent what is missing.

// maxLacking is how many documents are waited for at a time.
const maxLacking = 64

// lack is what a document must have before an envelope of some writer can be applied.
type lack struct {
	ref    account.Ref
	places []change.Place // what an elided envelope names by number
	hashes []crdt.Hash
}

// in says whether a document has all of it by now.
func (w *lack) in(doc *crdt.Document) bool {
	return !slices.ContainsFunc(w.places, func(p change.Place) bool { _, is := doc.At(p); return !is }) &&
		!slices.ContainsFunc(w.hashes, func(h crdt.Hash) bool { return !doc.Has(h) })
}

// missing is the failure of a verified envelope to apply because of that.
type missing struct {
	lack
	writer encryption.WriterID
	err    error
}

func (m *missing) Error() string { return m.err.Error() }
func (m *missing) Unwrap() error { return m.err }

// applyPart applies what an envelope has of one document, and returns its size.
func (l *loop) applyPart(g *group, ref account.Ref, batch *wire.Batch, i int, c *encryption.Content) (size int, err error) {
	if err := ref.Check(); err != nil {
		return 0, err
	}
	doc, err := l.docs.get(ref)
	if err != nil {
		return 0, err
	}
	w := lack{ref: ref}
	changes, err := batch.Of(i, func(p change.Place) (crdt.Hash, bool) {
		h, ok := doc.doc.At(p)
		if !ok {
			w.places = append(w.places, p)
		}
		return h, ok
	})
	if errors.Is(err, change.ErrUnknownChange) && len(w.places) > 0 {
		return 0, &missing{w, c.Writer, fmt.Errorf("%s: %w", ref, err)}
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", ref, err)
	}
	for _, one := range changes {
		size += len(one.Raw)
		if one.Actor != [16]byte(c.Writer) {
			return size, fmt.Errorf("%s: change %d is by actor %x", ref, one.Seq, one.Actor)
		}
	}
	err = l.merge(g, ref, changes, c.Device)
	switch {
	case errors.Is(err, crdt.ErrConflict):
		err = l.sign(g, doc, batch, i, c, err)
	case errors.Is(err, crdt.ErrMissing):
		err = lacks(doc, changes, c.Writer, err)
	}
	return size, err
}

// lacks says what the changes of an envelope rest on that is not here.
func lacks(doc *document, changes []crdt.Change, writer encryption.WriterID, err error) error {
	m := &missing{lack: lack{ref: doc.ref}, writer: writer, err: err}
	for _, c := range changes {
		for _, h := range c.Deps {
			if !doc.doc.Has(h) && !slices.ContainsFunc(changes, func(o crdt.Change) bool { return o.Hash == h }) {
				m.hashes = append(m.hashes, h)
			}
		}
	}
	if len(m.hashes) == 0 { // its own order is wrong
		return err
	}
	return m
}

// waitFor has a writer wait for what an envelope of it lacks. It returns false if too
// much is waited for already.
func (l *loop) waitFor(m *missing) bool {
	id := m.ref.ID(l.docs.account)
	if _, waits := l.lacking[id]; !waits && len(l.lacking) == maxLacking {
		return false
	}
	w := l.lacking[id]
	l.lacking[id] = lack{m.ref, append(w.places, m.places...), append(w.hashes, m.hashes...)}
	l.config.Log.Info("an envelope rests on changes that are not here; they are asked for", "document", m.ref, "writer", m.writer, "err", m.err)
	l.core.Hold(m.writer)
	l.wanted[id] = true
	l.core.Wants(l.wantedIDs())
	return true
}

// stillLacks says whether a document that came is to be asked for again.
func (l *loop) stillLacks(id account.DocumentID) bool {
	w, waits := l.lacking[id]
	if !waits {
		return false
	}
	doc, err := l.docs.get(w.ref)
	if err != nil || !w.in(doc.doc) {
		return true
	}
	delete(l.lacking, id)
	if len(l.lacking) == 0 {
		l.core.Release()
	}
	return false
}
