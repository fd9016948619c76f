package sim

import (
	"context" //lint:allow context the interface of a log handler has one
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

// watched is what the checks know of one device, by themselves.
type watched struct {
	d       *device
	durable map[[32]byte]bool // hashes of envelopes, operations and epoch records on the disk
	had     marks             // that were on the disk once
	shown   map[string]marks  // on the disk, by the key of the index entry that shows them
	ahead   frontier          // that the documents may be at; see isAhead
	reads   map[string]model.Position
	writer  encryption.WriterID
	backs   int  // how often the directory was put back
	fresh   bool // something was written since the last look
}

func (o *watched) begin(d *device) {
	*o = watched{d: d, durable: map[[32]byte]bool{}, had: marks{}, shown: map[string]marks{}, ahead: frontier{}, reads: map[string]model.Position{}}
	d.disk.tap = o.wrote
}

// wrote takes note of a batch that is durable.
func (o *watched) wrote(b *store.Batch) {
	o.fresh = true
	for op := range b.Ops() {
		if op.Table == tableIndex {
			o.show(op.Key, op.Value)
		}
		switch {
		case op.Delete && op.Table == tableLog:
			o.d.w.seen(logShortened)
		case op.Delete:
		case op.Table == tableMembers || op.Table == tableEpochs:
			o.durable[sha256.Sum256(op.Value)] = true
		case op.Table == tableLog:
			var r logRecord
			if err := cbor.Unmarshal(op.Value, &r); err != nil {
				o.d.w.fail("%s writes a log record that cannot be read: %v", o.d.name, err)
			}
			o.durable[sha256.Sum256(r.Raw)] = true
		case op.Table == tableIndex && account.Kind(op.Key[0]) == account.KindChat:
			o.readMark(op.Value)
		}
	}
}

// show takes note of the marks in an entry of the index, or that there are none in it.
func (o *watched) show(key, value []byte) {
	m := marks{}
	m.read(key, value)
	if len(m) > 0 {
		o.shown[string(key)] = m
	} else {
		delete(o.shown, string(key))
	}
}

// shows says whether the disk shows a mark.
func (o *watched) shows(mark string) bool {
	for _, m := range o.shown { // order-free: any of them will do
		if m[mark] {
			return true
		}
	}
	return false
}

// readMark: the position up to which a chat was read never goes back.
func (o *watched) readMark(value []byte) {
	var c model.Chat
	if err := cbor.Unmarshal(value, &c); err != nil {
		o.d.w.fail("%s writes a chat that cannot be read: %v", o.d.name, err)
		return
	}
	before, known := o.reads[c.ID]
	switch {
	case c.Read == nil && known, c.Read != nil && c.Read.Compare(before) < 0:
		o.d.w.fail("%s takes the read mark of chat %s back from %+v to %+v", o.d.name, c.ID, before, c.Read)
	case c.Read != nil:
		o.reads[c.ID] = *c.Read
	}
}

// putBack forgets what the directory does not hold any more.
func (o *watched) putBack(s *saved) {
	o.backs++
	o.writer = encryption.WriterID{} // that of the directory is no news
	o.had, o.ahead = maps.Clone(s.marks), maps.Clone(s.ahead)
	clear(o.reads)
	clear(o.durable)
	clear(o.shown)
	add := func(_, value []byte) error { o.durable[sha256.Sum256(value)] = true; return nil }
	mem := o.d.disk.mem
	err := errors.Join(mem.Scan(tableMembers, nil, nil, add), mem.Scan(tableEpochs, nil, nil, add),
		mem.Scan(tableIndex, nil, nil, func(key, value []byte) error { o.show(key, value); return nil }),
		eachEnvelope(mem, func(_ encryption.WriterID, _ uint64, raw []byte) error { return add(nil, raw) }))
	if err != nil {
		o.d.w.fail("%s: a copy of the directory cannot be read: %v", o.d.name, err)
	}
}

// acknowledged: what Apply has returned for is on the disk.
func (o *watched) acknowledged(mark string) {
	if !o.shows(mark) {
		o.d.w.fail("%s has acknowledged %s, which is not on its disk", o.d.name, mark)
	}
	o.had[mark] = true
}

// look: what was on the disk once is still there.
func (o *watched) look() {
	now := marks{}
	for _, m := range o.shown { // order-free: a set is filled
		maps.Copy(now, m)
	}
	for _, mark := range slices.Sorted(maps.Keys(o.had)) {
		if !now[mark] {
			o.d.w.fail("%s has lost %s", o.d.name, mark)
		}
	}
	o.had = now
}

func (o *watched) opened(*device) { o.look() }
func (o *watched) down(*device)   { o.look() }

// after checks what holds between any two events.
func (o *watched) after(d *device) {
	w, x := d.w, d.rep.Exchange()
	if d.hostile() {
		return
	}
	out := x.Outstanding()
	if out.Full {
		w.seen(windowFull)
	}
	if out.Buffered > 0 && !x.Ready() {
		w.seen(buffered)
	}
	if out.Distrust {
		o.distrusts(x.Distrusted())
	}
	if now := d.rep.Author().Writer; now != o.writer {
		if o.writer != (encryption.WriterID{}) {
			w.seen(renewed)
			d.unaware = false
			if o.backs == 0 && w.hostile == nil { // whose lies cost a writer
				w.fail("%s became another writer for no reason", d.name)
			}
		}
		o.writer = now
	}
	if o.fresh && !d.rep.Flying() && !d.rep.Backlog() {
		o.fresh = false
		w.checks.same(d)
	}
}

// distrusts: nobody distrusts an honest writer, but a device that lies about it.
func (o *watched) distrusts(all []core.Distrusted) {
	for _, t := range all {
		switch {
		case !o.d.excusable(t.Author, t.With):
			o.d.w.fail("%s distrusts an honest writer", o.d.name)
		case t.With.IsZero():
			o.d.w.seen(frozen)
		default:
			o.d.w.seen(disputed)
		}
	}
}

// sends: what others are told is durable here.
func (o *watched) sends(d *device, e *end, out []frame) {
	if d.hostile() {
		return
	}
	for _, f := range out {
		switch m := f.message.(type) {
		case *wire.Hello:
			if m.Backlog {
				d.w.seen(backlogMet)
			}
		case *wire.Frontier:
			for _, f := range m.Entries {
				o.claims(e, f.Writer, f.Seq)
			}
		case *wire.Ack:
			for _, a := range m.Entries {
				o.claims(e, a.Writer, a.Seq)
			}
		case *wire.Envelope:
			o.told(e, "an envelope", m.Raw)
		case *wire.Members:
			o.told(e, "an operation", m.Ops...)
		case *wire.Epochs:
			o.told(e, "an epoch", m.Records...)
		}
		o.transferred(e, f.message)
	}
}

func (o *watched) claims(e *end, w encryption.WriterID, seq uint64) {
	if has := chainOn(o.d.disk.mem, w); seq > has {
		o.d.w.fail("%s tells %s that it has number %d of writer %s, and %d is durable", o.d.name, e.peer.device.name, seq, w, has)
	}
}

func (o *watched) told(e *end, what string, raws ...[]byte) {
	for _, raw := range raws {
		if !o.durable[sha256.Sum256(raw)] {
			o.d.w.fail("%s tells %s of %s that is not durable", o.d.name, e.peer.device.name, what)
		}
	}
}

// delivered counts what comes twice.
func (w *world) delivered(e *end, m wire.Message) {
	e.device.own.arrived(e, m)
	w.event(fmt.Sprintf("receives %T from %s", m, e.peer.device.name), e.device)
	if m, ok := m.(*wire.Envelope); ok && e.device.own.durable[sha256.Sum256(m.Raw)] {
		w.seen(duplicate)
	}
}

// listener takes what a replica tells its operator: nobody here is at fault, so
// there is nothing to tell but of the disk, and of directories that were put back.
type listener struct{ d *device }

func (l *listener) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (l *listener) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *listener) WithGroup(string) slog.Handler                    { return l }

func (l *listener) Handle(_ context.Context, r slog.Record) error {
	var all []string
	var cause error
	blamed := ""
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "device" {
			blamed = a.Value.String()
		}
		all = append(all, a.String())
		if err, ok := a.Value.Any().(error); ok {
			cause = err
		}
		return true
	})
	text := r.Message + ": " + strings.Join(all, ", ")
	l.d.w.tracef("%s says: %s", l.d.name, text)
	if !l.d.excused(r.Message, text, cause) && !l.d.attacked(blamed, cause) {
		l.d.w.fail("%s reports a fault: %s", l.d.name, text)
	}
	return nil
}

// attacked says whether what a device reports is of the hostile member, and blames
// nobody else, unless for what is signed by that one.
func (d *device) attacked(blamed string, cause error) bool {
	h := d.w.hostile
	if h == nil {
		return false
	}
	for _, o := range d.w.honest() {
		if o.id != nil && o.id.Device().String() == blamed {
			return d.hostile() || errors.Is(cause, core.ErrOther) || errors.Is(cause, encryption.ErrFork)
		}
	}
	return true
}

// excused says whether there is a reason for what a device reports.
func (d *device) excused(message, text string, cause error) bool {
	switch {
	case errors.Is(cause, errFull), errors.Is(cause, errDead), message == "the disk is full: nothing can be changed":
		return true
	case message == "the standing of this device has changed":
		return d.w.checks.removals > 0
	case message == "documents differ from another device's" && (d.w.had(documentsCame) || d.w.had(forked)):
		return true // one of them has documents ahead of envelopes, or of a fork, and they are joined now
	case message == "another device's document contradicts the log" && d.w.had(forked):
		return true // which has one branch of a fork
	case !d.w.anybody(func(o *device) bool { return o.own.backs > 0 }):
		return false
	case errors.Is(cause, encryption.ErrUnknownEpoch) && (d.own.backs > 0 || d.w.anybody(d.twin)):
		d.w.seen(keyLost)
		return true // it has lost the key that the epoch was wrapped for, and makes another one
	}
	if strings.Contains(text, "has written as this device") || strings.Contains(text, "runs in two places at once") || strings.Contains(text, "may run in two places at once") {
		if d.w.copies > 0 {
			d.w.seen(copyNoticed)
		}
		return true
	}
	return strings.Contains(text, "writes under a new identity")
}
