package cardfile

import (
	"strings"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// property is one logical line, its parameters apart and its value as
// written: unfolded and decoded to UTF-8, but with escapes untouched.
type property struct {
	group, name string
	params      []param
	value       string
}

type param struct{ key, value string }

// properties joins the physical lines of a card into logical ones.
func (b *block) properties() ([]property, error) {
	var out []property
	for i := 0; i < len(b.lines); i++ {
		if strings.TrimSpace(b.lines[i]) == "" {
			continue
		}
		head, text, ok := cutHead(b.lines[i])
		if !ok {
			return nil, client.Errorf(client.CodeBadRequest, "card in line %d: %q is not a property", b.line, brief(b.lines[i]))
		}
		p := parseHead(head)
		var value strings.Builder
		value.WriteString(text)
		for i+1 < len(b.lines) && b.continues(p, value.String(), b.lines[i+1]) {
			i++
			b.join(p, &value, b.lines[i])
		}
		p.value = value.String()
		if err := p.decode(b); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// continues says whether next belongs to the value that was read so far:
// folded, behind a soft line break, or bare base64 as some phones write it.
func (b *block) continues(p property, value, next string) bool {
	switch {
	case p.encoding() == "quoted-printable" && strings.HasSuffix(value, "="):
		return true
	case strings.HasPrefix(next, " ") || strings.HasPrefix(next, "\t"):
		return true
	}
	return p.encoding() == "base64" && strings.TrimSpace(next) != "" && !strings.ContainsAny(next, ":;")
}

// join appends a line that continues a value. vCard 2.1 keeps the white space
// that a fold begins with, RFC 2426 and RFC 6350 take one character of it.
func (b *block) join(p property, value *strings.Builder, next string) {
	switch quoted := p.encoding() == "quoted-printable"; {
	case quoted && strings.HasSuffix(value.String(), "="):
		next = "\n" + next // the decoder takes "=\n" out again
	case !quoted && b.version != "2.1":
		if next[0] == ' ' || next[0] == '\t' {
			next = next[1:]
		}
	}
	value.WriteString(next)
}

// cutHead splits at the first colon that is not inside quotes.
func cutHead(line string) (head, value string, ok bool) {
	quoted := false
	for i := range len(line) {
		switch line[i] {
		case '"':
			quoted = !quoted
		case ':':
			if !quoted {
				return line[:i], line[i+1:], i > 0
			}
		}
	}
	return "", "", false
}

func parseHead(head string) property {
	parts := splitOutsideQuotes(head, ';')
	p := property{name: strings.ToUpper(strings.TrimSpace(parts[0]))}
	if group, name, ok := strings.Cut(p.name, "."); ok {
		p.group, p.name = group, name
	}
	for _, part := range parts[1:] {
		if part = strings.TrimSpace(part); part != "" {
			p.params = append(p.params, parseParam(part))
		}
	}
	return p
}

// parseParam gives the bare words of vCard 2.1 the names they have since 3.0.
func parseParam(s string) param {
	key, value, ok := strings.Cut(s, "=")
	if ok {
		return param{strings.ToUpper(strings.TrimSpace(key)), strings.ReplaceAll(value, `"`, "")}
	}
	switch strings.ToUpper(s) {
	case "QUOTED-PRINTABLE", "BASE64", "B", "8BIT", "7BIT":
		return param{"ENCODING", s}
	}
	return param{"TYPE", s}
}

func splitOutsideQuotes(s string, at byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == at && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

func (p property) param(key string) string {
	for _, q := range p.params {
		if q.key == key {
			return q.value
		}
	}
	return ""
}

// encoding is "quoted-printable", "base64", or empty for plain text.
func (p property) encoding() string {
	switch strings.ToLower(p.param("ENCODING")) {
	case "quoted-printable", "q":
		return "quoted-printable"
	case "base64", "b":
		return "base64"
	}
	return ""
}

// brief keeps an error to one readable line.
func brief(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
