package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/starling-sync/starling/crdt/model"
)

// Kind is a kind of document. The numbers are part of document ids.
type Kind uint8

// The kinds of documents.
const (
	KindChat Kind = 1 + iota
	KindContact
	KindSettings
	KindLabels
	KindDevices
)

var kindNames = map[Kind]string{
	KindChat: "chat", KindContact: "contact", KindSettings: "settings", KindLabels: "labels", KindDevices: "devices",
}

// String returns the name of the kind.
func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// PerEntity says whether each entity of the kind has a document of its own.
func (k Kind) PerEntity() bool { return k == KindChat || k == KindContact }

// DocumentID names a document without saying what it is about.
type DocumentID [16]byte

// String returns 32 hexadecimal digits.
func (id DocumentID) String() string { return hex.EncodeToString(id[:]) }

// Ref names a document.
type Ref struct {
	Kind Kind
	// Entity is the id of the chat or contact, empty for the other kinds.
	Entity string
}

// String is for people.
func (r Ref) String() string {
	if !r.Kind.PerEntity() {
		return r.Kind.String()
	}
	return r.Kind.String() + " " + r.Entity
}

// Check says why r names no document.
func (r Ref) Check() error {
	if _, ok := kindNames[r.Kind]; !ok {
		return fmt.Errorf("document reference: no kind %d", uint8(r.Kind))
	}
	if !r.Kind.PerEntity() {
		if r.Entity != "" {
			return fmt.Errorf("document reference: %s has no entities", r.Kind)
		}
		return nil
	}
	if err := model.CheckID(r.Entity); err != nil {
		return fmt.Errorf("document reference: %s id %w", r.Kind, err)
	}
	return nil
}

// ID returns the id of the document: the first 16 bytes of HMAC-SHA256 keyed
// by the account over the kind, as one byte, and the entity.
func (r Ref) ID(account [32]byte) (id DocumentID) {
	mac := hmac.New(sha256.New, account[:])
	mac.Write(append([]byte{byte(r.Kind)}, r.Entity...))
	copy(id[:], mac.Sum(nil))
	return id
}

var kindsOfOps = map[string]Kind{
	"chat": KindChat, "contact": KindContact, "setting": KindSettings, "label": KindLabels, "device": KindDevices,
}

// RefOf validates an edit and names the document that it is performed on.
func RefOf(m model.Edit) (Ref, error) {
	if err := m.Validate(); err != nil {
		return Ref{}, err
	}
	prefix, _, _ := strings.Cut(string(m.Op), ".")
	r := Ref{Kind: kindsOfOps[prefix]}
	if r.Kind.PerEntity() {
		r.Entity = m.ID
	}
	return r, nil
}

// AlsoTouches names the second document that an edit should be noted in with
// Touch: the labels, when a chat is put on one of them.
func AlsoTouches(m model.Edit) (Ref, bool) {
	return Ref{Kind: KindLabels}, m.Op == model.ChatLabel
}
