package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deeply a JSON value may be nested.
const maxDepth = 32

// CanonicalJSON returns the one way of writing a JSON value (RFC 8785): no
// space, members sorted by UTF-16 code units, numbers as ECMAScript writes
// them. It refuses what has no such form or would lose something: a name
// that occurs twice, a number beyond a double's range, an integer that a
// double cannot hold, a half of a surrogate pair, text that is not UTF-8.
func CanonicalJSON(b []byte) ([]byte, error) {
	if isPlain(b) {
		return bytes.Clone(b), nil
	}
	if !utf8.Valid(b) {
		return nil, errors.New("JSON is not valid UTF-8")
	}
	if err := checkSurrogates(b); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	out, err := canonicalValue(nil, d, maxDepth)
	if err != nil {
		return nil, fmt.Errorf("JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("JSON: something follows the value")
	}
	return out, nil
}

// isPlain recognises most settings without parsing them: literals, small
// integers, and strings of printable ASCII without escapes.
func isPlain(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	if b[0] == '"' {
		return len(b) > 1 && isPlainString(b)
	}
	if b[0] > '0' && b[0] <= '9' {
		return len(b) <= 15 && !bytes.ContainsFunc(b, notDigit) // 10^15 is exact as a double
	}
	s := string(b)
	return s == "true" || s == "false" || s == "null" || s == "0"
}

func notDigit(r rune) bool { return r < '0' || r > '9' }

func isPlainString(b []byte) bool {
	if b[len(b)-1] != '"' {
		return false
	}
	for _, c := range b[1 : len(b)-1] {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func canonicalValue(out []byte, d *json.Decoder, depth int) ([]byte, error) {
	t, err := d.Token()
	if err != nil {
		return nil, noEOF(err)
	}
	switch t := t.(type) {
	case nil:
		return append(out, "null"...), nil
	case bool:
		return strconv.AppendBool(out, t), nil
	case string:
		return appendString(out, t), nil
	case json.Number:
		return appendNumber(out, t.String())
	}
	if depth == 0 {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	if t == json.Delim('[') {
		return canonicalArray(out, d, depth-1)
	}
	return canonicalObject(out, d, depth-1)
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func canonicalArray(out []byte, d *json.Decoder, depth int) (_ []byte, err error) {
	out = append(out, '[')
	for first := true; d.More(); first = false {
		if !first {
			out = append(out, ',')
		}
		if out, err = canonicalValue(out, d, depth); err != nil {
			return nil, err
		}
	}
	_, err = d.Token()
	return append(out, ']'), noEOF(err)
}

func canonicalObject(out []byte, d *json.Decoder, depth int) ([]byte, error) {
	members := map[string][]byte{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, noEOF(err)
		}
		name, ok := t.(string)
		if _, twice := members[name]; twice || !ok {
			return nil, fmt.Errorf("name %.40q occurs twice", name)
		}
		if members[name], err = canonicalValue(nil, d, depth); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, noEOF(err)
	}
	return appendObject(out, members), nil
}

func appendObject(out []byte, members map[string][]byte) []byte {
	names := make([]string, 0, len(members))
	for name := range members { // order-free: sorted below
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
	out = append(out, '{')
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, name), ':')
		out = append(out, members[name]...)
	}
	return append(out, '}')
}

const shortEscapes = "btn\x00fr" // for the control characters 8 to 13

func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c >= 8 && c <= 13 && c != 11:
			out = append(out, '\\', shortEscapes[c-8])
		case c < 0x20:
			out = fmt.Appendf(out, "\\u%04x", c)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// appendNumber writes a number as ECMAScript's Number::toString does.
func appendNumber(out []byte, s string) ([]byte, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, fmt.Errorf("number %.40s is beyond the range of a double", s)
	}
	if f == 0 {
		return append(out, '0'), nil
	}
	if !strings.ContainsAny(s, ".eE") && !sameInteger(f, s) {
		return nil, fmt.Errorf("integer %.40s is not exact as a double", s)
	}
	if size := math.Abs(f); size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(out, f, 'f', -1, 64), nil
	}
	text := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(text, "e")
	sign, digits := exponent[:1], strings.TrimLeft(exponent[1:], "0")
	return append(out, mantissa+"e"+sign+digits...), nil
}

// sameInteger says whether s is all digits of f, or the shortest that mean f.
func sameInteger(f float64, s string) bool {
	return strconv.FormatFloat(f, 'f', 0, 64) == s || strconv.FormatFloat(f, 'f', -1, 64) == s
}

// checkSurrogates refuses \u escapes that are half of a pair, which the
// decoder would silently replace.
func checkSurrogates(b []byte) error {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		r, ok := unicodeEscape(b[i:])
		if !ok {
			i++ // the escaped character
			continue
		}
		i += escapeSize - 1
		if !utf16.IsSurrogate(r) {
			continue
		}
		low, ok := unicodeEscape(b[i+1:])
		if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
			return fmt.Errorf("JSON: \\u%04x is half of a surrogate pair", r)
		}
		i += escapeSize
	}
	return nil
}

const escapeSize = len(`\u0000`)

func unicodeEscape(b []byte) (rune, bool) {
	if len(b) < escapeSize || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:escapeSize]), 16, 16)
	return rune(n), err == nil
}
