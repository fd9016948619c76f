package model

import "encoding/json"

// Op names what an Edit does. The part before the dot is the kind of the
// entity that Edit.ID names.
type Op string

// The edits that a person makes. In parentheses the arguments that count.
const (
	ChatRead      Op = "chat.read"      // (At) the message on the screen; also clears a mark as unread
	ChatUnread    Op = "chat.unread"    // mark as unread
	ChatMute      Op = "chat.mute"      // (Until) absolute end, or Forever
	ChatUnmute    Op = "chat.unmute"    //
	ChatArchive   Op = "chat.archive"   // (At, optional) the newest message on the screen
	ChatUnarchive Op = "chat.unarchive" //
	ChatPin       Op = "chat.pin"       // (Order, or Before or After a pinned chat; none: behind the last)
	ChatUnpin     Op = "chat.unpin"     //
	ChatLabel     Op = "chat.label"     // (Label) an id
	ChatUnlabel   Op = "chat.unlabel"   // (Label)
	ChatDraft     Op = "chat.draft"     // (Text; Draft, optional: the draft that was on the screen)
	ChatDraftDone Op = "chat.draftdone" // (Draft, optional: all) sent or cleared

	ContactSet    Op = "contact.set"    // (Contact) a patch
	ContactRemove Op = "contact.remove" //

	SettingSet   Op = "setting.set"   // (Scope, Value); ID is the key
	SettingReset Op = "setting.reset" // (Scope)

	LabelSet    Op = "label.set"    // (Name, Color, Order: those given)
	LabelRemove Op = "label.remove" //

	DeviceRename Op = "device.rename" // (Name); ID is the device
)

// Edit is one thing that a person decided, as data. It is what travels from
// the command line and from apps to the replica; it is never replicated
// itself.
type Edit struct {
	Op      Op              `json:"op"`
	ID      string          `json:"id"`
	At      *Position       `json:"at,omitempty"`
	Until   Time            `json:"until,omitzero"`
	Order   string          `json:"order,omitempty"`
	Before  string          `json:"before,omitempty"`
	After   string          `json:"after,omitempty"`
	Label   string          `json:"label,omitempty"`
	Draft   string          `json:"draft,omitempty"`
	Text    *string         `json:"text,omitempty"`
	Scope   string          `json:"scope,omitempty"`
	Value   json.RawMessage `json:"value,omitempty"`
	Name    *string         `json:"name,omitempty"`
	Color   *string         `json:"color,omitempty"`
	Contact *ContactPatch   `json:"contact,omitempty"`
}

// ContactPatch changes what it names and leaves the rest of a card alone.
type ContactPatch struct {
	// Fields by name; an empty string empties the field.
	Fields map[string]string `json:"fields,omitempty"`
	Add    ContactItems      `json:"add,omitzero"`
	Remove ContactItems      `json:"remove,omitzero"` // matched by Value
}

// ContactItems are elements of the multi-valued parts of a card.
type ContactItems struct {
	Phones    []Labelled `json:"phones,omitempty"`
	Emails    []Labelled `json:"emails,omitempty"`
	Addresses []Labelled `json:"addresses,omitempty"`
	Links     []Labelled `json:"links,omitempty"`
}
