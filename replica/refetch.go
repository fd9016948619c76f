package replica

import (
	"bytes"
	"errors"
	"slices"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/store"
)

// A document whose record is damaged is made anew from the log as long as that
// is whole (remake.go). Where it is not, the other devices are asked, those who are
// there and those who come. What they send is joined with what the log here still
// has, and with what is not sealed yet.

// refetchAll asks the other devices for documents that cannot be made from the log.
func (l *loop) refetchAll(ids []account.DocumentID) {
	for _, id := range ids {
		if len(l.base.Chains) > 0 {
			l.wants(id)
		}
	}
}

// wants asks the other devices for a document.
func (l *loop) wants(id account.DocumentID) {
	if l.wanted[id] {
		return
	}
	l.wanted[id] = true
	if _, lacks := l.lacking[id]; !lacks {
		l.config.Log.Warn("a damaged document is asked for from the other devices", "document", id)
	}
	l.core.Wants(l.wantedIDs())
	l.perform(l.core.Step(core.Mend{ID: id}))
}

// wantedIDs returns the documents that are wanted, by id.
func (l *loop) wantedIDs() [][16]byte {
	var ids [][16]byte
	for id := range l.wanted { // order-free: sorted below
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// refetch makes room for what another device sends of a document, if its record
// here is damaged: then the document begins anew with that.
func (l *loop) refetch(g *group, ref account.Ref, changes []crdt.Change, device encryption.DeviceID) error {
	id := ref.ID(l.docs.account)
	g.mended = append(g.mended, id)
	_, err := l.docs.get(ref)
	if !errors.Is(err, store.ErrDamaged) {
		return err
	}
	doc, err := l.docs.replace(ref)
	if err != nil {
		return err
	}
	g.recount = true
	if _, err := doc.doc.Apply(changes); err != nil {
		return err
	}
	if err := l.readLog(doc.doc, ref); err != nil { // whole or not
		return err
	}
	if err := l.readPending(doc.doc, ref); err != nil {
		return err
	}
	for _, entity := range changedParts(nil, parts(doc), ref) {
		g.events = append(g.events, model.Event{Kind: eventKind(ref.Kind), Entity: entity, Device: device.String()})
	}
	return nil
}

// healed follows a group that is durable.
func (l *loop) healed(g *group) {
	if len(g.mended) == 0 {
		return
	}
	for _, id := range g.mended {
		if !l.stillLacks(id) {
			delete(l.wanted, id)
		}
	}
	l.docs.due = l.docs.due || g.recount
	l.core.Wants(l.wantedIDs())
}
