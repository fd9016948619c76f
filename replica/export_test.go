package replica

import (
	"context"
	"errors"
	"strings"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/replica/store"
)

// KeptEvents is how many past events a subscriber can resume over.
const KeptEvents = keptEvents

// Waiting returns how many callers the loop remembers: of WaitInSync, and of
// Verify.
func (r *Replica) Waiting(ctx context.Context) (waiters, comparisons int, err error) {
	err = r.call(ctx, func(l *loop) { waiters, comparisons = len(l.waiters), len(l.comparing) })
	return waiters, comparisons, err
}

// ShortenLogs makes everything about the length of logs small: how many envelopes
// are kept when everybody has them, and when somebody is away.
func (r *Replica) ShortenLogs(ctx context.Context, keep, most uint64) error {
	return r.call(ctx, func(l *loop) {
		l.core.OfferFrom(16)
		l.limits = logLimits{keep: keep, most: most, tail: 4, every: 4, atOnce: 64, part: 2000}
	})
}

// TailsFrom has records of so many bytes get tails.
func (r *Replica) TailsFrom(ctx context.Context, bytes int) error {
	return r.call(ctx, func(l *loop) { l.docs.tailFrom = bytes })
}

// Rest does what a device does once it has rested, and returns when that is durable.
func (r *Replica) Rest(ctx context.Context) error {
	return r.ask(ctx, func(l *loop) error {
		for l.docs.tidy = len(l.docs.loose) > 0; l.docs.tidy; {
			if err := errors.Join(l.land(), l.begin(), l.land()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Record says how a document is kept: how many bytes Automerge has saved, and how many
// packs of changes there are beside it.
func (r *Replica) Record(ctx context.Context, ref account.Ref) (saved, packs int, err error) {
	err = r.ask(ctx, func(l *loop) error {
		rec, err := getDocument(l.config.Store, ref.ID(l.docs.account))
		if rec != nil {
			saved, packs = len(rec.Saved), len(rec.Packs)
		}
		return err
	})
	return saved, packs, err
}

// MarkOf is how the journal names a document that Automerge saves.
func (r *Replica) MarkOf(ctx context.Context, ref account.Ref) (mark [32]byte, err error) {
	err = r.call(ctx, func(l *loop) { mark = documentMark(ref.ID(l.docs.account)) })
	return mark, err
}

// RecentFirst orders a run of changes as a long backlog is. Each word is a change of so
// many bytes; its first letter is the document.
func RecentFirst(words string, bytes int) string {
	var run []localChange
	for _, word := range strings.Fields(words) {
		raw := append([]byte(word), make([]byte, bytes-len(word))...)
		run = append(run, localChange{ref: account.Ref{Kind: account.KindChat, Entity: word[:1]}, raw: raw})
	}
	var out []string
	for _, c := range recentFirst(run) {
		out = append(out, string(c.raw[:2]))
	}
	return strings.Join(out, " ")
}

// Underneath replaces documents by what change makes of their changes, as damage that
// nobody notices might: record, leaf and fingerprint are right for what there is then.
// Without any changes a document is gone.
func (r *Replica) Underneath(ctx context.Context, change func([]crdt.Change) []crdt.Change, refs ...account.Ref) error {
	return r.ask(ctx, func(l *loop) error {
		_ = l.land()
		b := &store.Batch{}
		if err := l.docs.begin(b); err != nil {
			return err
		}
		for _, ref := range refs {
			if err := l.underneath(b, ref, change); err != nil {
				return err
			}
		}
		if err := l.docs.finish(); err != nil {
			return err
		}
		if err := l.config.Store.Commit(b); err != nil {
			return err
		}
		l.setPrint(l.docs.prints.root())
		l.docs.abort()
		return nil
	})
}

func (l *loop) underneath(b *store.Batch, ref account.Ref, change func([]crdt.Change) []crdt.Change) error {
	doc, err := l.docs.get(ref)
	if err != nil {
		return err
	}
	changes, err := doc.doc.Changes()
	if err != nil {
		return err
	}
	doc.become(crdt.NewDocument(l.docs.writer))
	if changes = change(changes); len(changes) == 0 {
		doc.dirty = false
		l.docs.prints.replace(doc.id, doc.leaf, [32]byte{})
		b.Delete(tableDocs, doc.id[:])
		b.Delete(tableDocs, tailKey(doc.id))
		b.Delete(tableIndex, indexKey(ref))
		return nil
	}
	_, err = doc.doc.Apply(changes)
	return err
}
