package crdt

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// textCost bounds how many bytes of a change one byte of text can take: each
// character is an operation.
const textCost = 6

// TextID names one text of a field. A text is created by one writer only,
// under an element that this writer never uses again, because two creations
// of one Automerge object at the same time lose one of them.
type TextID struct {
	Element string
	Creator Writer
}

// Text is a field of texts that several writers can type into at once.
//
// Join: Automerge's own for text, an interleaving of all insertions without
// what anybody deleted.
type Text struct{ Field string }

// TextSource is a document or an edit of it.
type TextSource interface {
	text(field string, id TextID) (string, bool)
	textIDs(field string) []TextID
}

// Get returns a text, false if there is none.
func (t Text) Get(s TextSource, id TextID) (string, bool) { return s.text(t.Field, id) }

// IDs returns the texts of the field, sorted by element and creator.
func (t Text) IDs(s TextSource) []TextID { return s.textIDs(t.Field) }

// Create begins a text. The element must be new for this writer.
func (t Text) Create(e *Edit, element, s string) (TextID, error) {
	id := TextID{element, e.doc.writer}
	k := key{t.Field, element, id.Creator}
	if err := checkKey(t.Field, element); err != nil {
		return id, fmt.Errorf("create text %q: %w", k, err)
	}
	if _, exists := t.Get(e, id); exists {
		return id, fmt.Errorf("create text %q: it exists", k)
	}
	if !utf8.ValidString(s) {
		return id, fmt.Errorf("create text %q: %w", k, errNotUTF8)
	}
	e.over.putText(k, s)
	e.size += textCost * len(s)
	e.ops = append(e.ops, func(m *making) error { m.text(k.String(), s); return nil })
	return id, nil
}

// Replace turns a text into s by the smallest single splice, so that what
// others type elsewhere in it at the same time stays. It writes nothing if
// the text is s already.
func (t Text) Replace(e *Edit, id TextID, s string) error {
	k := key{t.Field, id.Element, id.Creator}
	old, ok := t.Get(e, id)
	if !ok {
		return fmt.Errorf("replace text %q: there is none", k)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("replace text %q: %w", k, errNotUTF8)
	}
	if old == s {
		return nil
	}
	_, remove, insert := splice(old, s)
	e.over.putText(k, s)
	e.size += textCost * (remove + len(insert))
	e.ops = append(e.ops, func(m *making) error { return m.replace(k.String(), s) })
	return nil
}

// splice returns the one replacement that turns a into b, in code points:
// where, how many go, and what comes. Common beginnings and ends are kept.
func splice(a, b string) (at, remove int, insert string) {
	for a != "" && b != "" {
		r, n := utf8.DecodeRuneInString(a)
		if q, _ := utf8.DecodeRuneInString(b); q != r {
			break
		}
		a, b, at = a[n:], b[n:], at+1
	}
	for a != "" && b != "" {
		r, n := utf8.DecodeLastRuneInString(a)
		if q, _ := utf8.DecodeLastRuneInString(b); q != r {
			break
		}
		a, b = a[:len(a)-n], b[:len(b)-n]
	}
	return at, utf8.RuneCountInString(a), b
}

func (d *Document) text(field string, id TextID) (string, bool) {
	s, ok := d.content.texts[field][id]
	return s, ok
}

func (d *Document) textIDs(field string) []TextID { return sortedIDs(d.content.texts[field]) }

func (e *Edit) text(field string, id TextID) (string, bool) {
	if s, ok := e.over.texts[field][id]; ok {
		return s, true
	}
	return e.doc.text(field, id)
}

func (e *Edit) textIDs(field string) []TextID {
	all := map[TextID]string{}
	maps.Copy(all, e.doc.content.texts[field])
	maps.Copy(all, e.over.texts[field])
	return sortedIDs(all)
}

func sortedIDs(texts map[TextID]string) []TextID {
	return slices.SortedFunc(maps.Keys(texts), func(a, b TextID) int {
		return cmp.Or(cmp.Compare(a.Element, b.Element), a.Creator.Compare(b.Creator))
	})
}
