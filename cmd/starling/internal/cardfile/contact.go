package cardfile

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"unicode"

	vcard "github.com/emersion/go-vcard"

	"github.com/starling-sync/starling/crdt/model"
)

// source is one decoded card whose values are still escaped.
type source struct {
	card    vcard.Card
	version string
}

// contact maps the card to a patch. Properties that starling has no place
// for are left out.
func (s *source) contact(line int) Card {
	if s.isGroup() {
		return Card{Line: line, Empty: true}
	}
	fields := map[string]string{}
	s.names(fields)
	put(fields, "nickname", list(s.first("NICKNAME"), s.version, ", "))
	put(fields, "company", s.joined("ORG"))
	put(fields, "title", unescape(s.first("TITLE")))
	put(fields, "birthday", s.birthday())
	put(fields, "note", s.notes())
	put(fields, "photo", s.photo())
	c := Card{Line: line, Patch: model.ContactPatch{Fields: fields, Add: s.items()}}
	c.Empty = len(fields) == 0 && countItems(c.Patch.Add) == 0
	c.ID = cardID(unescape(s.first("UID")), &c.Patch)
	return c
}

func put(fields map[string]string, name, value string) {
	if value != "" {
		fields[name] = value
	}
}

func (s *source) isGroup() bool {
	kind := s.first("KIND") + s.first("X-ADDRESSBOOKSERVER-KIND")
	return strings.EqualFold(kind, "group")
}

// first is the raw value of the preferred property of that name.
func (s *source) first(name string) string { return s.card.PreferredValue(name) }

// names reads N and FN. vCard 2.1 knows cards without FN; the name is then
// put together, but not when the writer says that its FN was (RFC 9554).
func (s *source) names(fields map[string]string) {
	parts := split(s.first("N"), ';')
	for i, name := range []string{"family", "given", "additional", "prefix", "suffix"} {
		if i < len(parts) {
			put(fields, name, list(parts[i], s.version, " "))
		}
	}
	fn := s.card.Preferred("FN")
	switch {
	case fn != nil && strings.EqualFold(fn.Params.Get("DERIVED"), "true"):
	case fn != nil && unescape(fn.Value) != "":
		put(fields, "name", unescape(fn.Value))
	default:
		put(fields, "name", composedName(fields))
	}
}

func composedName(fields map[string]string) string {
	var parts []string
	for _, name := range []string{"prefix", "given", "additional", "family", "suffix"} {
		if fields[name] != "" {
			parts = append(parts, fields[name])
		}
	}
	return strings.Join(parts, " ")
}

// joined reads a structured property as one text: ORG is the company and its units.
func (s *source) joined(name string) string {
	var texts []string
	for _, part := range split(s.first(name), ';') {
		if t := unescape(part); t != "" {
			texts = append(texts, t)
		}
	}
	return strings.Join(texts, ", ")
}

func (s *source) notes() string {
	var notes []string
	for _, f := range s.card["NOTE"] {
		if t := unescape(f.Value); t != "" {
			notes = append(notes, t)
		}
	}
	return strings.Join(notes, "\n")
}

func countItems(items model.ContactItems) int {
	return len(items.Phones) + len(items.Emails) + len(items.Addresses) + len(items.Links)
}

// cardID is the UID, or else a hash of the name, the numbers and the mail
// addresses, so that importing a file twice changes nothing.
func cardID(uid string, patch *model.ContactPatch) string {
	if uid != "" && len(uid) <= 512 && !strings.ContainsFunc(uid, unicode.IsControl) {
		return uid
	}
	h := sha256.New()
	_, _ = io.WriteString(h, patch.Fields["name"]) // a hash never fails
	for _, items := range [][]model.Labelled{patch.Add.Phones, patch.Add.Emails} {
		var values []string
		for _, item := range items {
			values = append(values, item.Value)
		}
		slices.Sort(values)
		_, _ = io.WriteString(h, "\x00"+strings.Join(values, "\x1f"))
	}
	return "vcard:" + hex.EncodeToString(h.Sum(nil)[:16])
}
