package cardfile

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/starling-sync/starling/crdt/model"
)

// Write writes c as one vCard 4.0 (RFC 6350), lines folded at 75 octets.
func Write(w io.Writer, c *model.Contact) error {
	v := &writer{}
	v.line("BEGIN", "VCARD")
	v.line("VERSION", "4.0")
	v.line("UID", escape(c.ID))
	v.names(c.Fields)
	v.text("NICKNAME", c.Fields["nickname"])
	v.text("ORG", c.Fields["company"])
	v.text("TITLE", c.Fields["title"])
	v.birthday(c.Fields["birthday"])
	v.text("NOTE", c.Fields["note"])
	v.raw("PHOTO", photoURI(c.Fields["photo"]))
	v.items("TEL", c.Phones, escape)
	v.items("EMAIL", c.Emails, escape)
	v.items("ADR", c.Addresses, Address)
	v.items("URL", c.Links, linkEscaper.Replace)
	v.line("END", "VCARD")
	_, err := io.WriteString(w, v.out.String())
	return err
}

type writer struct {
	out    strings.Builder
	groups int
}

// line writes one property, folded between characters.
func (v *writer) line(name, value string) {
	s, room := name+":"+value, 75
	for len(s) > room {
		cut := room
		for cut > 1 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		v.out.WriteString(s[:cut] + "\r\n ")
		s, room = s[cut:], 74
	}
	v.out.WriteString(s + "\r\n")
}

func (v *writer) raw(name, value string) {
	if value != "" {
		v.line(name, value)
	}
}

func (v *writer) text(name, value string) { v.raw(name, escape(value)) }

// names writes FN, which a card must have: put together and marked so
// (RFC 9554) where the contact has none.
func (v *writer) names(f model.ContactFields) {
	var parts []string
	for _, name := range []string{"family", "given", "additional", "prefix", "suffix"} {
		parts = append(parts, escape(f[name]))
	}
	if strings.Join(parts, "") != "" {
		v.line("N", strings.Join(parts, ";"))
	}
	if f["name"] != "" {
		v.text("FN", f["name"])
		return
	}
	v.line("FN;DERIVED=true", escape(composedName(f)))
}

func (v *writer) birthday(s string) {
	if isDate(s) {
		v.line("BDAY", s)
		return
	}
	v.text("BDAY;VALUE=text", s)
}

// items writes labels as TYPE where that is a word of the standard, and
// otherwise as Apple's X-ABLabel in a group.
func (v *writer) items(name string, items []model.Labelled, value func(string) string) {
	for _, item := range items {
		switch {
		case item.Label == "":
			v.line(name, value(item.Value))
		case areTypes(item.Label):
			v.line(name+";TYPE="+strings.ReplaceAll(item.Label, " ", ","), value(item.Value))
		default:
			v.groups++
			group := fmt.Sprintf("item%d.", v.groups)
			v.line(group+name, value(item.Value))
			v.line(group+"X-ABLabel", escape(bracketed(item.Label)))
		}
	}
}

func areTypes(label string) bool {
	for t := range strings.SplitSeq(label, " ") {
		if !knownTypes[t] {
			return false
		}
	}
	return true
}

// bracketed protects a label that would lose its brackets when it comes back.
func bracketed(label string) string {
	if appleLabel(label) != label {
		return appleOpen + label + appleClose
	}
	return label
}

// linkEscaper leaves commas and semicolons alone: a URI is one value.
var linkEscaper = strings.NewReplacer(`\`, `\\`, "\r\n", `\n`, "\n", `\n`, "\r", `\n`)
