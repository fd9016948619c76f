package model

import (
	"cmp"
	"encoding/json"
)

// Position is the place of a message in a chat: positions are ordered by the
// message's own timestamp and then by its id, never by arrival.
type Position struct {
	Time Time   `json:"time" cbor:"1,keyasint"`
	ID   string `json:"id" cbor:"2,keyasint"`
}

// Compare orders positions by (Time, ID).
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Time, q.Time), cmp.Compare(p.ID, q.ID))
}

// IsZero says whether p is before every message.
func (p Position) IsZero() bool { return p == Position{} }

// Chat is the effective metadata of one chat. It holds nothing that was
// evaluated at a clock: whether a mute has ended is for the reader to say.
type Chat struct {
	ID           string    `json:"id" cbor:"1,keyasint"`
	Read         *Position `json:"read,omitempty" cbor:"2,keyasint,omitempty"`
	MarkedUnread bool      `json:"marked_unread" cbor:"3,keyasint,omitempty"`
	// MutedUntil is the absolute end of the mute, 0 when not muted.
	MutedUntil Time `json:"-" cbor:"4,keyasint,omitempty"`
	// Archived is the stored choice; see ArchivedGiven for what to display.
	Archived bool `json:"archived" cbor:"5,keyasint,omitempty"`
	// ArchiveSeen is the newest message on the screen when Archived was chosen.
	ArchiveSeen *Position `json:"archive_seen,omitempty" cbor:"6,keyasint,omitempty"`
	Pinned      bool      `json:"pinned" cbor:"7,keyasint,omitempty"`
	// PinOrder places the chat among the pinned ones, compared as bytes.
	PinOrder string   `json:"pin_order,omitempty" cbor:"8,keyasint,omitempty"`
	Labels   []string `json:"labels" cbor:"9,keyasint,omitempty"`  // ids, sorted
	Drafts   []Draft  `json:"drafts" cbor:"10,keyasint,omitempty"` // newest first
}

// ArchivedGiven is what an interface displays: the chat stays archived while
// no message arrived after the one that was on the screen, and also when the
// account keeps archived chats archived or the chat is muted now.
func (c Chat) ArchivedGiven(incoming Position, keep, muted bool) bool {
	if !c.Archived || keep || muted {
		return c.Archived
	}
	var seen Position
	if c.ArchiveSeen != nil {
		seen = *c.ArchiveSeen
	}
	return incoming.Compare(seen) <= 0
}

// chatJSON writes MutedUntil as null, an instant or "forever".
type chatJSON struct {
	chatAlias
	MutedUntil *Time `json:"muted_until"`
}

type chatAlias Chat

// MarshalJSON implements json.Marshaler.
func (c Chat) MarshalJSON() ([]byte, error) {
	j := chatJSON{chatAlias: chatAlias(c)}
	if c.MutedUntil != 0 {
		j.MutedUntil = &c.MutedUntil
	}
	if j.Labels == nil {
		j.Labels = []string{}
	}
	if j.Drafts == nil {
		j.Drafts = []Draft{}
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *Chat) UnmarshalJSON(b []byte) error {
	var j chatJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*c = Chat(j.chatAlias)
	if j.MutedUntil != nil {
		c.MutedUntil = *j.MutedUntil
	}
	return nil
}

// Draft is one text that was begun and neither sent nor cleared.
type Draft struct {
	ID   string `json:"id" cbor:"1,keyasint"`
	Text string `json:"text" cbor:"2,keyasint"`
}

// Contact is the effective card of one contact.
type Contact struct {
	ID     string        `json:"id" cbor:"1,keyasint"`
	Fields ContactFields `json:"fields" cbor:"2,keyasint"`
	Phones []Labelled    `json:"phones,omitempty" cbor:"3,keyasint,omitempty"` // sorted by value
	Emails []Labelled    `json:"emails,omitempty" cbor:"4,keyasint,omitempty"`
	// Addresses hold the seven components of RFC 6350 section 6.3.1, joined
	// and escaped as that section writes them.
	Addresses []Labelled `json:"addresses,omitempty" cbor:"5,keyasint,omitempty"`
	Links     []Labelled `json:"links,omitempty" cbor:"6,keyasint,omitempty"`
}

// ContactFields are the single-valued parts of a card, by name: see
// ContactFieldNames. An absent name means that the field is empty.
type ContactFields map[string]string

// ContactFieldNames are the fields a card can have. Dates are as RFC 6350
// writes them; photo is "sha256:" and a hexadecimal digest.
var ContactFieldNames = []string{
	"name", "given", "family", "additional", "prefix", "suffix",
	"nickname", "company", "title", "birthday", "note", "photo",
}

// Labelled is one element of a multi-valued part of a card.
type Labelled struct {
	Value string `json:"value" cbor:"1,keyasint"`
	Label string `json:"label,omitempty" cbor:"2,keyasint,omitempty"` // home, work, cell …
}

// Setting is one setting in one scope.
type Setting struct {
	Key   string `json:"key" cbor:"1,keyasint"`
	Scope string `json:"scope" cbor:"2,keyasint"` // see ParseScope
	// Value is any JSON value in canonical form (RFC 8785).
	Value json.RawMessage `json:"value" cbor:"3,keyasint"`
}

// Label is a list that chats can be put on.
type Label struct {
	ID    string `json:"id" cbor:"1,keyasint"`
	Name  string `json:"name" cbor:"2,keyasint"`
	Color string `json:"color,omitempty" cbor:"3,keyasint,omitempty"`
	Order string `json:"order,omitempty" cbor:"4,keyasint,omitempty"`
}

// Device is one member of the account.
type Device struct {
	ID   string `json:"id"`   // 32 hexadecimal digits
	Name string `json:"name"` // last chosen by any device
	// AddedBy is the id of the sponsor, empty for one that began the account or restored it.
	AddedBy   string `json:"added_by,omitempty"`
	AddedAt   Time   `json:"added_at"`
	Self      bool   `json:"self"`
	Connected bool   `json:"connected"`
	// LastHeard is when this device last heard from it, 0 for never.
	LastHeard Time `json:"-"`
}

// State is the whole effective state of an account, sorted by id, scope and
// key, so that equal replicas print equal bytes. Devices here hold only what
// is replicated.
type State struct {
	Account  string       `json:"account"`
	Chats    []Chat       `json:"chats"`
	Contacts []Contact    `json:"contacts"`
	Labels   []Label      `json:"labels"`
	Settings []Setting    `json:"settings"`
	Devices  []DeviceName `json:"devices"`
}

// DeviceName is the replicated part of a Device.
type DeviceName struct {
	ID   string `json:"id" cbor:"1,keyasint"`
	Name string `json:"name" cbor:"2,keyasint"`
}
