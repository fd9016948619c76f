package account

import (
	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/model"
)

// Position is the place of a message.
type Position = model.Position

// position is how a Position is written: an array of milliseconds and id.
type position struct {
	_    struct{} `cbor:",toarray"`
	Time int64
	ID   string
}

func writePosition(p Position) position { return position{Time: int64(p.Time), ID: p.ID} }

func (p position) read() Position { return Position{Time: model.Time(p.Time), ID: p.ID} }

func (p position) valid() bool { return model.CheckPosition(p.read()) == nil }

// The registers of a chat.
var (
	// The position read up to, on whichever device: it never goes back.
	readMarks = crdt.MaxRegister[position]{
		Field:   "read",
		Compare: func(a, b position) int { return a.read().Compare(b.read()) },
		Valid:   position.valid,
	}
	// Up when marked as unread and not opened since by somebody who saw the mark.
	unreadMarks = crdt.EnableWinsFlag{Field: "unread"}
	// The end of the mute, 0 for none. Not the maximum: that would forbid unmuting.
	mutes = crdt.StampRegister[int64]{Field: "mute", Valid: func(t int64) bool {
		return t == 0 || model.CheckUntil(model.Time(t)) == nil
	}}
	// Whether archived; the context is the newest message on the screen.
	archives = crdt.StampRegister[bool]{Field: "archive"}
	// The place among the pinned chats.
	pins = crdt.AddWinsSet[string]{Field: "pin", Valid: crdt.ValidOrder}
	// The labels, by id.
	chatLabels = crdt.AddWinsSet[bool]{Field: "label", Valid: func(on bool) bool { return on }}
)

// ViewChat returns the metadata of a chat. The document does not know the id
// of what it is about.
func ViewChat(d *crdt.Document, id string) model.Chat {
	c := model.Chat{ID: id, MarkedUnread: unreadMarks.Up(d, "")}
	if p, ok := readMarks.Get(d, ""); ok {
		c.Read = new(p.read())
	}
	until, _ := mutes.Get(d, "")
	c.MutedUntil = model.Time(until)
	c.Archived, c.ArchiveSeen = viewArchive(d)
	c.PinOrder, c.Pinned = pins.Get(d, "")
	for _, label := range d.Elements(chatLabels.Field) {
		if _, on := chatLabels.Get(d, label); on && model.CheckID(label) == nil {
			c.Labels = append(c.Labels, label)
		}
	}
	c.Drafts = viewDrafts(d)
	return c
}

func viewArchive(s crdt.Source) (archived bool, seen *Position) {
	archived, by, ok := archives.Join(s.Register(archives.Field, ""))
	if !ok || !archived {
		return false, nil
	}
	if p, ok := crdt.Decode[position](by.Context); ok && p.valid() {
		seen = new(p.read())
	}
	return true, seen
}

// readChat raises the read mark, and clears what is seen of a mark as unread,
// also when the chat was opened without anything new in it.
func readChat(e *crdt.Edit, m model.Edit) error {
	if err := readMarks.Raise(e, "", writePosition(*m.At)); err != nil {
		return err
	}
	return unreadMarks.Lower(e, "")
}

// markUnread adds a tag of this writer, unless the one it has is still up.
func markUnread(e *crdt.Edit, _ model.Edit) error {
	if unreadMarks.RaisedBy(e, "", e.Writer()) {
		return nil
	}
	return unreadMarks.Raise(e, "")
}

func muteUntil(e *crdt.Edit, t model.Time) error { return choose(e, mutes, "", int64(t)) }

func archiveChat(e *crdt.Edit, m model.Edit) error {
	archived, seen := viewArchive(e)
	if archived && (m.At == nil || seen != nil && *seen == *m.At) {
		return nil
	}
	if m.At == nil {
		return archives.Set(e, "", true)
	}
	return archives.SetSeeing(e, "", true, writePosition(*m.At))
}

func unarchiveChat(e *crdt.Edit, _ model.Edit) error { return choose(e, archives, "", false) }

func pinChat(e *crdt.Edit, m model.Edit) error {
	order, pinned := pins.Get(e, "")
	if pinned && (m.Order == "" || m.Order == order) {
		return nil
	}
	if m.Order == "" {
		m.Order = crdt.Between("", "", e.Writer())
	}
	return pins.Add(e, "", m.Order)
}

func labelChat(e *crdt.Edit, m model.Edit) error {
	if _, on := chatLabels.Get(e, m.Label); on {
		return nil
	}
	return chatLabels.Add(e, m.Label, true)
}
