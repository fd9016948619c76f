package cardfile

import "strings"

// The escapes of RFC 6350 section 3.4. A value is a list of components apart
// by semicolons, each a list of texts apart by commas.

var escaper = strings.NewReplacer(`\`, `\\`, "\r\n", `\n`, "\n", `\n`, "\r", `\n`, ",", `\,`, ";", `\;`)

func escape(s string) string { return escaper.Replace(s) }

// unescape undoes every escape, also `\:` and `\N` as some programs write.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n', 'N':
			out.WriteByte('\n')
		case '\\', ',', ';', ':':
			out.WriteByte(s[i])
		default:
			out.WriteString(s[i-1 : i+1])
		}
	}
	return out.String()
}

// split cuts s at every sep that is not escaped; escapes stay.
func split(s string, sep byte) []string {
	var parts []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// list reads the texts of one component and joins those that are not empty.
// In vCard 2.1 a comma is only a comma.
func list(component, version, joint string) string {
	if version == "2.1" {
		return unescape(component)
	}
	var texts []string
	for _, part := range split(component, ',') {
		if t := unescape(part); t != "" {
			texts = append(texts, t)
		}
	}
	return strings.Join(texts, joint)
}

// Address brings the components of an address into the one form that
// model.Contact keeps: at least seven, escaped as RFC 6350 section 6.3.1.
func Address(value string) string { return address(value, "4.0") }

func address(value, version string) string {
	components := split(value, ';')
	for len(components) < 7 {
		components = append(components, "")
	}
	for i, c := range components {
		if version == "2.1" {
			components[i] = escape(unescape(c))
			continue
		}
		texts := split(c, ',')
		for j, t := range texts {
			texts[j] = escape(unescape(t))
		}
		components[i] = strings.Join(texts, ",")
	}
	return strings.Join(components, ";")
}
