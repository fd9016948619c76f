package model

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on what an Edit may carry, in bytes unless stated. They bound what
// one device can make all the others store and show.
const (
	MaxID         = 512   // chat, contact, message, label and draft ids
	MaxField      = 4096  // a field or element of a contact card, a device name
	MaxItems      = 256   // elements of one list of a contact card
	MaxDraft      = 65536 // the text of a draft
	MaxSettingKey = 128
	MaxValue      = 16384 // a setting's value, as canonical JSON
	MaxLabelName  = 256
	MaxColor      = 64
	MaxOrder      = 1024
	MaxScopeName  = 64
)

// CheckID says why s cannot be the id of an entity: it must be 1 to MaxID
// bytes of UTF-8 without control characters.
func CheckID(s string) error { return checkWord(s, MaxID) }

// checkWord is for what must not be empty and stands on one line.
func checkWord(s string, limit int) error {
	if s == "" {
		return fmt.Errorf("is empty")
	}
	if err := checkText(s, limit); err != nil {
		return err
	}
	if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
		return fmt.Errorf("has a control character at byte %d", i)
	}
	return nil
}

// checkText is for what may be empty and have several lines.
func checkText(s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("has %d bytes, the limit is %d", len(s), limit)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("is not valid UTF-8")
	}
	return nil
}

// CheckPosition says why p cannot be the place of a message.
func CheckPosition(p Position) error {
	if p.Time < 0 || p.Time > maxTime {
		return fmt.Errorf("time is outside the years 1970 to 9999")
	}
	if err := CheckID(p.ID); err != nil {
		return fmt.Errorf("message id %w", err)
	}
	return nil
}

// CheckUntil says why t cannot be the end of a mute.
func CheckUntil(t Time) error {
	if t != Forever && (t <= 0 || t > maxTime) {
		return fmt.Errorf("is neither an instant from 1970 to 9999 nor forever")
	}
	return nil
}
