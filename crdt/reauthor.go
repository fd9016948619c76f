package crdt

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Heir says how a writer's entries become those of another: the entries of
// From that were withdrawn, which have an N above After, are written again by
// To, with an N less by After.
type Heir struct {
	From, To Writer
	After    uint64
}

// translate returns v in the words of the heir.
func (h Heir) translate(v Vector) Vector {
	n := v[h.From]
	if n <= h.After {
		return v
	}
	out := maps.Clone(v)
	delete(out, h.From)
	if h.After > 0 {
		out[h.From] = h.After
	}
	out[h.To] = n - h.After
	return out
}

// Reauthor returns the document without some changes of its writer, and with
// what they did to it written once more by w, who must be new to it, as the
// changes that are returned. They are the writer's last ones, and nobody else
// has seen them. Both documents mean the same: every choice keeps its stamp.
// Only a tie of stamps is decided by the new writer's place among the others.
//
// Rename gives an element its name under the heir; it is for elements that are
// made from a writer or an N. Nil keeps all.
func (d *Document) Reauthor(w Writer, withdrawn map[Hash]bool, rename func(h Heir, field, element string) string) (*Document, []Change, error) {
	out, err := d.without(withdrawn, w)
	if err != nil {
		return nil, nil, fmt.Errorf("reauthor: %w", err)
	}
	if rename == nil {
		rename = func(_ Heir, _, element string) string { return element }
	}
	r := &reauthoring{from: d, to: out, rename: rename, edit: out.Edit(0)}
	r.heir = Heir{From: d.writer, To: w, After: out.content.lastN(d.writer)}
	err = errors.Join(r.texts(), r.entries(), r.counters())
	if err == nil {
		err = r.commit()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reauthor: %w", err)
	}
	return out, r.made, nil
}

// without returns a copy for w that never had some of the changes.
func (d *Document) without(withdrawn map[Hash]bool, w Writer) (*Document, error) {
	if d.broken != nil {
		return nil, d.broken
	}
	if _, known := d.actors[w]; known {
		return nil, fmt.Errorf("writer %s has written already", w)
	}
	all, err := d.Changes()
	if err != nil {
		return nil, err
	}
	var kept []Change
	for _, c := range all {
		if !withdrawn[c.Hash] {
			kept = append(kept, c)
		} else if c.Actor != d.writer {
			return nil, fmt.Errorf("change %x is of writer %x, not of %s", c.Hash[:4], c.Actor, d.writer)
		}
	}
	out := NewDocument(w)
	_, err = out.Apply(kept)
	return out, err
}

// reauthoring is the work of Reauthor.
type reauthoring struct {
	from, to *Document
	heir     Heir
	rename   func(h Heir, field, element string) string
	edit     *Edit // in the making
	made     []Change
}

// commit makes a change of what was written since the last one.
func (r *reauthoring) commit() error {
	c, err := r.edit.Commit()
	if c != nil {
		r.made = append(r.made, *c)
	}
	r.edit = r.to.Edit(0)
	return err
}

// room makes sure that the change in the making has room for more.
func (r *reauthoring) room() error {
	if r.edit.size < maxEdit/2 {
		return nil
	}
	return r.commit()
}

// entries writes the withdrawn entries, in the order in which they were made.
func (r *reauthoring) entries() error {
	type cell struct {
		field, element string
		entry          Entry
	}
	var cells []cell
	for field, elements := range r.from.content.registers { // order-free: they are sorted below
		for element, register := range elements {
			if e, ok := entryOf(register, r.heir.From); ok && e.N > r.heir.After {
				cells = append(cells, cell{field, element, e})
			}
		}
	}
	slices.SortFunc(cells, func(a, b cell) int { return cmp.Compare(a.entry.N, b.entry.N) })
	for _, c := range cells {
		element := r.rename(r.heir, c.field, c.element)
		replaced, had := entryOf(r.to.content.registers[c.field][c.element], r.heir.From)
		e := c.entry
		e.Writer, e.N, e.Seen = r.heir.To, e.N-r.heir.After, r.heir.translate(e.Seen)
		if had && e.Context == nil {
			e.Seen = maps.Clone(e.Seen)
			if e.Seen == nil {
				e.Seen = Vector{}
			}
			e.Seen.See(replaced) // whose place it had taken, and now stands beside
		}
		if err := errors.Join(r.edit.put(c.field, element, e), r.room()); err != nil {
			return err
		}
	}
	return nil
}

func entryOf(register []Entry, w Writer) (Entry, bool) {
	for _, e := range register {
		if e.Writer == w {
			return e, true
		}
	}
	return Entry{}, false
}

// counters counts once more what was counted.
func (r *reauthoring) counters() error {
	for _, field := range sortedKeys(r.from.content.counters) {
		elements := r.from.content.counters[field]
		for _, element := range sortedKeys(elements) {
			own, had := elements[element][r.heir.From]
			before := r.to.content.counters[field][element][r.heir.From]
			if !had || own == before {
				continue
			}
			if err := errors.Join(r.addCount(field, element, before, own), r.room()); err != nil {
				return err
			}
		}
	}
	return nil
}

// addCount adds the difference.
func (r *reauthoring) addCount(field, element string, before, now int64) error {
	diff := now - before
	if (diff > 0) != (now > before) {
		return fmt.Errorf("count %q: from %d to %d exceeds 64 bits", field, before, now)
	}
	return Counter{Field: field}.Add(r.edit, element, diff)
}

// texts types the withdrawn texts again.
func (r *reauthoring) texts() error {
	for _, field := range sortedKeys(r.from.content.texts) {
		for _, id := range r.from.textIDs(field) {
			now := r.from.content.texts[field][id]
			before, exists := r.to.content.texts[field][id]
			if exists && before == now {
				continue
			}
			if !exists {
				var err error
				if id, err = (Text{field}).Create(r.edit, r.rename(r.heir, field, id.Element), ""); err != nil {
					return err
				}
			}
			if err := r.typeText(Text{field}, id, before, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxTyped is how many characters go or come in one step, so that a change has
// room for it when it is half full.
const maxTyped = maxEdit / 2 / textCost / 4

// typeText turns a text into another one, in several changes if it is long.
func (r *reauthoring) typeText(t Text, id TextID, before, now string) error {
	at, remove, insert := splice(before, now)
	head, rest, typed := []rune(before)[:at], []rune(before)[at:], []rune(insert)
	tail := string(rest[remove:])
	for remove > 0 {
		n := min(remove, maxTyped)
		rest, remove = rest[n:], remove-n
		if err := errors.Join(t.Replace(r.edit, id, string(head)+string(rest)), r.room()); err != nil {
			return err
		}
	}
	for len(typed) > 0 {
		n := min(len(typed), maxTyped)
		head, typed = append(slices.Clip(head), typed[:n]...), typed[n:]
		if err := errors.Join(t.Replace(r.edit, id, string(head)+tail), r.room()); err != nil {
			return err
		}
	}
	return nil
}
