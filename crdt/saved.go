package crdt

import (
	"errors"
	"fmt"
	"slices"

	"github.com/automerge/automerge-go"

	"github.com/starling-sync/starling/crdt/change"
)

// Save lets Automerge save the document, and returns that and keeps it, once it was
// read again and has all changes of the document and no others. What Automerge makes
// of the changes is the second opinion on what this package made of them: heads that
// differ, or a change that it lost, are an error, and the document goes on as it was.
// The same holds if what it saves could not be read again.
func (d *Document) Save() ([]byte, error) {
	if d.broken != nil {
		return nil, d.broken
	}
	if len(d.packs)+len(d.fresh) == 0 && len(d.saved) > 0 {
		return d.saved, nil
	}
	core, err := d.inCore()
	if err != nil {
		return nil, fmt.Errorf("save document: %w", err)
	}
	if got := headsOf(core); !slices.Equal(got, d.heads) {
		return nil, fmt.Errorf("save document: Automerge is at heads %v, want %v", got, d.heads)
	}
	saved := core.Save()
	changes, err := readSaved(saved)
	if err != nil {
		return nil, fmt.Errorf("save document: read again: %w", err)
	}
	if err := d.hasJust(changes); err != nil {
		return nil, fmt.Errorf("save document: read again: %w", err)
	}
	d.saved, d.packs, d.fresh = saved, nil, nil
	return saved, nil
}

// inCore returns the document as Automerge has it.
func (d *Document) inCore() (*automerge.Doc, error) {
	core := automerge.New()
	if len(d.saved) > 0 {
		var err error
		if core, err = automerge.Load(d.saved); err != nil {
			return nil, err
		}
	}
	since, err := d.sinceSaved()
	if err != nil || len(since) == 0 {
		return core, err
	}
	var raw []byte
	for i := range since {
		raw = append(raw, since[i].Plain()...)
	}
	return core, core.LoadIncremental(raw)
}

// hasJust checks that these are the changes of the document.
func (d *Document) hasJust(changes []Change) error {
	if len(changes) != len(d.history.known) {
		return fmt.Errorf("%d changes, want %d", len(changes), len(d.history.known))
	}
	for i := range changes {
		if _, known := d.history.known[changes[i].Hash]; !known {
			return fmt.Errorf("change %s that the document does not have", changes[i].Hash)
		}
	}
	return nil
}

func headsOf(core *automerge.Doc) []Hash {
	heads := core.Heads()
	out := make([]Hash, len(heads))
	for i, h := range heads {
		out[i] = Hash(h)
	}
	slices.SortFunc(out, Hash.Compare)
	return out
}

// readSaved returns the changes of a document that this device has saved, in causal
// order. It may be larger than what another device may send, which ParseSaved refuses:
// then Automerge tells the changes, and they must lead to the heads that it names.
func readSaved(saved []byte) ([]Change, error) {
	changes, refused := change.ParseSaved(saved)
	if refused == nil {
		return changes, nil
	}
	heads, err := headsIn(saved)
	if err != nil {
		return nil, err
	}
	h := newHistory(nil)
	if changes, err = changesOfCore(saved); err == nil {
		for i := range changes {
			h.add(&changes[i], nil)
		}
		if !slices.Equal(h.heads(), heads) {
			err = errors.New("the changes do not lead to its heads")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w; and %w", refused, err)
	}
	return changes, nil
}

func changesOfCore(saved []byte) ([]Change, error) {
	core, err := automerge.Load(saved)
	if err != nil {
		return nil, err
	}
	all, err := core.Changes()
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
