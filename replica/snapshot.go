package replica

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

// A snapshot is the documents of one device at a frontier (package core says who
// gets one, and why it may be read while it changes). What comes of a document is
// merged like what comes in envelopes: the saved bytes are taken apart into
// changes, and those that are not here are applied, each checked. So a device that
// was away for a year keeps what it wrote meanwhile, and nothing that another
// device has saved reaches the Automerge core.
//
// The changes of a snapshot are not signed by who wrote them: its sender, a member
// that has authenticated itself, answers for them.

// sendDocuments sends the documents that another device asked for, once there is
// nothing in them that is not sealed: such changes may yet be written again by
// another writer, and would be in the other device's documents for good. The group in
// flight counts, too: it may be on the disk already, and so in the documents.
func (l *loop) sendDocuments(e core.Serve) {
	if l.backlog() || l.flying != nil && l.flying.next.backlog() {
		l.owed = append(l.owed, e)
		return
	}
	part, err := l.part(e.Want)
	if err == nil {
		l.send(core.Send{Session: e.Session, Message: part})
		return
	}
	err = fmt.Errorf("send documents: %w", err)
	l.fault("", err)
	if link := l.links[e.Session]; link != nil {
		l.unlink(link, err)
	}
}

func (l *loop) part(want *wire.Want) (*wire.Part, error) {
	p := &wire.Part{Last: want.After}
	var docs []wire.Saved
	var err error
	if len(want.IDs) > 0 {
		docs, err = l.savedOf(want.IDs)
	} else {
		docs, err = l.savedAfter(p)
	}
	if err != nil {
		return nil, err
	}
	p.Packed, err = wire.ElideSaved(docs, naming)
	if !errors.Is(err, wire.ErrNotWhole) {
		return p, err
	}
	defer l.over()
	for i := range docs {
		if err := l.makeWhole(&docs[i]); err != nil {
			return nil, err
		}
	}
	p.Packed, err = wire.ElideSaved(docs, naming)
	return p, err
}

// makeWhole lets Automerge save a document that is to be sent.
func (l *loop) makeWhole(s *wire.Saved) error {
	ref := account.Ref{Kind: account.Kind(s.Kind), Entity: s.Entity}
	if s.Changes == nil {
		return nil
	}
	if !l.risk(ref.ID(l.docs.account)) {
		return fmt.Errorf("%s: it is kept as its changes", ref)
	}
	doc := crdt.NewDocument(l.docs.writer)
	_, err := doc.Apply(s.Changes)
	if err == nil {
		s.Doc, err = doc.Save()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", ref, err)
	}
	s.Changes = nil
	return nil
}

// sent returns a document as it is sent.
func (r *docRecord) sent() (s wire.Saved, err error) {
	s = wire.Saved{Kind: r.Kind, Entity: r.Entity}
	if len(r.Packs) == 0 {
		s.Doc = r.Saved
		return s, nil
	}
	s.Changes, err = crdt.StoredChanges(r.Saved, r.Packs)
	return s, err
}

// size is about what Automerge would save of it, in bytes.
func (r *docRecord) size() int {
	n := len(r.Saved)
	for _, p := range r.Packs {
		n += len(p)
	}
	return n
}

// savedAfter returns the documents behind p.Last, in the order of ids. All of them
// have to be readable: what follows a hole would say that nothing is missing.
func (l *loop) savedAfter(p *wire.Part) (docs []wire.Saved, err error) {
	size := 0
	err = eachDocument(l.config.Store, nil, p.Last[:], func(id account.DocumentID, doc *docStored) error {
		if [16]byte(id) == p.Last {
			return nil
		}
		if size >= l.limits.part || len(docs) == wire.MaxBatchDocs {
			p.More = true
			return store.ErrStop
		}
		saved, err := doc.sent()
		if err != nil {
			return &store.DamagedError{Table: tableDocs, Key: bytes.Clone(id[:]), Err: err}
		}
		docs = append(docs, saved)
		size += doc.size() + len(doc.Entity)
		p.Last = id
		return nil
	}, refuseMalformed)
	return docs, err
}

// savedOf returns those of the documents that are here and can be read.
func (l *loop) savedOf(ids [][16]byte) (docs []wire.Saved, err error) {
	size := 0
	for _, id := range ids {
		doc, err := getDocument(l.config.Store, id)
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			return nil, err
		}
		if doc == nil {
			continue
		}
		if size += doc.size(); size > wire.MaxSaved {
			continue
		}
		if saved, err := doc.sent(); err == nil {
			docs = append(docs, saved)
		}
	}
	return docs, nil
}

// sendOwed sends what had to wait for the backlog.
func (l *loop) sendOwed() {
	if l.backlog() {
		return
	}
	waiting := l.owed
	l.owed = nil
	for _, e := range waiting {
		if l.links[e.Session] != nil {
			l.sendDocuments(e)
		}
	}
}

// spoilt is the failure of documents that another device sent to apply.
type spoilt struct {
	part core.Absorb
	err  error
}

func (s *spoilt) Error() string { return fmt.Sprintf("documents of a snapshot: %v", s.err) }
func (s *spoilt) Unwrap() error { return s.err }

// absorb merges the next part of a snapshot, if there is one.
func (l *loop) absorb(g *group) error {
	if len(l.parts) == 0 {
		return nil
	}
	part := l.parts[0]
	l.parts, g.part = l.parts[1:], &part
	id := sha256.Sum256(part.Packed)
	err := l.under(id, setAsideRecord{Device: part.Device})
	if err == nil {
		err = l.mergeSaved(g, &part)
	}
	if err != nil {
		return &spoilt{part, err}
	}
	l.clear(g, id)
	if part.Chains != nil {
		l.adoptChains(g, part.Chains)
	}
	return nil
}

// absorbed goes on after a group with documents, if it has any.
func (l *loop) absorbed(g *group) {
	if g.part != nil {
		l.perform(l.core.Step(core.Absorbed{Session: g.part.Session, Device: g.part.Device, Mended: g.part.Mended, Differ: g.part.Differ != nil}))
	}
}

// mergeSaved takes everything apart before it applies anything. Of documents that
// were asked for by name it takes no others, and of damaged ones those that are still
// wanted: every device was asked for them, and another one may have answered first.
func (l *loop) mergeSaved(g *group, part *core.Absorb) error {
	saved, err := wire.DecodeSaved(part.Packed, naming)
	if err != nil {
		return err
	}
	if part.Mended || part.Differ != nil {
		saved = slices.DeleteFunc(saved, func(s wire.Saved) bool {
			id := account.Ref{Kind: account.Kind(s.Kind), Entity: s.Entity}.ID(l.docs.account)
			return part.Mended && !l.wanted[id] || part.Differ != nil && !slices.Contains(part.Differ, [16]byte(id))
		})
	}
	refs, changes := make([]account.Ref, len(saved)), make([][]crdt.Change, len(saved))
	for i := range saved {
		s := &saved[i]
		refs[i] = account.Ref{Kind: account.Kind(s.Kind), Entity: s.Entity}
		if err := refs[i].Check(); err != nil {
			return err
		}
		if changes[i], err = s.Parse(); err != nil {
			return fmt.Errorf("%s: %w", refs[i], err)
		}
	}
	for i, ref := range refs {
		if err := l.mergeOne(g, part, ref, changes[i]); err != nil {
			return err
		}
	}
	return nil
}

// errForked says why changes of a snapshot are left out.
var errForked = errors.New("their writer has given another change with the same number to this device, or they rest on such a change")

// mergeSound merges what is not forked.
func (l *loop) mergeSound(g *group, ref account.Ref, changes []crdt.Change, device encryption.DeviceID) error {
	sound, err := l.withoutForks(ref, changes)
	if err != nil {
		return err
	}
	l.fault("", fmt.Errorf("%s: %d changes of a snapshot are left out: %w", ref, len(changes)-len(sound), errForked))
	return l.merge(g, ref, sound, device)
}

// withoutForks returns the changes but for those of writers that have forked the
// document, and for what rests on these. Otherwise one hostile member could spoil every
// snapshot between two others.
func (l *loop) withoutForks(ref account.Ref, changes []crdt.Change) ([]crdt.Change, error) {
	doc, err := l.docs.get(ref)
	if err != nil {
		return nil, err
	}
	out, forked := map[crdt.Hash]bool{}, map[[16]byte]bool{}
	for _, c := range changes {
		hash, known := doc.doc.At(change.Place{Actor: c.Actor, Seq: c.Seq})
		if known && hash == c.Hash {
			continue
		}
		forked[c.Actor] = forked[c.Actor] || known
		if forked[c.Actor] || slices.ContainsFunc(c.Deps, func(h crdt.Hash) bool { return out[h] }) {
			out[c.Hash] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(changes), func(c crdt.Change) bool { return out[c.Hash] }), nil
}

func (l *loop) mergeOne(g *group, part *core.Absorb, ref account.Ref, changes []crdt.Change) error {
	if !part.Mended && part.Differ == nil {
		err := l.merge(g, ref, changes, part.Device)
		if errors.Is(err, crdt.ErrConflict) {
			err = l.mergeSound(g, ref, changes, part.Device)
		}
		return err
	}
	if err := l.refetch(g, ref, changes, part.Device); err != nil {
		return err
	}
	return l.reconcile(g, ref, changes, part.Device)
}

// adoptChains makes it part of the group that this device holds what a snapshot
// says. The logs of the writers that it leads on begin behind it.
func (l *loop) adoptChains(g *group, chains map[encryption.WriterID]encryption.Chain) {
	base := l.nextBase(g)
	for _, a := range l.core.Adopt(chains) {
		for seq := base.Chains[a.Writer].Seq + 1; seq <= a.Before.Seq; seq++ {
			g.batch.Delete(tableLog, logKey(a.Writer, seq))
			base.Dropped++
		}
		base.Chains[a.Writer] = chainToRecord(a.Chain)
		g.batch.Put(tableChains, a.Writer[:], encode(chainToRecord(a.Chain)))
	}
	g.batch.Put(tableMeta, keyBase, encode(base))
}

// nextBase returns what the base is after the group, to be changed.
func (l *loop) nextBase(g *group) *baseRecord {
	if g.base == nil {
		g.base = &baseRecord{Dropped: l.base.Dropped, Chains: maps.Clone(l.base.Chains)}
		if g.base.Chains == nil {
			g.base.Chains = map[[16]byte]chainRecord{}
		}
	}
	return g.base
}
