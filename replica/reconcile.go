package replica

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// A document that another device has at other heads, though both hold the same
// envelopes, is joined with what it has: each then has what either had. Nobody has
// signed what comes so; the device that sends it answers for it, as for a snapshot.
// Two things are taken from nobody's word but the log's:
//
//   - What this device has written itself, as long as its log is whole. A change in its
//     name that it does not know would take a number that it is going to use.
//   - What contradicts: two changes of one writer under one number. The document is
//     then made anew from the log, if that is whole, with whatever else both had that
//     fits to it. Where it is not whole, all stays as it is, and the person is told.

// maxRebuilds is how often in the life of a process the whole log is read because of
// what one device has sent.
const maxRebuilds = 16

var errMany = errors.New("the log was read too often for that device")

// errAsSigned says that a document is what the log makes of it, so that it is the
// other device that is wrong, which finds out by itself.
var errAsSigned = errors.New("here it is what the log says")

// reconcile joins a document with what another device has of it.
func (l *loop) reconcile(g *group, ref account.Ref, theirs []crdt.Change, device encryption.DeviceID) error {
	doc, err := l.docs.get(ref)
	if err != nil {
		return err
	}
	theirs, err = l.withoutForged(doc, theirs, device)
	if err == nil {
		err = l.merge(g, ref, theirs, device)
		if err != nil && !errors.Is(err, crdt.ErrConflict) {
			return err
		}
		if err != nil {
			err = l.rebuild(g, doc, theirs, device)
		}
	}
	if errors.Is(err, errAsSigned) {
		l.config.Log.Warn("another device's document contradicts the log", "document", ref, "device", device)
		return nil
	}
	if err != nil {
		l.fault(device.String(), fmt.Errorf("%s differs from what device %s has, and cannot be joined with it: %w", ref, device, err))
	}
	return nil
}

// sign joins a document with what an envelope has of it and that contradicts it. What
// nobody has signed gives way; otherwise the contradiction is returned.
func (l *loop) sign(g *group, doc *document, batch *wire.Batch, i int, c *encryption.Content, contradiction error) error {
	must, err := l.signed(g, doc, c.Device)
	if err != nil {
		return errors.Join(contradiction, err)
	}
	changes, err := batch.Of(i, must.At) // what it names by number is what was signed
	if err == nil {
		_, err = must.Apply(changes)
	}
	if err == nil {
		err = l.makeAnew(g, doc, must, nil, c.Device)
	}
	if err != nil {
		return errors.Join(contradiction, err)
	}
	return nil
}

// withoutForged leaves out changes in the name of this device that neither its
// document nor its log has, and what rests on them. Where its log does not go back to
// the beginning it cannot tell.
func (l *loop) withoutForged(doc *document, theirs []crdt.Change, device encryption.DeviceID) ([]crdt.Change, error) {
	fresh := func(c crdt.Change) bool { return c.Actor == [16]byte(l.docs.writer) && !doc.doc.Has(c.Hash) }
	if l.base.Chains[l.author.Writer].Seq > 0 || !slices.ContainsFunc(theirs, fresh) {
		return theirs, nil
	}
	if err := l.readOwn(device); err != nil {
		return nil, err
	}
	left := map[crdt.Hash]bool{}
	kept := slices.DeleteFunc(slices.Clone(theirs), func(c crdt.Change) bool {
		if fresh(c) && c.Seq > l.own.last[doc.ref] || slices.ContainsFunc(c.Deps, func(h crdt.Hash) bool { return left[h] }) {
			left[c.Hash] = true
		}
		return left[c.Hash]
	})
	if len(left) > 0 {
		l.config.Log.Warn("changes that this device has not made are left out", "document", doc.ref, "device", device, "changes", len(left))
	}
	return kept, nil
}

// own is how far this device has written each document, as its log and what waits to be
// sealed have it. It is kept until there is more, or a search has ended.
type own struct {
	seq, pending uint64 // of the log and of what waits, when it was read
	last         map[account.Ref]uint64
}

func (l *loop) readOwn(device encryption.DeviceID) error {
	seq := l.core.Seq(l.author.Writer)
	if l.own.last != nil && l.own.seq == seq && l.own.pending == l.counters.Pending {
		return nil
	}
	if err := l.mayRead(device); err != nil {
		return err
	}
	last, a := map[account.Ref]uint64{}, newAudit(l.r.id, &l.base)
	err := l.config.Store.Scan(tableLog, l.author.Writer[:], nil, func(_, value []byte) error {
		_, content, err := a.open(value)
		if err != nil {
			return err
		}
		batch, err := wire.DecodeBatch(elision(content.Writer), content.Batch)
		if err != nil {
			return err
		}
		for i, d := range batch.Docs {
			if last[account.Ref{Kind: account.Kind(d.Kind), Entity: d.Entity}], err = batch.Last(i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what this device has written: %w", err)
	}
	err = l.eachPending(func(_ []byte, c localChange) error {
		parsed, err := change.Parse(c.raw)
		last[c.ref] = parsed.Seq
		return err
	})
	l.own = own{seq, l.counters.Pending, last}
	return err
}

// mayRead says whether the log is read once more because of a device.
func (l *loop) mayRead(device encryption.DeviceID) error {
	if l.reads[device] >= maxRebuilds {
		return errMany
	}
	l.reads[device]++
	return nil
}

// rebuild makes a document of what was signed, and of what else it and another device
// had, as far as that fits.
func (l *loop) rebuild(g *group, doc *document, theirs []crdt.Change, device encryption.DeviceID) error {
	must, err := l.signed(g, doc, device)
	if err != nil {
		return err
	}
	return l.makeAnew(g, doc, must, theirs, device)
}

// signed returns a document with what the log has of it, what waits to be sealed, and
// what this group has made.
func (l *loop) signed(g *group, doc *document, device encryption.DeviceID) (*crdt.Document, error) {
	if len(l.base.Chains) > 0 {
		return nil, errPruned
	}
	if err := l.mayRead(device); err != nil {
		return nil, err
	}
	must := crdt.NewDocument(l.docs.writer)
	if err := errors.Join(l.readLog(must, doc.ref), l.readPending(must, doc.ref)); err != nil {
		return nil, err
	}
	for _, c := range g.run {
		if c.ref == doc.ref {
			parsed, err := change.Parse(c.raw)
			if err == nil {
				_, err = must.Apply([]crdt.Change{parsed})
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return must, nil
}

// makeAnew replaces a document by what must be in it, with what fits of the rest.
func (l *loop) makeAnew(g *group, doc *document, must *crdt.Document, theirs []crdt.Change, device encryption.DeviceID) error {
	signed, err := must.Changes()
	if err != nil {
		return err
	}
	ours, err := doc.doc.Changes()
	if err != nil {
		return err
	}
	changes, err := fitting(signed, slices.Concat(ours, theirs))
	if err != nil {
		return err
	}
	fresh := crdt.NewDocument(l.docs.writer)
	if _, err := fresh.Apply(changes); err != nil {
		return err
	}
	if slices.Equal(fresh.Heads(), doc.doc.Heads()) {
		return errAsSigned
	}
	before := parts(doc)
	doc.become(fresh)
	doc.stuck = false
	for _, entity := range changedParts(before, parts(doc), doc.ref) {
		g.events = append(g.events, model.Event{Kind: eventKind(doc.ref.Kind), Entity: entity, Device: device.String()})
	}
	l.config.Log.Warn("a document that contradicted the log was made anew from that", "document", doc.ref)
	return nil
}

// numbered is the place of a change in its document, where there is one of a writer
// under a number.
type numbered struct {
	writer [16]byte
	seq    uint64
}

// fitting returns what must be in a document with those others that can be beside it,
// in causal order. Of two others that exclude each other it takes the same one on
// every device.
func fitting(must, others []crdt.Change) ([]crdt.Change, error) {
	signed := map[numbered]crdt.Hash{}
	for _, c := range must {
		signed[numbered{c.Actor, c.Seq}] = c.Hash
	}
	all := slices.Clone(must)
	for _, c := range others {
		if _, taken := signed[numbered{c.Actor, c.Seq}]; !taken {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b crdt.Change) int { // what a change rests on has a lower start
		return cmp.Or(cmp.Compare(a.StartOp, b.StartOp), bytes.Compare(a.Hash[:], b.Hash[:]))
	})
	known, last := map[crdt.Hash]bool{}, map[[16]byte]uint64{}
	all = slices.DeleteFunc(all, func(c crdt.Change) bool {
		lacks := slices.ContainsFunc(c.Deps, func(h crdt.Hash) bool { return !known[h] })
		if known[c.Hash] || lacks || c.Seq != last[c.Actor]+1 {
			return true
		}
		known[c.Hash], last[c.Actor] = true, c.Seq
		return false
	})
	for _, c := range must {
		if !known[c.Hash] {
			return nil, fmt.Errorf("change %s, which the log has, rests on what is not there: %w", c.Hash, crdt.ErrMissing)
		}
	}
	return all, nil
}
