package sim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// A hostile member has valid keys, and a replica that does its work. Beside that it
// puts on its streams what no replica sends, alters what its own one says, and falls
// silent. Nothing is expected of it. The others must become equal in all that they
// wrote, and blame none of their own for it. When the faults end it has done enough.

// hostileChat is the one document that it forks; what that shows is up to chance.
const hostileChat = "hostile"

// misbehave lets the hostile member do something, again and again.
func (w *world) misbehave() {
	if w.healing {
		return
	}
	if d := w.hostile; d.up() {
		var open []*end
		for _, e := range d.ends {
			if e.link != nil && !e.closed && !e.cut {
				open = append(open, e)
			}
		}
		if e := pick(w.draw.hostile, open); e != nil {
			w.misdeed(d, e, open)
		}
	}
	w.later(around(w.draw.hostile, w.plan.faults/20), w.misbehave)
}

// misdeed does one thing to the other end of e, or of all.
func (w *world) misdeed(d *device, e *end, open []*end) {
	r := w.draw.hostile
	w.event("misbehaves", d, e.peer.device)
	switch r.IntN(11) {
	case 0:
		e.garbage(r)
	case 1:
		e.lie(d.forged(e.peer.device, nil))
	case 2:
		e.lie(d.made(newAuthor(d, r), noise(r), nil))
	case 3:
		never := []encryption.Dep{{Writer: encryption.WriterID{0xff}, Seq: 1, Head: encryption.Hash{1}}}
		e.lie(d.forged(e.peer.device, never))
	case 4:
		by := newAuthor(d, r)
		w.seen(forked)
		for i, e := range open {
			e.lie(d.made(by, by.batch(w, 0, fmt.Sprint("branch ", i)), nil))
		}
	case 5:
		by := newAuthor(d, r)
		e.lie(d.made(by, by.batch(w, 1, "what follows nothing"), nil))
	case 6:
		writer, c := d.victim(e.peer.device)
		e.lie(&wire.Ack{Entries: []wire.Acked{{Writer: writer, Seq: c.Seq + 1 + r.Uint64N(3)}}})
	case 7:
		e.lie(&wire.Neighbours{Devices: w.everybodyBut(e.peer.device)})
	case 8:
		e.muted = true
		w.seen(silent)
	case 9:
		e.lie(&wire.Members{Ops: [][]byte{noise(r)}})
	default:
		d.falsify = true
	}
}

// garbage puts bytes on a stream that are no frame, most of the time.
func (e *end) garbage(r *rand.Rand) {
	e.peer.strange, e.peer.coming = true, nil
	e.peer.carry(noise(r))
	e.device.w.seen(lied)
}

// lie puts a message on a stream, behind what the replica has sent.
func (e *end) lie(m wire.Message) {
	w := e.device.w
	frame, err := wire.AppendFrame(nil, m)
	if err != nil {
		w.fail("no frame of a lie: %v", err)
		return
	}
	w.seen(lied)
	e.send(frame, frames(frame))
}

func noise(r *rand.Rand) []byte {
	b := make([]byte, 1+r.IntN(60))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// victim draws a writer of somebody else, with its chain as o has it.
func (d *device) victim(o *device) (writer encryption.WriterID, c chainRecord) {
	of := pick(d.w.draw.hostile, d.w.honest())
	writer = writerOn(of.disk.mem)
	record(o.disk.mem, tableChains, writer[:], &c)
	return writer, c
}

// forged is an envelope of somebody else, signed by d, that would be the next one.
func (d *device) forged(o *device, deps []encryption.Dep) *wire.Envelope {
	writer, c := d.victim(o)
	if c.Seq == 0 { // the first one names its device
		return d.made(newAuthor(d, d.w.draw.hostile), nil, deps)
	}
	return d.sealed(&encryption.Content{
		Writer: writer, Seq: c.Seq + 1, Previous: c.Head, Members: c.Members, Deps: deps, Batch: noise(d.w.draw.hostile),
	}, c.Members)
}

// author is a writer that is made up for one envelope.
type author struct {
	nonce  [16]byte
	writer encryption.WriterID
}

func newAuthor(d *device, r *rand.Rand) author {
	var a author
	for i := range a.nonce {
		a.nonce[i] = byte(r.Uint32())
	}
	a.writer = encryption.WriterFor(d.id.Device(), a.nonce)
	return a
}

// made is the first envelope of an author.
func (d *device) made(a author, batch []byte, deps []encryption.Dep) *wire.Envelope {
	return d.sealed(&encryption.Content{Writer: a.writer, Nonce: a.nonce, Seq: 1, Batch: batch, Deps: deps}, encryption.Hash{})
}

func (d *device) sealed(c *encryption.Content, members encryption.Hash) *wire.Envelope {
	raw, _, err := d.id.SealEnvelope(d.w.bytes, c, members)
	if err != nil {
		return &wire.Envelope{Raw: []byte(err.Error())}
	}
	return &wire.Envelope{Raw: raw}
}

// batch is a valid change of the hostile chat, the one after skip others that nobody
// gets.
func (a author) batch(w *world, skip int, label string) []byte {
	doc := crdt.NewDocument(crdt.Writer(a.writer))
	var c *crdt.Change
	var err error
	for i := 0; i <= skip && err == nil; i++ {
		e := doc.Edit(1)
		if err = account.Apply(e, model.Edit{Op: model.ChatLabel, ID: hostileChat, Label: fmt.Sprint(label, " ", i)}); err == nil {
			c, err = e.Commit()
		}
	}
	if err != nil {
		w.fail("no change of the hostile member: %v", err)
		return nil
	}
	b := &wire.Batch{
		Docs:    []wire.Document{{Kind: uint8(account.KindChat), Entity: hostileChat}},
		Changes: []wire.BatchChange{{Raw: c.Raw}},
	}
	out, err := b.Encode(change.Context{Actor: a.writer, Suffix: "/" + crdt.Writer(a.writer).String()})
	if err != nil {
		w.fail("no batch of the hostile member: %v", err)
	}
	return out
}

// everybodyBut returns the members but one.
func (w *world) everybodyBut(o *device) (all [][16]byte) {
	for _, m := range w.hostile.id.Members() {
		if m.ID != o.id.Device() {
			all = append(all, m.ID)
		}
	}
	slices.SortFunc(all, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	return all
}

// altered is what the replica of the hostile member says, with a false frontier.
func (d *device) altered(out []byte, all []frame) ([]byte, []frame) {
	if !d.falsify {
		return out, all
	}
	var changed []byte
	for _, f := range all {
		if m, ok := f.message.(*wire.Frontier); ok && len(m.Entries) > 0 {
			e := &m.Entries[d.w.draw.hostile.IntN(len(m.Entries))]
			e.Seq, e.Head = e.Seq+d.w.draw.hostile.Uint64N(3), [32]byte{0xba, 0xd0}
			d.falsify = false
			d.w.seen(falseFrontier)
		}
		frame, err := wire.AppendFrame(nil, f.message)
		if err != nil {
			d.w.fail("no frame of a false frontier: %v", err)
		}
		changed = append(changed, frame...)
	}
	return changed, frames(changed)
}

// honest returns the devices that are not hostile.
func (w *world) honest() []*device { return w.those(func(d *device) bool { return !d.hostile() }) }

func (d *device) hostile() bool { return d.w.hostile == d }

// excusable says whether an honest device may distrust a writer, or the hostile member.
func (d *device) excusable(author, with encryption.DeviceID) bool {
	h := d.w.hostile
	return h != nil && (author.IsZero() || author == h.id.Device() || with == h.id.Device())
}
