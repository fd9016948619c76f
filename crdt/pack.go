package crdt

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starling-sync/starling/crdt/change"
)

// What came since a document was saved is kept in packs: of changes that one writer
// made one after the other what package change cannot make again, with the writer in
// front; of a change that cannot be elided all of it; and of many changes such packs,
// compressed together. Packs are in causal order, and each refers by number to what is
// before it. 190 changes of a chat take 34 bytes each elided, 9 compressed, and 14 as
// Automerge saves them.
const (
	packWhole  = 0 // a change chunk
	packElided = 1 // a writer, and a run
	packMany   = 2 // what it holds takes, in bytes, and a zstd frame of packs of the other kinds, each behind its size
)

// zstdFrom is from how many bytes on packs are compressed: less does not shrink.
const zstdFrom = 200

// manyPacks is from how many packs on some of them are made one again.
const manyPacks = 16

var errPack = errors.New("malformed pack of changes")

// pack returns a pack of changes that follow one another, none of none.
func (d *Document) pack(changes []Change) (packs [][]byte, err error) {
	size := 0
	for len(changes) > 0 {
		n := 1
		for n < len(changes) && changes[n].Actor == changes[0].Actor {
			n++
		}
		run := changes[:n]
		changes = changes[n:]
		elided, err := change.Elide(elisionOf(run[0].Actor), [][]Change{run}, d.placesOf(run))
		switch {
		case errors.Is(err, change.ErrNotElidable):
			for i := range run {
				packs = append(packs, append([]byte{packWhole}, run[i].Raw...))
				size += len(run[i].Raw)
			}
		case err != nil:
			return nil, err
		default:
			packs = append(packs, slices.Concat([]byte{packElided}, run[0].Actor[:], elided))
			size += len(elided)
		}
	}
	if len(packs) == 0 || len(packs) == 1 && size < zstdFrom {
		return packs, nil
	}
	return [][]byte{deflate(packs)}, nil
}

func elisionOf(w Writer) change.Context { return change.Context{Actor: w, Suffix: "/" + w.String()} }

// placesOf names what changes depend on.
func (d *Document) placesOf(changes []Change) map[Hash]change.Place {
	places := map[Hash]change.Place{}
	for i := range changes {
		for _, dep := range changes[i].Deps {
			if p, ok := d.history.known[dep]; ok {
				places[dep] = change.Place{Actor: p.writer, Seq: p.seq}
			}
		}
	}
	return places
}

// unpack returns the changes of a pack that is not of many. Known are those before it.
func unpack(pack []byte, known func(change.Place) (Hash, bool)) ([]Change, error) {
	switch {
	case len(pack) > 1 && pack[0] == packWhole:
		c, err := change.Parse(pack[1:])
		return []Change{c}, err
	case len(pack) > 1+len(Writer{}) && pack[0] == packElided:
		w := Writer(pack[1 : 1+len(Writer{})])
		runs, err := change.Open(elisionOf(w), pack[1+len(Writer{}):], change.MaxSavedRestored)
		if err != nil {
			return nil, err
		}
		if len(runs) != 1 {
			return nil, fmt.Errorf("%w: of %d documents", errPack, len(runs))
		}
		return runs[0].Changes(known)
	default:
		return nil, errPack
	}
}

// eachPack calls fn with packs and, in place of those of many, with what these hold.
func eachPack(packs [][]byte, fn func(pack []byte) error) error {
	for _, p := range packs {
		all := [][]byte{p}
		if len(p) > 0 && p[0] == packMany {
			var err error
			if all, err = inflate(p); err != nil {
				return err
			}
		}
		for _, one := range all {
			if err := fn(one); err != nil {
				return err
			}
		}
	}
	return nil
}

// StoredChanges returns the changes of what Stored returned, in causal order. As for
// LoadDocument the bytes must come from this device.
func StoredChanges(saved []byte, packs [][]byte) (all []Change, err error) {
	h := newHistory(nil)
	err = h.eachStored(saved, packs, func(c *Change) {
		h.add(c, nil)
		all = append(all, *c)
	})
	return all, err
}

// eachStored calls fn with the changes of what Stored returned, in causal order. It has
// to add each to h, which is empty before.
func (h *history) eachStored(saved []byte, packs [][]byte, fn func(*Change)) error {
	if len(saved) > 0 {
		changes, err := readSaved(saved)
		if err != nil {
			return err
		}
		for i := range changes {
			fn(&changes[i])
		}
	}
	err := eachPack(packs, func(pack []byte) error {
		changes, err := unpack(pack, h.at)
		if err != nil {
			return err
		}
		for i := range changes {
			if err := h.follows(&changes[i]); err != nil {
				return err
			}
			fn(&changes[i])
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("changes since it was saved: %w", err)
	}
	return nil
}

// follows checks that c comes next of its writer and behind what it depends on.
func (h *history) follows(c *Change) error {
	if last := h.of(c.Actor); c.Seq != last.seq+1 {
		return fmt.Errorf("change %d of %s behind number %d", c.Seq, Writer(c.Actor), last.seq)
	}
	for _, dep := range c.Deps {
		if _, known := h.change(dep); !known {
			return fmt.Errorf("change %d of %s: dependency %s: %w", c.Seq, Writer(c.Actor), dep, ErrMissing)
		}
	}
	return nil
}

// sinceSaved returns the changes since the document was saved, in causal order.
func (d *Document) sinceSaved() ([]Change, error) {
	all, err := d.unpackAll(d.packs)
	return append(all, d.fresh...), err
}

func (d *Document) unpackAll(packs [][]byte) (all []Change, err error) {
	err = eachPack(packs, func(pack []byte) error {
		changes, err := unpack(pack, d.At)
		all = append(all, changes...)
		return err
	})
	return all, err
}

// older returns how many of the packs stay as they are when the others are made one: a
// pack is made one with those behind it that are together as large, so that a change is
// packed again only as often as what it is packed with has doubled.
func older(packs [][]byte) int {
	size, n := 0, len(packs)
	for n > 0 && (len(packs)-n < manyPacks/2 || inflated(packs[n-1]) <= size) {
		n--
		size += inflated(packs[n])
	}
	return n
}

// Stored returns the document as it can be kept: what Save returned last, and packs of
// the changes since then, at most manyPacks. The packs are the caller's.
func (d *Document) Stored() (saved []byte, packs [][]byte, err error) {
	if d.broken != nil {
		return nil, nil, d.broken
	}
	changes, kept := d.fresh, d.packs
	if len(kept) >= manyPacks {
		n := older(kept)
		again, err := d.unpackAll(kept[n:])
		if err != nil {
			return nil, nil, fmt.Errorf("store document: %w", err)
		}
		changes, kept = append(again, changes...), kept[:n]
	}
	if err := d.packed(kept, changes); err != nil {
		return nil, nil, err
	}
	return d.saved, slices.Clone(d.packs), nil
}

// Packs is Stored, but the packs that either has returned before come first and are as
// they were, so that there may be any number.
func (d *Document) Packs() (saved []byte, packs [][]byte, err error) {
	if d.broken != nil {
		return nil, nil, d.broken
	}
	if err := d.packed(d.packs, d.fresh); err != nil {
		return nil, nil, err
	}
	return d.saved, slices.Clone(d.packs), nil
}

// packed makes packs of changes behind those that are kept.
func (d *Document) packed(kept [][]byte, changes []Change) error {
	made, err := d.pack(changes)
	if err != nil {
		return fmt.Errorf("store document: %w", err)
	}
	d.packs, d.fresh = append(slices.Clip(kept), made...), nil
	return nil
}

// Since returns how many bytes the packs take that Stored returned last.
func (d *Document) Since() (n int) {
	for _, p := range d.packs {
		n += len(p)
	}
	return n
}
