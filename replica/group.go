package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

// Bounds of one group and of one own envelope. A single Apply is never
// split, whatever its size.
const (
	groupEdits = 4096
	groupBytes = 4 << 20   // of changes that others sent
	sealBytes  = 768 << 10 // of changes before anything is left out
	sealRuns   = 4         // envelopes of the backlog sealed in one group
)

// intent is what one caller of Apply decided.
type intent struct {
	edits []model.Edit
	refs  []account.Ref
	done  chan error // capacity 1
}

// String names the edits for an error.
func (in *intent) String() string {
	switch n := len(in.edits); n {
	case 0:
		return "no edits"
	case 1:
		return fmt.Sprintf("%s %q", in.edits[0].Op, in.edits[0].ID)
	default:
		return fmt.Sprintf("%s %q and %d more edits", in.edits[0].Op, in.edits[0].ID, n-1)
	}
}

// group is what becomes durable together.
type group struct {
	batch   store.Batch
	intents []*intent // answered when durable
	events  []model.Event
	run     []localChange // own changes of this group
	next    counters      // of the store when the group is durable
	swept   uint64        // of the changes that wait, those below do not hurry

	part     *core.Absorb         // whose documents are in it; nil for none
	base     *baseRecord          // when it is durable; nil: as before
	mended   []account.DocumentID // wanted no more when it is durable
	recount  bool                 // the fingerprint is, then
	suspects suspects             // when it is durable; nil: as before
}

// localChange is one own change on its way to an envelope.
type localChange struct {
	ref   account.Ref
	raw   []byte
	after []change.Place // what its dependencies are called by number; nil if that is not known
}

// size is what a change takes in an envelope, if its document is named there
// for it alone. Random names of many documents weigh more than the changes.
func (c localChange) size() int { return len(c.raw) + len(c.ref.Entity) + 8 }

// build makes the next group out of what waits. Own edits come first: they
// can be taken back as long as nothing was staged in the ledger.
func (l *loop) build() (*group, error) {
	if err := errors.Join(l.outside(), l.renew()); err != nil {
		l.answer(l.queue, err)
		l.queue = nil
	}
	if l.seals() && (len(l.queue) > 0 || l.backlog()) {
		l.freshEpoch()
	}
	g, err := l.buildEdits()
	if err == nil {
		err = l.absorb(g)
	}
	if err == nil {
		err = l.admitAll(g)
	}
	if err == nil {
		err = l.finishGroup(g)
	}
	l.over()
	if err != nil {
		l.refuse(g, err)
		return nil, err
	}
	return g, nil
}

// buildEdits applies waiting intents. One that fails is answered, and the
// others are applied again from the start.
func (l *loop) buildEdits() (*group, error) {
	for {
		g := &group{next: l.counters}
		if err := l.docs.begin(&g.batch); err != nil {
			g.intents, l.queue = l.queue, nil
			return g, err
		}
		failed, err := l.applyIntents(g)
		if err == nil {
			return g, nil
		}
		failed.done <- err
		l.requeue(g.intents)
		l.docs.abort()
	}
}

func (l *loop) requeue(intents []*intent) { l.queue = append(intents, l.queue...) }

func (l *loop) applyIntents(g *group) (*intent, error) {
	for edits := 0; len(l.queue) > 0 && edits < groupEdits; {
		in := l.queue[0]
		l.queue = l.queue[1:]
		if err := l.applyIntent(g, in); err != nil {
			return in, err
		}
		g.intents = append(g.intents, in)
		edits += len(in.edits)
	}
	return nil, nil
}

// applyIntent performs the edits of one intent. Neighbouring edits of one
// document become one change.
func (l *loop) applyIntent(g *group, in *intent) error {
	for i := 0; i < len(in.edits); {
		j := i + 1
		for j < len(in.edits) && in.refs[j] == in.refs[i] {
			j++
		}
		if err := l.applyEdits(g, in.refs[i], in.edits[i:j]); err != nil {
			return err
		}
		i = j
	}
	return nil
}

// changeEdits bounds the edits of one change.
const changeEdits = 256

func (l *loop) applyEdits(g *group, ref account.Ref, edits []model.Edit) error {
	for part := range slices.Chunk(edits, changeEdits) {
		placed := make([]model.Edit, len(part))
		for i, m := range part {
			var err error
			if placed[i], err = l.docs.views.place(l.config.Store, m, l.docs.writer); err != nil {
				return err
			}
		}
		if err := l.applyPlaced(g, ref, placed); err != nil {
			return err
		}
	}
	return l.touchAll(g, edits)
}

// applyPlaced makes one change of the edits, or several where one would be
// too large.
func (l *loop) applyPlaced(g *group, ref account.Ref, edits []model.Edit) error {
	err := l.applyChange(g, ref, edits)
	if !errors.Is(err, crdt.ErrTooLarge) || len(edits) == 1 {
		return err
	}
	half := len(edits) / 2
	if err := l.applyPlaced(g, ref, edits[:half]); err != nil {
		return err
	}
	return l.applyPlaced(g, ref, edits[half:])
}

func (l *loop) applyChange(g *group, ref account.Ref, edits []model.Edit) error {
	doc, err := l.docs.get(ref)
	if err != nil {
		return fmt.Errorf("%s %q: %w", edits[0].Op, edits[0].ID, err)
	}
	e := doc.doc.Edit(l.config.Clock().UnixMilli())
	for _, m := range edits {
		if err := account.Apply(e, m); err != nil {
			return err
		}
	}
	if err := l.commitEdit(g, doc, e, edits); err != nil {
		return fmt.Errorf("%s %q: %w", edits[0].Op, edits[0].ID, err)
	}
	return nil
}

// touchAll notes edits in the documents that they concern beside their own.
func (l *loop) touchAll(g *group, edits []model.Edit) error {
	for _, m := range edits {
		ref, ok := account.AlsoTouches(m)
		if !ok {
			continue
		}
		if err := l.touch(g, ref, m); err != nil {
			return fmt.Errorf("%s %q: %w", m.Op, m.ID, err)
		}
	}
	return nil
}

func (l *loop) touch(g *group, ref account.Ref, m model.Edit) error {
	doc, err := l.docs.get(ref)
	if err != nil {
		return err
	}
	e := doc.doc.Edit(l.config.Clock().UnixMilli())
	if err := account.Touch(e, m); err != nil {
		return err
	}
	return l.commitEdit(g, doc, e, nil)
}

// commitEdit adds what e wrote, if anything, to the group.
func (l *loop) commitEdit(g *group, doc *document, e *crdt.Edit, edits []model.Edit) error {
	c, err := e.Commit()
	if err != nil || c == nil {
		return err
	}
	doc.dirty = true
	g.run = append(g.run, localChange{doc.ref, c.Raw, doc.doc.Places(c)})
	told := ""
	for _, m := range edits {
		if m.ID != told {
			g.events = append(g.events, model.Event{Kind: eventKind(doc.ref.Kind), Entity: m.ID, Device: l.author.Device.String()})
			told = m.ID
		}
	}
	return nil
}

// admitAll applies verified envelopes of other devices.
func (l *loop) admitAll(g *group) error {
	for size := 0; size < groupBytes; {
		a := l.core.Next()
		if a == nil {
			return nil
		}
		err := l.under([32]byte(a.Chain.Head), setAsideRecord{Device: a.Content.Device, Writer: a.Content.Writer, Seq: a.Content.Seq})
		if err == nil {
			err = l.admit(g, a, &size)
		}
		if err != nil {
			return &poison{a.Content.Writer, fmt.Errorf("envelope %d of writer %s: %w", a.Content.Seq, a.Content.Writer, err)}
		}
		if l.wary() {
			return nil
		}
	}
	return nil
}

// poison is the failure of one verified envelope to apply.
type poison struct {
	writer encryption.WriterID
	err    error
}

func (p *poison) Error() string { return p.err.Error() }
func (p *poison) Unwrap() error { return p.err }

// admit applies one envelope, and adds to size what it is packed and unpacked: a
// history of a million changes takes 6 MB packed.
func (l *loop) admit(g *group, a *core.Admitted, size *int) error {
	batch, err := wire.DecodeBatch(elision(a.Content.Writer), a.Content.Batch)
	if err != nil {
		return err
	}
	*size += len(a.Raw)
	for i, d := range batch.Docs {
		ref := account.Ref{Kind: account.Kind(d.Kind), Entity: d.Entity}
		n, err := l.applyPart(g, ref, batch, i, a.Content)
		if *size += n; err != nil {
			return err
		}
	}
	l.noticeCopy(a)
	l.clear(g, [32]byte(a.Chain.Head))
	l.keep(g, a)
	return nil
}

func (l *loop) merge(g *group, ref account.Ref, changes []crdt.Change, device encryption.DeviceID) error {
	if err := ref.Check(); err != nil {
		return err
	}
	doc, err := l.docs.get(ref)
	if err != nil {
		return err
	}
	before := parts(doc)
	n, err := doc.doc.Apply(changes)
	if err != nil {
		return fmt.Errorf("%s: %w", ref, err)
	}
	if n == 0 {
		return nil
	}
	doc.dirty = true
	for _, entity := range changedParts(before, parts(doc), ref) {
		g.events = append(g.events, model.Event{Kind: eventKind(ref.Kind), Entity: entity, Device: device.String()})
	}
	return nil
}

// keep puts an envelope and its writer's chain into the group.
func (l *loop) keep(g *group, a *core.Admitted) {
	g.next.Arrival++
	w := a.Content.Writer
	g.batch.Put(tableLog, logKey(w, a.Content.Seq), encode(logRecord{Arrival: g.next.Arrival, Raw: a.Raw}))
	g.batch.Put(tableChains, w[:], encode(chainToRecord(a.Chain)))
}

// finishGroup seals or keeps the own changes and writes the documents.
func (l *loop) finishGroup(g *group) error {
	if err := l.sealOrKeep(g); err != nil {
		return err
	}
	if err := l.docs.finish(); err != nil {
		return err
	}
	l.prune(g)
	if g.next != l.counters {
		g.batch.Put(tableMeta, keyCounters, encode(g.next))
		g.batch.Put(tableMeta, keyEpoch, encode(l.epoch))
	}
	return nil
}

// refuse takes a group back that could not be built: edits are answered with
// the error, and an envelope that does not apply freezes its writer, or has it wait
// for what it lacks.
func (l *loop) refuse(g *group, err error) {
	var p *poison
	var s *spoilt
	var m *missing
	switch {
	case errors.As(err, &m) && l.waitFor(m):
		l.requeue(g.intents)
	case errors.As(err, &p):
		l.core.Refuse(p.writer, p.err)
		l.requeue(g.intents)
	case errors.As(err, &s):
		l.requeue(g.intents)
		l.perform(l.core.Step(core.Absorbed{Session: s.part.Session, Device: s.part.Device, Err: s}))
	default:
		l.answer(g.intents, err)
		l.fault("", err)
	}
	l.takeBack()
}

// answer tells the callers of Apply how their edits have ended.
func (l *loop) answer(intents []*intent, err error) {
	for _, in := range intents {
		if err != nil {
			in.done <- fmt.Errorf("apply %s: %w", in, closed(err))
			continue
		}
		in.done <- nil
	}
}
