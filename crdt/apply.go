package crdt

import (
	"fmt"
	"slices"
	"sort"

	"github.com/starling-sync/starling/crdt/change"
)

// history is what is known of the changes in a document, on top of base.
type history struct {
	base  *history
	known map[Hash]past
	last  map[Writer]lastChange
	order map[Writer][]Hash // of the changes that were added here, by number
	sites map[Writer][]site // of the operations, ascending
}

// past is what is kept of a change.
type past struct {
	writer Writer
	seq    uint64
	lastOp uint64
	deps   []Hash
}

// lastChange is the latest change of a writer.
type lastChange struct {
	seq  uint64
	hash Hash
}

func newHistory(base *history) *history {
	return &history{base: base, known: map[Hash]past{}, last: map[Writer]lastChange{}, order: map[Writer][]Hash{}, sites: map[Writer][]site{}}
}

func (h *history) add(c *Change, sites []site) {
	h.known[c.Hash] = past{writer: c.Actor, seq: c.Seq, lastOp: c.LastOp(), deps: c.Deps}
	h.last[c.Actor] = lastChange{c.Seq, c.Hash}
	h.order[c.Actor] = append(h.order[c.Actor], c.Hash)
	h.sites[c.Actor] = append(h.sites[c.Actor], sites...)
}

// change returns what is kept of a change.
func (h *history) change(hash Hash) (p past, ok bool) {
	if p, ok = h.known[hash]; !ok && h.base != nil {
		return h.base.change(hash)
	}
	return p, ok
}

// of returns the latest change of a writer, zero if there is none.
func (h *history) of(w Writer) lastChange {
	if last, ok := h.last[w]; ok || h.base == nil {
		return last
	}
	return h.base.of(w)
}

// admits checks that c can follow what is known, and returns its sites. Automerge
// names the writer's previous change among the dependencies even if another one
// implies it; that it is demanded here keeps the number of heads below that of the
// writers.
func (h *history) admits(c *Change) ([]site, error) {
	switch last := h.of(c.Actor); {
	case c.Seq > last.seq+1:
		return nil, fmt.Errorf("sequence number %d after %d: %w", c.Seq, last.seq, ErrMissing)
	case c.Seq <= last.seq:
		return nil, fmt.Errorf("sequence number %d: %w", c.Seq, ErrConflict)
	case c.Seq > 1 && !slices.Contains(c.Deps, last.hash):
		return nil, fmt.Errorf("the writer's previous change %s is no dependency", last.hash)
	}
	for _, dep := range c.Deps {
		p, ok := h.change(dep)
		if !ok {
			return nil, fmt.Errorf("dependency %s: %w", dep, ErrMissing)
		}
		if c.StartOp <= p.lastOp {
			return nil, fmt.Errorf("start operation %d is not above those of its dependency %s", c.StartOp, dep)
		}
	}
	return h.resolves(c)
}

// Apply takes in changes in causal order and skips those that it has. It
// returns how many were new. Before anything is applied all of them
// are checked: dependencies present, sequence numbers of each writer without
// gap or repetition, and everything that an operation refers to there, of the
// right kind, and in the change's past. Errors wrap ErrMissing or ErrConflict for
// dependencies and numbers.
func (d *Document) Apply(changes []Change) (int, error) {
	if d.broken != nil {
		return 0, d.broken
	}
	fresh, err := d.unknown(changes)
	if err != nil || len(fresh) == 0 {
		return 0, err
	}
	var keys []string
	writers, own := len(d.actors), false
	for _, f := range fresh {
		keys = append(keys, d.take(f.change, f.sites)...)
		d.heads = advance(d.heads, f.change)
		d.fresh = append(d.fresh, *f.change)
		own = own || f.change.Actor == d.writer
	}
	d.edits++
	if len(d.actors) > writers {
		d.content = d.decode() // what was under the keys of a writer without changes counts now
	} else {
		d.refresh(keys)
	}
	if own {
		d.lastN = d.content.lastN(d.writer)
	}
	return len(fresh), nil
}

// admitted is a change that can follow what the document has.
type admitted struct {
	change *Change
	sites  []site
}

// unknown returns the changes that the document does not have, after checking
// that they can follow it in this order.
func (d *Document) unknown(changes []Change) (all []admitted, err error) {
	ahead := newHistory(d.history)
	for i := range changes {
		c := &changes[i]
		if _, have := ahead.change(c.Hash); have {
			continue
		}
		sites, err := ahead.admits(c)
		if err != nil {
			return nil, fmt.Errorf("apply change %s of %x: %w", c.Hash, c.Actor, err)
		}
		ahead.add(c, sites)
		all = append(all, admitted{c, sites})
	}
	return all, nil
}

// heads returns the hashes of the changes that no other one depends on, sorted.
func (h *history) heads() (heads []Hash) {
	followed := make(map[Hash]struct{}, len(h.known))
	for _, p := range h.known { // order-free: a set is filled
		for _, dep := range p.deps {
			followed[dep] = struct{}{}
		}
	}
	for hash := range h.known { // order-free: sorted below
		if _, ok := followed[hash]; !ok {
			heads = append(heads, hash)
		}
	}
	slices.SortFunc(heads, Hash.Compare)
	return heads
}

// at returns the hash of a change that was added here, by its number.
func (h *history) at(p change.Place) (Hash, bool) {
	all := h.order[p.Actor]
	if p.Seq == 0 || p.Seq > uint64(len(all)) {
		return Hash{}, false
	}
	return all[p.Seq-1], true
}

// advance returns the heads after c: without its dependencies, with its hash.
func advance(heads []Hash, c *Change) []Hash {
	out := slices.DeleteFunc(slices.Clone(heads), func(h Hash) bool { return slices.Contains(c.Deps, h) })
	i := sort.Search(len(out), func(i int) bool { return out[i].Compare(c.Hash) > 0 })
	return slices.Insert(out, i, c.Hash)
}
