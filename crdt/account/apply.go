package account

import (
	"fmt"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/model"
)

// performers perform a valid edit on its document.
var performers = map[model.Op]func(*crdt.Edit, model.Edit) error{
	model.ChatRead:      readChat,
	model.ChatUnread:    markUnread,
	model.ChatMute:      func(e *crdt.Edit, m model.Edit) error { return muteUntil(e, m.Until) },
	model.ChatUnmute:    func(e *crdt.Edit, m model.Edit) error { return muteUntil(e, 0) },
	model.ChatArchive:   archiveChat,
	model.ChatUnarchive: unarchiveChat,
	model.ChatPin:       pinChat,
	model.ChatUnpin:     func(e *crdt.Edit, m model.Edit) error { return pins.Remove(e, "") },
	model.ChatLabel:     labelChat,
	model.ChatUnlabel:   func(e *crdt.Edit, m model.Edit) error { return chatLabels.Remove(e, m.Label) },
	model.ChatDraft:     typeDraft,
	model.ChatDraftDone: finishDrafts,
	model.ContactSet:    setContact,
	model.ContactRemove: removeContact,
	model.SettingSet:    setSetting,
	model.SettingReset:  resetSetting,
	model.LabelSet:      setLabel,
	model.LabelRemove:   removeLabel,
	model.DeviceRename:  renameDevice,
}

// Apply validates an edit and performs it on e, which must be an edit of the
// document that RefOf names. It writes nothing if the state is already what
// the edit asks for. Where a chat is pinned is taken from Order alone: Before
// and After name other chats, see PinOrder.
func Apply(e *crdt.Edit, m model.Edit) error {
	if err := m.Validate(); err != nil {
		return err
	}
	if err := performers[m.Op](e, m); err != nil {
		return fmt.Errorf("%s %q: %w", m.Op, m.ID, err)
	}
	return nil
}

// choose sets a register unless it has the value already.
func choose[T comparable](e *crdt.Edit, r crdt.StampRegister[T], element string, v T) error {
	if old, _ := r.Get(e, element); old == v {
		return nil
	}
	return r.Set(e, element, v)
}
