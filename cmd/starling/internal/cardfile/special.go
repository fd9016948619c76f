package cardfile

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
)

// birthday brings dates into the basic form of RFC 6350 section 4.3.1 and
// keeps text that a card declares as such. Apple writes a birthday without a
// year as one in 1604.
func (s *source) birthday() string {
	f := s.card.Preferred("BDAY")
	if f == nil {
		return ""
	}
	v := unescape(f.Value)
	if strings.EqualFold(f.Params.Get("VALUE"), "text") {
		return v
	}
	v = basicDate(strings.TrimSpace(v))
	if year := f.Params.Get("X-APPLE-OMIT-YEAR"); year != "" && strings.HasPrefix(v, year) {
		return "--" + v[len(year):]
	}
	return v
}

var (
	extendedDate = regexp.MustCompile(`^(\d{4}|--)-?(\d\d)-(\d\d)([T ].*)?$`)
	dateOnly     = regexp.MustCompile(`^(\d{4}(\d{4}|-\d\d)?|--\d\d(\d\d)?|---\d\d)$`)
)

func basicDate(s string) string {
	if m := extendedDate.FindStringSubmatch(s); m != nil {
		return m[1] + m[2] + m[3]
	}
	return s
}

// isDate says whether s can be written as a date and comes back as s.
func isDate(s string) bool { return dateOnly.MatchString(s) && basicDate(s) == s }

const niPrefix = "ni:///sha-256;"

// photo is the digest of the picture inside the card, or the one that a
// named-information URI holds (RFC 6920). A picture elsewhere has none.
func (s *source) photo() string {
	f := s.card.Preferred("PHOTO")
	if f == nil {
		return ""
	}
	v := strings.TrimSpace(unescape(f.Value))
	if digest, ok := strings.CutPrefix(v, niPrefix); ok {
		if raw, err := base64.RawURLEncoding.DecodeString(digest); err == nil && len(raw) == sha256.Size {
			return "sha256:" + hex.EncodeToString(raw)
		}
		return ""
	}
	data := v
	if strings.HasPrefix(v, "data:") {
		_, data, _ = strings.Cut(v, ";base64,")
	} else if e := strings.ToLower(f.Params.Get("ENCODING")); e != "b" && e != "base64" {
		return ""
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(data), ""))
	if err != nil || len(raw) == 0 {
		return ""
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// photoURI writes a digest as a named-information URI, or nothing when the
// photo is named in another way.
func photoURI(photo string) string {
	raw, err := hex.DecodeString(strings.TrimPrefix(photo, "sha256:"))
	if err != nil || len(raw) != sha256.Size {
		return ""
	}
	return niPrefix + base64.RawURLEncoding.EncodeToString(raw)
}
