package cardfile

import (
	"strings"

	vcard "github.com/emersion/go-vcard"

	"github.com/starling-sync/starling/crdt/model"
)

func (s *source) items() model.ContactItems {
	return model.ContactItems{
		Phones:    s.labelled("TEL", phone),
		Emails:    s.labelled("EMAIL", trimmed),
		Addresses: s.labelled("ADR", s.address),
		Links:     s.labelled("URL", trimmed),
	}
}

// labelled collects the properties of one name, without empty ones and
// without a second one of equal value.
func (s *source) labelled(name string, value func(*vcard.Field) string) []model.Labelled {
	var items []model.Labelled
	seen := map[string]bool{}
	for _, f := range s.card[name] {
		v := value(f)
		if v == "" || seen[v] {
			continue
		}
		seen[v] = true
		items = append(items, model.Labelled{Value: v, Label: s.label(f)})
	}
	return items
}

func trimmed(f *vcard.Field) string { return strings.TrimSpace(unescape(f.Value)) }

// phone takes the scheme off what is declared as a URI (RFC 3966).
func phone(f *vcard.Field) string {
	v := trimmed(f)
	if strings.EqualFold(f.Params.Get("VALUE"), "uri") && len(v) > 4 && strings.EqualFold(v[:4], "tel:") {
		v = strings.TrimSpace(v[4:])
	}
	return v
}

func (s *source) address(f *vcard.Field) string {
	v := address(f.Value, s.version)
	if strings.Trim(v, "; ") == "" {
		return ""
	}
	return v
}

// label is the person's own label of a group (X-ABLabel, from Apple), or the
// types of the property without those that say nothing.
func (s *source) label(f *vcard.Field) string {
	if f.Group != "" {
		for _, l := range s.card["X-ABLABEL"] {
			if strings.EqualFold(l.Group, f.Group) {
				return appleLabel(unescape(l.Value))
			}
		}
	}
	var types []string
	for _, list := range f.Params["TYPE"] {
		for t := range strings.SplitSeq(strings.ToLower(list), ",") {
			if t = strings.TrimSpace(t); t != "" && !silentTypes[t] {
				types = append(types, t)
			}
		}
	}
	return strings.Join(types, " ")
}

// silentTypes are defaults and preferences, not labels.
var silentTypes = map[string]bool{
	"pref": true, "voice": true, "internet": true, "dom": true, "intl": true,
	"postal": true, "parcel": true, "x-internet": true,
}

// knownTypes can be written as TYPE and come back as the same label.
var knownTypes = map[string]bool{
	"home": true, "work": true, "cell": true, "fax": true, "pager": true,
	"main": true, "other": true, "text": true, "video": true, "msg": true,
	"car": true, "iphone": true, "textphone": true,
}

const appleOpen, appleClose = "_$!<", ">!$_"

// appleLabel takes the brackets off a label that Apple translates.
func appleLabel(s string) string {
	inner, ok := strings.CutPrefix(s, appleOpen)
	if inner, ok2 := strings.CutSuffix(inner, appleClose); ok && ok2 {
		if plain, known := appleLabels[inner]; known {
			return plain
		}
		return inner
	}
	return s
}

var appleLabels = map[string]string{
	"Home": "home", "Work": "work", "Mobile": "cell", "Main": "main",
	"HomePage": "homepage", "HomeFAX": "home fax", "WorkFAX": "work fax",
	"Other": "other", "Pager": "pager", "School": "school",
}
