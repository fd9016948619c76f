package account

import (
	"slices"

	"github.com/starling-sync/starling/crdt"
)

// lifetime is how an entity that can be deleted begins and ends. Deleting it
// writes a tombstone over the entries that were seen; an entry that was not
// seen revives the entity with all it had. Whoever sets up a deleted entity
// again, having seen that, begins a new one: what was there before is hidden.
type lifetime struct {
	fields []string // whose entries are the entity
	// whole says that all elements of the fields are of one entity; otherwise
	// an element is the entity's id.
	whole bool
}

var (
	tombstones = crdt.Tombstone{Field: "gone"}
	beginnings = crdt.Tombstone{Field: "born"} // buries what was there before
)

// entries returns all entries of an entity.
func (l lifetime) entries(s crdt.Source, id string) (all []crdt.Entry) {
	for _, field := range l.fields {
		if !l.whole {
			all = append(all, s.Register(field, id)...)
			continue
		}
		for _, element := range s.Elements(field) {
			all = append(all, s.Register(field, element)...)
		}
	}
	return all
}

// alive says whether any entry escaped all tombstones.
func (l lifetime) alive(s crdt.Source, id string) bool {
	return tombstones.Join(s.Register(tombstones.Field, id), l.entries(s, id))
}

// begin hides what a deleted entity had.
func (l lifetime) begin(e *crdt.Edit, id string) error {
	old := l.entries(e, id)
	if len(old) == 0 {
		return nil
	}
	return beginnings.Bury(e, id, old)
}

// end deletes an entity that is alive.
func (l lifetime) end(e *crdt.Edit, id string) error {
	if !l.alive(e, id) {
		return nil
	}
	return tombstones.Bury(e, id, l.entries(e, id))
}

// visible returns s without the entries of an entity that are hidden.
func (l lifetime) visible(s crdt.Source, id string) crdt.Source {
	hidden := beginnings.Covered(s.Register(beginnings.Field, id))
	if len(hidden) == 0 {
		return s
	}
	return visible{s, hidden}
}

type visible struct {
	crdt.Source
	hidden crdt.Vector
}

// Register implements crdt.Source.
func (v visible) Register(field, element string) []crdt.Entry {
	register := v.Source.Register(field, element)
	covers := func(e crdt.Entry) bool { return v.hidden.Covers(&e) }
	if !slices.ContainsFunc(register, covers) {
		return register
	}
	return slices.DeleteFunc(slices.Clone(register), covers)
}
