package crdt

import (
	"slices"
	"strings"

	"github.com/starling-sync/starling/crdt/change"
)

// sequence is a text as the operations have made it: a replicated growable array
// (Roh et al. 2011, as Automerge has it). A character stands behind the one that its
// writer saw before it. Of several behind the same one, that with the higher id comes
// first, with all that stands behind it. It is kept as that tree, because somebody who
// inserts much at one place would have all of it looked through in a list, each time.
type sequence struct {
	key   string    // under which it was made
	first character // the place before the text
	byID  map[change.OpID]*character
}

// character is one element; most are one code point.
type character struct {
	id     change.OpID
	text   string
	gone   bool
	behind []*character // ascending by id, unless shuffled
	// shuffled says that one came to behind which belongs before its end. It is put there
	// when the text is read: two who insert much at one place would else move it all for
	// each character.
	shuffled bool
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
	c := &character{id: id, text: text}
	if n := len(at.behind); n > 0 && at.behind[n-1].id.Compare(id) > 0 {
		at.shuffled = true
	}
	at.behind, s.byID[id] = append(at.behind, c), c
}

// following returns what stands right behind c, ascending by id.
func (c *character) following() []*character {
	if c.shuffled {
		slices.SortFunc(c.behind, func(a, b *character) int { return a.id.Compare(b.id) })
		c.shuffled = false
	}
	return c.behind
}

func (s *sequence) remove(id change.OpID) {
	if c := s.byID[id]; c != nil {
		c.gone = true
	}
}

// visible returns the characters that are not removed, in their order.
func (s *sequence) visible() (all []*character) {
	next := slices.Clone(s.first.following()) // what is still to come, the last one first
	for len(next) > 0 {
		c := next[len(next)-1]
		next = append(next[:len(next)-1], c.following()...)
		if !c.gone {
			all = append(all, c)
		}
	}
	return all
}

// String returns what is there and not removed.
func (s *sequence) String() string {
	var out strings.Builder
	for _, c := range s.visible() {
		out.WriteString(c.text)
	}
	return out.String()
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
