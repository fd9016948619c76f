package crdt

import (
	"strings"

	"github.com/starling-sync/starling/crdt/change"
)

// sequence is a text as the operations have made it: a replicated growable array
// (Roh et al. 2011, as Automerge has it). A character stands behind the one that its
// writer saw before it. Of several behind the same one, that with the higher id comes
// first, with all that follows it; since ids grow along every past, these are
// those that come next in the list and have higher ids.
type sequence struct {
	key   string    // under which it was made
	first character // the place before the text
	byID  map[change.OpID]*character
}

// character is one element; most are one code point.
type character struct {
	id   change.OpID
	text string
	gone bool
	next *character
}

func newSequence(key string) *sequence {
	return &sequence{key: key, byID: map[change.OpID]*character{}}
}

// insert puts a character behind another one, or first if that is zero.
func (s *sequence) insert(id, behind change.OpID, text string) {
	at := &s.first
	if !behind.IsZero() {
		if at = s.byID[behind]; at == nil {
			return // of no change that Apply lets in
		}
	}
	for at.next != nil && at.next.id.Compare(id) > 0 {
		at = at.next
	}
	c := &character{id: id, text: text, next: at.next}
	at.next, s.byID[id] = c, c
}

func (s *sequence) remove(id change.OpID) {
	if c := s.byID[id]; c != nil {
		c.gone = true
	}
}

// String returns what is there and not removed.
func (s *sequence) String() string {
	var out strings.Builder
	for c := s.first.next; c != nil; c = c.next {
		if !c.gone {
			out.WriteString(c.text)
		}
	}
	return out.String()
}

// visible returns the characters that are not removed.
func (s *sequence) visible() (all []*character) {
	for c := s.first.next; c != nil; c = c.next {
		if !c.gone {
			all = append(all, c)
		}
	}
	return all
}

// splice returns the one replacement that turns the text into another: the character
// behind which it happens, nil for the beginning, those that go, and what comes.
func (s *sequence) splice(to string) (behind *character, remove []*character, insert string) {
	all := s.visible()
	for len(all) > 0 && strings.HasPrefix(to, all[0].text) {
		behind, to, all = all[0], to[len(all[0].text):], all[1:]
	}
	for len(all) > 0 && strings.HasSuffix(to, all[len(all)-1].text) {
		last := len(all) - 1
		to, all = to[:len(to)-len(all[last].text)], all[:last]
	}
	return behind, all, to
}
