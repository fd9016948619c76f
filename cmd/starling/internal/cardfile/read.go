package cardfile

import (
	"errors"
	"io"
	"iter"
	"strings"

	vcard "github.com/emersion/go-vcard"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// Read yields the cards of a file one after the other, so that memory is
// bounded by one card, and ends with the first error: a *client.Error with
// client.CodeBadRequest for what is no vCard and client.CodeTooLarge for what
// is over a limit, or the error of r.
func Read(r io.Reader) iter.Seq2[Card, error] {
	return func(yield func(Card, error) bool) {
		lines := newLineReader(r)
		for count := 0; ; count++ {
			card, err := lines.nextCard()
			if errors.Is(err, io.EOF) && count > 0 {
				return
			}
			if errors.Is(err, io.EOF) {
				err = client.Errorf(client.CodeBadRequest, "not a vCard: the file is empty")
			}
			if err == nil && count == MaxCards {
				err = client.Errorf(client.CodeTooLarge, "more than %d cards", MaxCards)
			}
			if !yield(card, err) || err != nil {
				return
			}
		}
	}
}

func (l *lineReader) nextCard() (Card, error) {
	b, err := l.nextBlock()
	if err != nil {
		return Card{}, err
	}
	props, err := b.properties()
	if err != nil {
		return Card{}, err
	}
	decoded, err := vcard.NewDecoder(strings.NewReader(plain(props))).Decode()
	if err != nil {
		return Card{}, client.Errorf(client.CodeBadRequest, "card in line %d: %w", b.line, err)
	}
	return (&source{card: decoded, version: b.version}).contact(b.line), nil
}

// plain writes properties so that go-vcard returns every value as it was
// written: it undoes one layer of backslashes before components are apart,
// hence one is added.
func plain(props []property) string {
	var out strings.Builder
	out.WriteString("BEGIN:VCARD\n")
	for _, p := range props {
		if p.name == "" {
			continue
		}
		if p.group != "" {
			out.WriteString(token(p.group) + ".")
		}
		out.WriteString(token(p.name))
		for _, q := range p.params {
			if keptParams[q.key] {
				out.WriteString(";" + q.key + "=" + token(q.value))
			}
		}
		out.WriteString(":" + strings.ReplaceAll(p.value, `\`, `\\`) + "\n")
	}
	out.WriteString("END:VCARD\n")
	return out.String()
}

// keptParams are the parameters that the mapping looks at.
var keptParams = map[string]bool{
	"TYPE": true, "VALUE": true, "ENCODING": true, "PREF": true,
	"DERIVED": true, "X-APPLE-OMIT-YEAR": true,
}

// token takes out what would end a name or a parameter.
func token(s string) string { return tokenEnds.Replace(s) }

var tokenEnds = strings.NewReplacer("\r", " ", ";", "", ":", "", ".", "", `"`, "", `\`, "", "=", "")
