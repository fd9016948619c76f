package main

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// scanner looks for secrets in bytes, as they are and as text encodings write
// them, wherever in a longer text they stand.
type scanner struct {
	pairs [1 << 16]bool        // the first two bytes of a needle
	heads map[[4]byte][]needle // by its first four
}

type needle struct {
	what  string // which secret, and how it is written
	bytes []byte
}

// shortest is the length from which on a find is no accident.
const shortest = 6

func newScanner() *scanner { return &scanner{heads: map[[4]byte][]needle{}} }

// add looks for one more secret.
func (s *scanner) add(t *testing.T, what string, secret []byte) {
	t.Helper()
	for how, encoded := range encodings(secret) {
		if len(encoded) < shortest {
			t.Fatalf("%s, %s: %q is too short to be looked for", what, how, encoded)
		}
		s.pairs[uint16(encoded[0])<<8|uint16(encoded[1])] = true
		head := [4]byte(encoded)
		s.heads[head] = append(s.heads[head], needle{what + ", " + how, encoded})
	}
}

// addText looks for one more secret that is text.
func (s *scanner) addText(t *testing.T, what, secret string) {
	t.Helper()
	s.add(t, what, []byte(secret))
	var wide []byte
	for _, unit := range utf16.Encode([]rune(secret)) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	s.add(t, what+" in UTF-16", wide[:len(wide)-1]) // of either byte order
}

// find returns what of the secrets is in data.
func (s *scanner) find(data []byte) []string {
	found := map[string]bool{}
	for i := 0; i+shortest <= len(data); i++ {
		if !s.pairs[uint16(data[i])<<8|uint16(data[i+1])] {
			continue
		}
		for _, n := range s.heads[[4]byte(data[i:i+4])] {
			if bytes.HasPrefix(data[i:], n.bytes) {
				found[n.what] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// findInTree is find for every file below dir. It returns how many files and
// bytes there were.
func (s *scanner) findInTree(dir string) (found []string, files, size int, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a daemon has deleted it
		}
		data = bytes.TrimRight(data, "\x00")
		files, size = files+1, size+len(data)
		for _, what := range append(s.find(data), s.find([]byte(d.Name()))...) {
			found = append(found, fmt.Sprintf("%s: %s", d.Name(), what))
		}
		return err
	})
	return found, files, size, err
}

// encodings are the ways in which b may be written.
func encodings(b []byte) map[string][]byte {
	all := map[string][]byte{
		"as it is":                b,
		"in hexadecimal":          hex.AppendEncode(nil, b),
		"in upper hexadecimal":    []byte(strings.ToUpper(hex.EncodeToString(b))),
		"with its bytes reversed": reversed(b),
	}
	for shift := range 3 {
		all[fmt.Sprint("in base64 after ", shift)] = invariant(b, shift, 6, base64.StdEncoding.EncodeToString)
		all[fmt.Sprint("in URL base64 after ", shift)] = invariant(b, shift, 6, base64.URLEncoding.EncodeToString)
	}
	for shift := range 5 {
		text := invariant(b, shift, 5, base32.StdEncoding.EncodeToString)
		all[fmt.Sprint("in base32 after ", shift)] = text
		all[fmt.Sprint("in lower base32 after ", shift)] = bytes.ToLower(text)
	}
	return all
}

func reversed(b []byte) []byte {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return b
}

// invariant returns the letters of an encoding, with so many bits each, that are
// the same whatever stands around b when so many bytes stand before it.
func invariant(b []byte, shift, bits int, encode func([]byte) string) []byte {
	text := encode(append(make([]byte, shift), b...))
	return []byte(text[(shift*8+bits-1)/bits : (shift+len(b))*8/bits])
}

// TestScanner finds what it has to, wherever it stands.
func TestScanner(t *testing.T) {
	s := newScanner()
	s.addText(t, "secret", "swordfish")
	for _, data := range []string{
		"swordfish", "a swordfish.", "73776f726466697368", "73776F726466697368", "hsifdrows",
		"s\x00w\x00o\x00r\x00d\x00f\x00i\x00s\x00h\x00", "\x00s\x00w\x00o\x00r\x00d\x00f\x00i\x00s\x00h",
		base64.StdEncoding.EncodeToString([]byte("a swordfish")),
		base64.RawURLEncoding.EncodeToString([]byte("the swordfish.")),
		base64.StdEncoding.EncodeToString([]byte("this swordfish!")),
		base32.StdEncoding.EncodeToString([]byte("that swordfish?")),
		strings.ToLower(base32.StdEncoding.EncodeToString([]byte("swordfish"))),
	} {
		if len(s.find([]byte(data))) == 0 {
			t.Errorf("nothing is found in %q", data)
		}
	}
	if found := s.find([]byte("sword, fish, hexadecimal 73776f7264, c3dvcmQ=")); len(found) > 0 {
		t.Errorf("found: %v", found)
	}
}
