// Package cardfile reads and writes vCard files as people have them: 2.1 from
// old phones (quoted-printable, national character sets), 3.0 from Apple and
// Google (groups, X-ABLabel), 4.0 from everybody else.
//
// Read yields one Card for each vCard of a file: the id that the contact gets
// and the patch that brings it about. Write puts one contact out as vCard 4.0
// that Read turns into the same contact again.
//
// Between the file and github.com/emersion/go-vcard stands a small reader that
// brings every version into one plain form, because that decoder knows neither
// quoted-printable nor character sets nor bare 2.1 parameters, skips lines
// that it cannot parse, and undoes escapes before the components of a value
// are apart. Its encoder is not used: it cannot write a semicolon inside a
// component and does not fold.
//
// What stays compatible: the id of a card without a UID (see cardID), and that
// an exported file imports to the same contacts.
package cardfile

import "github.com/starling-sync/starling/crdt/model"

// Limits of one file, in bytes and cards. What is over them is refused with
// client.CodeTooLarge.
const (
	MaxFile  = 64 << 20
	MaxCard  = 1 << 20
	MaxCards = 100_000
)

// Card is one vCard of a file.
type Card struct {
	// ID is the card's UID, or a hash of name, numbers and mails without one.
	ID    string
	Patch model.ContactPatch
	// Line is where the card begins in the file, from 1.
	Line int
	// Empty says that nothing in it belongs to a contact: a group of
	// contacts, or a card without any property that is kept.
	Empty bool
}
