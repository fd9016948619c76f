package replica

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/store"
)

// A writer must never make two envelopes under one number, and a store that is
// a copy, or was put back to an earlier state, does not know all the numbers
// that are used. So its device becomes another writer: at Open where the store
// itself can tell, and otherwise when another device tells what it knows, which
// is before anything is sealed for that one. What was sealed before is then the
// log of a writer like any other, and what is missing of it is fetched. The same
// happens to a device that was added to the account again, whose writers so far
// belong to the id that it had before.

// errRewound says what has happened, for people.
var errRewound = errors.New("this directory is a copy or was restored: it writes under a new identity from now on")

// loser is a store that may know that it has lost its end.
type loser interface{ Lost() error }

// openPlace returns why the store is not the one that was written to last, or
// nothing. That is made durable before anything else is, because what tells it
// may be gone then.
func (r *Replica) openPlace(f formatRecord) (string, error) {
	s := r.config.Store
	if f.Device != [16]byte(r.id.Device()) && !r.id.Was(f.Device) {
		return "", ErrWrongAccount
	}
	var reason string
	if _, err := get(s, tableMeta, keyRewound, &reason); err != nil {
		return "", err
	}
	known, err := s.Get(tableMeta, keyPlace)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	inside, outside, err := r.generations()
	if err != nil {
		return "", err
	}
	b := &store.Batch{}
	r.putGeneration(b)
	if reason == "" {
		if reason = r.moved(known, inside < outside); reason != "" {
			b.Put(tableMeta, keyRewound, encode(reason))
		} else if len(known) == 0 && len(r.config.Place) > 0 {
			b.Put(tableMeta, keyPlace, r.config.Place)
		}
	}
	if b.Len() == 0 {
		return reason, nil
	}
	switch err := s.Commit(b); {
	case err == nil:
		r.saveGeneration()
	case !errors.Is(err, ErrDiskFull):
		return "", fmt.Errorf("note that the store is another: %w", err)
	case reason != "":
		note := &store.Batch{}
		note.Put(tableMeta, keyRewound, encode(reason))
		r.config.Store = &noting{Store: s, note: note}
	}
	return reason, nil
}

// moved returns what tells a store from the one that was at a known place.
func (r *Replica) moved(known []byte, older bool) string {
	var reasons []string
	if len(known) > 0 && len(r.config.Place) > 0 && !bytes.Equal(known, r.config.Place) {
		reasons = append(reasons, "it is at another place than it was")
	}
	if older {
		reasons = append(reasons, "it is older than the one that was used last")
	}
	if l, ok := r.config.Store.(loser); ok && l.Lost() != nil {
		reasons = append(reasons, l.Lost().Error())
	}
	return strings.Join(reasons, "; ")
}

// rewind notes that the present writer must not be written under any more, and
// tells the person.
func (l *loop) rewind(reason string) {
	l.stale, l.due = true, true
	l.faults++
	l.config.Log.Error(errRewound.Error(), "why", reason) // it is for the person, who may know of a copy that still runs
	l.r.hub.publish([]model.Event{{Kind: "fault", Note: fmt.Sprintf("%v (%s)", errRewound, reason)}})
}

// renew becomes another writer if that is needed, in one transaction, which the
// loop waits for. No group may be in flight. After an error nothing has changed
// but that it is tried again before the next group.
func (l *loop) renew() error {
	l.due = false
	l.meetSure()
	if !l.stale && !l.salvageReady() {
		return nil
	}
	err := l.renewIn(&group{next: l.counters})
	l.docs.abort() // what is open is for the old writer, or half of the new one
	if err != nil {
		err = fmt.Errorf("write under a new identity: %w", err)
		l.fault("", err)
	}
	return err
}

// adopt follows the identity to the id that it has adopted, under which nothing
// was written yet.
func (l *loop) adopt() {
	l.stale, l.due = true, true
	l.config.Log.Warn("this device was added to the account again", "device", l.r.id.Device())
}

func (l *loop) renewIn(g *group) error {
	author := core.Author{Device: l.r.id.Device()}
	if _, err := io.ReadFull(l.config.Random, author.Nonce[:]); err != nil {
		return err
	}
	author.Writer = encryption.WriterFor(author.Device, author.Nonce)
	if err := l.docs.begin(&g.batch); err != nil {
		return err
	}
	ready, err := l.readyChanges()
	if err != nil {
		return fmt.Errorf("read salvaged changes: %w", err)
	}
	if err := l.reauthor(g, crdt.Writer(author.Writer)); err != nil {
		return err
	}
	if err := l.carryOver(g, crdt.Writer(author.Writer), ready); err != nil {
		return err
	}
	if err := l.docs.finish(); err != nil {
		return err
	}
	g.batch.Put(tableMeta, keyCounters, encode(g.next))
	g.batch.Put(tableMeta, keyFormat, encode(l.r.format()))
	g.batch.Put(tableMeta, keyInstance, author.Nonce[:])
	g.batch.Put(tableMeta, keyAnnounced, encode(announcedRecord(nil)))
	g.batch.Delete(tableMeta, keyRewound)
	if len(l.config.Place) > 0 {
		g.batch.Put(tableMeta, keyPlace, l.config.Place)
	}
	if err := l.config.Store.Commit(&g.batch); err != nil {
		return err
	}
	l.config.Log.Info("a new writer", "writer", author.Writer, "after", l.author.Writer, "changes", g.next.Pending-g.next.Sealed)
	l.author, l.stale, l.counters = author, false, g.next
	l.setPrint(l.docs.prints.root())
	l.docs.writer = crdt.Writer(author.Writer)
	l.core.Renew(author)
	l.r.hub.publish(g.events)
	return nil
}

// reauthor gives the changes that wait to be sealed to the new writer.
func (l *loop) reauthor(g *group, w crdt.Writer) error {
	withdrawn := map[account.Ref]map[crdt.Hash]bool{}
	var refs []account.Ref
	err := l.scanPending(l.counters.Sealed, func(n uint64, c *localChange) error {
		g.batch.Delete(tablePending, numberKey(n))
		if c == nil {
			return nil
		}
		parsed, err := change.Parse(c.raw)
		if err != nil {
			return err
		}
		if withdrawn[c.ref] == nil {
			withdrawn[c.ref] = map[crdt.Hash]bool{}
			refs = append(refs, c.ref)
		}
		withdrawn[c.ref][parsed.Hash] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("read changes that wait to be sealed: %w", err)
	}
	g.next.Sealed = g.next.Pending
	for _, ref := range refs {
		if err := l.reauthorDoc(g, ref, w, withdrawn[ref]); err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
	}
	return nil
}

func (l *loop) reauthorDoc(g *group, ref account.Ref, w crdt.Writer, withdrawn map[crdt.Hash]bool) error {
	doc, err := l.docs.get(ref)
	if err != nil {
		return err
	}
	return l.rewrite(g, ref, doc.doc, w, withdrawn)
}

// rewrite has changes of a version of the document, which is what it has or more,
// written by the new writer instead.
func (l *loop) rewrite(g *group, ref account.Ref, from *crdt.Document, w crdt.Writer, withdrawn map[crdt.Hash]bool) error {
	doc, err := l.docs.get(ref)
	if err != nil {
		return err
	}
	before := parts(doc)
	out, made, err := account.Reauthor(from, w, withdrawn)
	if err != nil {
		return err
	}
	doc.become(out)
	for _, c := range made {
		pending := (&localChange{ref: ref, raw: c.Raw, after: out.Places(&c)}).pending(encryption.WriterID(w))
		g.batch.Put(tablePending, numberKey(g.next.Pending), encode(pending))
		g.next.Pending++
	}
	for _, entity := range changedParts(before, parts(doc), ref) {
		g.events = append(g.events, model.Event{Kind: eventKind(ref.Kind), Entity: entity, Device: l.author.Device.String()})
	}
	return nil
}

// noticeCopy tells the person that somebody else writes as this device.
func (l *loop) noticeCopy(a *core.Admitted) {
	if c := a.Content; c.Seq == 1 && c.Device == l.author.Device && c.Writer != l.author.Writer {
		l.fault(c.Device.String(), fmt.Errorf("writer %s has written as this device: a copy of its directory is used, or a later state of it was lost", c.Writer))
	}
}
