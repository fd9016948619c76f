package model

// Removal says that a device was taken out of the account.
type Removal struct {
	ID     string `json:"id"`     // of the operation, 64 hexadecimal digits
	Device string `json:"device"` // that was removed
	Name   string `json:"name"`   // of it
	// By is the device that removed it, empty for the recovery words.
	By string `json:"by,omitempty"`
	At Time   `json:"at"` // by the clock of whoever removed it
	// ConfirmedBy are the devices known to have stored the removal, by id.
	ConfirmedBy []string `json:"confirmed_by"`
	// Unconfirmed are the members that are not known to.
	Unconfirmed []string `json:"unconfirmed"`
}

// Standing is how a device stands in its account.
type Standing string

// The standings of a device.
const (
	StandingMember   Standing = "member"
	StandingRemoved  Standing = "removed"  // somebody took it out
	StandingOrphaned Standing = "orphaned" // added by a device that was out already
	StandingFrozen   Standing = "frozen"   // all devices removed each other
)
