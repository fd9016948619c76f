package crdt

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/starling-sync/starling/crdt/change"
)

// history is what is known of the changes in a document, on top of base.
type history struct {
	base  *history
	known map[Hash]past
	last  map[Writer]lastChange
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
	return &history{base: base, known: map[Hash]past{}, last: map[Writer]lastChange{}, sites: map[Writer][]site{}}
}

func (h *history) add(c *Change, sites []site) {
	h.known[c.Hash] = past{writer: c.Actor, seq: c.Seq, lastOp: c.LastOp(), deps: c.Deps}
	h.last[c.Actor] = lastChange{c.Seq, c.Hash}
	h.sites[c.Actor] = append(h.sites[c.Actor], sites...)
}

// absorb takes in what was added on top of h.
func (h *history) absorb(ahead *history) {
	maps.Copy(h.known, ahead.known)
	maps.Copy(h.last, ahead.last)
	for w, sites := range ahead.sites { // order-free: each writer apart
		h.sites[w] = append(h.sites[w], sites...)
	}
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

// loadHistory reads the changes of the document into d.history.
func (d *Document) loadHistory() error {
	if d.history != nil {
		return nil
	}
	changes, err := d.changes()
	if err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	h := newHistory(nil)
	for i := range changes {
		h.add(&changes[i], sitesOf(&changes[i]))
	}
	d.history, d.saved, d.since = h, nil, nil
	return nil
}

// changes returns all changes in causal order, while there is no history: those that
// were loaded, and those made since. Where ParseSaved refuses what was loaded the
// core tells them: it may be larger than what another device may send.
func (d *Document) changes() ([]Change, error) {
	if changes, err := change.ParseSaved(d.saved); err == nil {
		return append(changes, d.since...), nil
	}
	return d.changesOfCore()
}

func (d *Document) changesOfCore() ([]Change, error) {
	all, err := d.doc.Changes()
	if err != nil {
		return nil, err
	}
	changes := make([]Change, len(all))
	for i, c := range all {
		if changes[i], err = change.Parse(c.Save()); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// Has says whether the document holds a change. A document that is broken
// has none.
func (d *Document) Has(h Hash) bool {
	if d.broken != nil || d.loadHistory() != nil {
		return false
	}
	_, ok := d.history.known[h]
	return ok
}

// Apply takes in changes in causal order and skips those that it has. It
// returns how many were new. Before anything reaches Automerge all of them
// are checked: dependencies present, sequence numbers of each writer without
// gap or repetition, and everything that an operation refers to there, of the
// right kind, and in the change's past. Errors wrap ErrMissing or ErrConflict for
// dependencies and numbers; when an error wraps ErrBroken, the document must be
// dropped.
func (d *Document) Apply(changes []Change) (int, error) {
	if d.broken != nil {
		return 0, d.broken
	}
	if err := d.loadHistory(); err != nil {
		return 0, fmt.Errorf("apply changes: %w", err)
	}
	fresh, ahead, err := d.fresh(changes)
	if err != nil || len(fresh) == 0 {
		return 0, err
	}
	var raw []byte
	for _, c := range fresh {
		raw = append(raw, c.Plain()...)
		d.heads = advance(d.heads, c)
		d.actors[c.Actor] = struct{}{}
	}
	d.history.absorb(ahead)
	if err := d.doc.LoadIncremental(raw); err != nil {
		return 0, d.fail("apply changes", err)
	}
	if err := d.checkHeads(); err != nil {
		return 0, d.fail("apply changes", err)
	}
	if err := d.refresh(); err != nil {
		return 0, d.fail("apply changes", err)
	}
	return len(fresh), nil
}

// fresh returns the changes that the document does not have, after checking
// that they can follow it in this order, and what is known of them.
func (d *Document) fresh(changes []Change) (fresh []*Change, ahead *history, err error) {
	ahead = newHistory(d.history)
	for i := range changes {
		c := &changes[i]
		if _, have := ahead.change(c.Hash); have {
			continue
		}
		sites, err := ahead.admits(c)
		if err != nil {
			return nil, nil, fmt.Errorf("apply change %s of %x: %w", c.Hash, c.Actor, err)
		}
		ahead.add(c, sites)
		fresh = append(fresh, c)
	}
	return fresh, ahead, nil
}

// advance returns the heads after c: without its dependencies, with its hash.
func advance(heads []Hash, c *Change) []Hash {
	out := slices.DeleteFunc(slices.Clone(heads), func(h Hash) bool { return slices.Contains(c.Deps, h) })
	i := sort.Search(len(out), func(i int) bool { return out[i].Compare(c.Hash) > 0 })
	return slices.Insert(out, i, c.Hash)
}

// ChangesBy returns all changes of a writer that the document has, in their order.
func (d *Document) ChangesBy(w Writer) ([]Change, error) {
	if d.broken != nil {
		return nil, d.broken
	}
	all, err := d.doc.Changes()
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	var own []Change
	for _, c := range all {
		if c.ActorID() != w.hex() {
			continue
		}
		parsed, err := change.Parse(c.Save())
		if err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		own = append(own, parsed)
	}
	slices.SortFunc(own, func(a, b Change) int { return cmp.Compare(a.Seq, b.Seq) })
	return own, nil
}
