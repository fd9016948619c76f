package replica

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/store"
)

// views writes the index: per document the effective value that package
// account computes from it, so that lists and reads load no document.
type views struct {
	pins map[string]string // chat id → order of the pinned chats; nil until somebody pins
}

// viewOf returns what the index holds for a document, nil for nothing: a
// deleted contact, or a kind that this version does not know.
func viewOf(doc *document) any {
	switch doc.ref.Kind {
	case account.KindChat:
		return account.ViewChat(doc.doc, doc.ref.Entity)
	case account.KindContact:
		if c, alive := account.ViewContact(doc.doc, doc.ref.Entity); alive {
			return c
		}
	case account.KindSettings:
		return account.ViewSettings(doc.doc)
	case account.KindLabels:
		return account.ViewLabels(doc.doc)
	case account.KindDevices:
		return account.ViewDevices(doc.doc)
	}
	return nil
}

func (v *views) write(b *store.Batch, doc *document) {
	view := viewOf(doc)
	if view == nil {
		b.Delete(tableIndex, indexKey(doc.ref))
		return
	}
	b.Put(tableIndex, indexKey(doc.ref), encode(view))
	if chat, ok := view.(model.Chat); ok {
		v.notePin(chat)
	}
}

func (v *views) notePin(chat model.Chat) {
	switch {
	case v.pins == nil:
	case chat.Pinned:
		v.pins[chat.ID] = chat.PinOrder
	default:
		delete(v.pins, chat.ID)
	}
}

// reset forgets what was noted of a group that is not stored.
func (v *views) reset() { v.pins = nil }

// place fills in where an edit of a pin puts it.
func (v *views) place(s store.Store, e model.Edit, w crdt.Writer) (model.Edit, error) {
	if e.Op == model.ChatUnpin {
		delete(v.pins, e.ID) // for the next edit of this group
	}
	if e.Op != model.ChatPin || e.Order != "" {
		return e, nil
	}
	if err := v.loadPins(s); err != nil {
		return e, err
	}
	var pinned []model.Chat
	for _, id := range slices.Sorted(maps.Keys(v.pins)) {
		pinned = append(pinned, model.Chat{ID: id, Pinned: true, PinOrder: v.pins[id]})
	}
	order, err := account.PinOrder(pinned, e, w)
	if err != nil {
		return e, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if e.Order = order; order != "" {
		v.pins[e.ID] = order // for the next edit of this group
	}
	e.Before, e.After = "", ""
	return e, nil
}

// loadPins reads the pinned chats. One whose index entry is damaged is left
// out: where another pin goes beside it matters less than that it can be set.
func (v *views) loadPins(s store.Store) error {
	if v.pins != nil {
		return nil
	}
	pins := map[string]string{}
	err := eachView(s, account.KindChat, func(c model.Chat) error {
		if c.Pinned {
			pins[c.ID] = c.PinOrder
		}
		return nil
	})
	var damaged *store.DamagedScan
	if err != nil && (!errors.As(err, &damaged) || damaged.Err != nil) {
		return fmt.Errorf("read pinned chats: %w", err)
	}
	v.pins = pins
	return nil
}

// eachView calls fn for the index entries of a kind, by entity.
func eachView[T any](s store.Store, kind account.Kind, fn func(T) error) error {
	return s.Scan(tableIndex, []byte{byte(kind)}, nil, func(key, value []byte) error {
		var v T
		if err := cbor.Unmarshal(value, &v); err != nil {
			return &store.DamagedError{Table: tableIndex, Key: slices.Clone(key), Err: err}
		}
		return fn(v)
	})
}

// eventKind is what events call the entities of a kind.
func eventKind(k account.Kind) string {
	switch k {
	case account.KindSettings:
		return "setting"
	case account.KindLabels:
		return "label"
	case account.KindDevices:
		return "device"
	}
	return k.String()
}

// parts returns what a document that holds many entities says of each; nil
// for a document of one entity.
func parts(doc *document) map[string][]byte {
	if doc.ref.Kind.PerEntity() {
		return nil
	}
	m := map[string][]byte{}
	switch v := viewOf(doc).(type) {
	case []model.Setting:
		for _, e := range v {
			m[e.Key] = append(m[e.Key], encode(e)...)
		}
	case []model.Label:
		for _, e := range v {
			m[e.ID] = encode(e)
		}
	case []model.DeviceName:
		for _, e := range v {
			m[e.ID] = encode(e)
		}
	}
	return m
}

// changedParts returns the entities that differ, sorted.
func changedParts(before, after map[string][]byte, ref account.Ref) []string {
	if ref.Kind.PerEntity() {
		return []string{ref.Entity}
	}
	changed := map[string]bool{}
	for id, b := range before {
		changed[id] = !bytes.Equal(b, after[id])
	}
	for id, b := range after {
		changed[id] = !bytes.Equal(b, before[id])
	}
	maps.DeleteFunc(changed, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(changed))
}
