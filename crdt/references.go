package crdt

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/starling-sync/starling/crdt/change"
)

// The core takes a change whose operations refer to what is not there, or to
// something else than they say, without an error. The document then differs from
// others, cannot be loaded again once it is saved, or ends the process later. So
// every reference is looked up before.

// site is where operations stand that follow one another: the characters that one
// change typed into one text, or one operation on a key.
type site struct {
	first, n uint64 // numbers
	seq      uint64 // of the change
	kind     siteKind
	obj      change.OpID // of characters
	key      string      // of everything else
}

type siteKind string

const (
	siteValue     siteKind = "value"
	siteCounter   siteKind = "counter"
	siteText      siteKind = "text"
	siteCharacter siteKind = "character"
)

// sitesOf returns what other operations can refer to.
func sitesOf(c *Change) (sites []site) {
	for o := range c.Ops() {
		sites = withSite(sites, c, &o)
	}
	return sites
}

// withSite returns the sites with that of o, which comes behind them in c.
func withSite(sites []site, c *Change, o *change.Op) []site {
	s := site{first: o.ID.Counter, n: 1, seq: c.Seq, obj: o.Obj, key: o.Key}
	switch {
	case o.Insert:
		s.kind = siteCharacter
	case o.Action == change.MakeText:
		s.kind = siteText
	case o.Action == change.Set && o.Type == change.Counter:
		s.kind = siteCounter
	case o.Action == change.Set:
		s.kind = siteValue
	default:
		return sites
	}
	if n := len(sites); n > 0 && sites[n-1].goesOn(&s) {
		sites[n-1].n++
		return sites
	}
	return append(sites, s)
}

func (s *site) goesOn(o *site) bool {
	return s.kind == siteCharacter && o.kind == siteCharacter && s.obj == o.obj && s.first+s.n == o.first
}

// at returns the site of a number.
func at(sites []site, number uint64) *site {
	i, found := slices.BinarySearchFunc(sites, number, func(s site, n uint64) int { return cmp.Compare(s.first, n) })
	if !found {
		i--
	}
	if i < 0 || number >= sites[i].first+sites[i].n {
		return nil
	}
	return &sites[i]
}

func (h *history) site(id change.OpID) *site {
	if s := at(h.sites[id.Actor], id.Counter); s != nil || h.base == nil {
		return s
	}
	return h.base.site(id)
}

var errReference = errors.New("an operation refers to what is not there")

// resolver looks up what one change refers to.
type resolver struct {
	*history
	c    *Change
	own  []site            // of its operations so far
	seen map[Writer]uint64 // numbers of the changes of others that it has to have seen
	from uint64            // the lowest number of an operation that is referred to there
}

// resolves checks what the operations of c refer to, and returns the sites of c.
// They refer to earlier ones only, so that one pass does both.
func (h *history) resolves(c *Change) ([]site, error) {
	r := &resolver{history: h, c: c, seen: map[Writer]uint64{}, from: change.MaxCounter}
	for o := range c.Ops() {
		if err := r.op(&o); err != nil {
			return nil, fmt.Errorf("operation %d: %w", o.ID.Counter, err)
		}
		r.own = withSite(r.own, c, &o)
	}
	return r.own, r.past()
}

func (r *resolver) op(o *change.Op) error {
	if o.Obj.IsZero() {
		return r.onKey(o)
	}
	if _, err := r.find(o.Obj, siteText); err != nil {
		return err
	}
	if o.Elem.IsZero() {
		return nil
	}
	character, err := r.find(o.Elem, siteCharacter)
	if err == nil && character.obj != o.Obj {
		err = fmt.Errorf("%w: the character is of another text", errReference)
	}
	return err
}

func (r *resolver) onKey(o *change.Op) error {
	kinds := []siteKind{siteValue, siteCounter, siteText}
	if o.Action == change.Increment {
		kinds = kinds[1:2]
	}
	for _, p := range o.Pred {
		s, err := r.find(p, kinds...)
		if err != nil {
			return err
		}
		if s.key != o.Key {
			return fmt.Errorf("%w: the predecessor has another key", errReference)
		}
	}
	return nil
}

// find returns the site of an operation, of one of these kinds, and notes that
// the change has to have seen it.
func (r *resolver) find(id change.OpID, kinds ...siteKind) (*site, error) {
	own := id.Actor == r.c.Actor
	var s *site
	if own && id.Counter >= r.c.StartOp {
		s = at(r.own, id.Counter)
	} else {
		s = r.site(id)
	}
	if s == nil || !slices.Contains(kinds, s.kind) {
		return nil, fmt.Errorf("%w: no %s %d of %x", errReference, kinds[0], id.Counter, id.Actor)
	}
	if !own { // it has seen all of its own
		r.seen[id.Actor] = max(r.seen[id.Actor], s.seq)
		r.from = min(r.from, id.Counter)
	}
	return s, nil
}

// past checks that c has seen the changes of others that it refers to: that they
// are among its dependencies or theirs.
func (r *resolver) past() error {
	visited := map[Hash]bool{}
	next := slices.Clone(r.c.Deps)
	for len(r.seen) > 0 && len(next) > 0 {
		hash := next[len(next)-1]
		next = next[:len(next)-1]
		p, _ := r.change(hash)
		if visited[hash] || p.lastOp < r.from { // what comes before has lower numbers
			continue
		}
		visited[hash] = true
		if needed, ok := r.seen[p.writer]; ok && p.seq >= needed {
			delete(r.seen, p.writer)
		}
		next = append(next, p.deps...)
	}
	if len(r.seen) > 0 {
		return fmt.Errorf("%w: it is not in the past of the change", errReference)
	}
	return nil
}
