package account

import (
	"strconv"
	"strings"

	"github.com/starling-sync/starling/crdt"
)

// Reauthor is crdt's Document.Reauthor for a document of this package. A draft
// that was withdrawn gets another id, because its id names its creator.
func Reauthor(d *crdt.Document, w crdt.Writer, withdrawn map[crdt.Hash]bool) (*crdt.Document, []crdt.Change, error) {
	return d.Reauthor(w, withdrawn, rename)
}

// rename follows a draft to its heir: its number is the N of its first entry.
func rename(h crdt.Heir, field, element string) string {
	switch field {
	case draftTexts.Field:
		if n, ok := inherited(h, element); ok {
			return n
		}
	case typing.Field, sent.Field:
		number, creator, _ := strings.Cut(element, ".")
		if n, ok := inherited(h, number); ok && creator == h.From.String() {
			return draftID(crdt.TextID{Element: n, Creator: h.To})
		}
	}
	return element
}

func inherited(h crdt.Heir, number string) (string, bool) {
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n <= h.After {
		return "", false
	}
	return strconv.FormatUint(n-h.After, 10), true
}
