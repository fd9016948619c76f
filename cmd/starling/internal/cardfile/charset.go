package cardfile

import (
	"io"
	"mime/quotedprintable"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// decode brings the value of p to UTF-8 without quoted-printable. Line ends
// that come out of it are written as the escape \n, as later versions do.
func (p *property) decode(b *block) error {
	if p.encoding() == "quoted-printable" {
		raw, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(p.value)))
		if err != nil {
			return client.Errorf(client.CodeBadRequest, "card in line %d: %s is not quoted-printable: %w", b.line, p.name, err)
		}
		p.value = string(raw)
	}
	text, err := toUTF8(p.value, p.param("CHARSET"))
	if err != nil {
		return client.Errorf(client.CodeBadRequest, "card in line %d: %s: %w", b.line, p.name, err)
	}
	p.value = lineEnds.Replace(text)
	return nil
}

var lineEnds = strings.NewReplacer("\r\n", `\n`, "\n", `\n`, "\r", `\n`)

// toUTF8 trusts a declared character set; text without one that is not UTF-8
// is what Windows wrote.
func toUTF8(s, charset string) (string, error) {
	var from encoding.Encoding = charmap.Windows1252
	switch {
	case charset == "" || strings.EqualFold(charset, "utf-8"):
		if utf8.ValidString(s) {
			return s, nil
		}
	default:
		named, err := htmlindex.Get(charset)
		if err != nil {
			return "", client.Errorf(client.CodeBadRequest, "unknown character set %q", brief(charset))
		}
		from = named
	}
	return from.NewDecoder().String(s)
}
