package core

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/starling-sync/starling/encryption"
)

// maxBuffered bounds, in bytes, the envelopes that came from one device
// before those they depend on. A device that keeps to its window has at most
// one window here, or two of what it had left to others, and after a reconnection
// the same envelopes again, which count once, or other ones.
const maxBuffered = 4 * window

// limits are the bounds of an exchange, in bytes, and offerFrom.
type limits struct {
	window, load, buffered, flight int
	offerFrom                      uint64
}

func defaultLimits() limits { return limits{window, loadBytes, maxBuffered, flightBytes, offerFrom} }

// Entry is one envelope in a writer's log.
type Entry struct {
	Writer encryption.WriterID
	Seq    uint64
	Raw    []byte

	from encryption.DeviceID // zero for this one
}

// Admitted is an envelope that was verified and may be applied.
type Admitted struct {
	Content *encryption.Content
	Raw     []byte
	Chain   encryption.Chain // of its writer, after it
}

// Ledger is what this device holds of every writer's log.
type Ledger struct {
	id      *encryption.Identity
	author  Author // that Seal writes as; what others send of its log waits
	limits  limits // as the constants say; tests tighten them
	durable map[encryption.WriterID]encryption.Chain
	staged  map[encryption.WriterID]encryption.Chain // of the group in the making; overlays durable
	entries []Entry                                  // of that group, in causal order
	// buffered is what arrived and is not applied, by number. There is more
	// than one for a number only if somebody forged or forked.
	buffered map[encryption.WriterID]map[uint64][]held
	waiting  map[encryption.DeviceID]int   // bytes of buffered by the device they came from
	frozen   map[encryption.WriterID]error // writers of which nothing more is accepted
	// forked and contested are those of frozen and disputed that came about because of
	// what is in the group in the making.
	forked    []encryption.WriterID
	contested []dispute
	disputed  map[dispute]bool
	recorded  map[encryption.WriterID]encryption.Dep // how far operations vouch for writers
	vouched   map[encryption.WriterID]encryption.Dep // the same, and what envelopes that count rest on
	roster    [32]byte                               // digest of the membership and the epoch records
	// base is the chain behind which the host holds a writer's log, stagedBase what
	// it will be after the group in the making.
	base, stagedBase map[encryption.WriterID]encryption.Chain
	waits            map[encryption.WriterID]bool                           // see Hold
	drops            int                                                    // how often base grew
	holds            map[encryption.DeviceID]map[encryption.WriterID]uint64 // what others are known to have
	origins          map[encryption.WriterID]origin                         // where what is durable came from, in this process
	heard            map[encryption.DeviceID]bool                           // of whom more is known than News has said
	common           map[encryption.DeviceID]*Common                        // see agree
	recommon         map[encryption.DeviceID]bool                           // whose is another than CommonNews has said
	version          uint64                                                 // grows whenever the digest may be another
	// announced is the frontier that the last own envelope named or implied,
	// proposed the same including the group in the making.
	announced, proposed map[encryption.WriterID]uint64
}

// held is a buffered envelope.
type held struct {
	raw    []byte
	opened *encryption.Unverified
	from   source
}

// source is where an envelope came from.
type source struct {
	session SessionID
	device  encryption.DeviceID
}

// dispute is a writer of whose log a device has another version than we
// have, or says so. That proves nothing against the writer, so its log is no
// more exchanged with this device, and goes on with others.
type dispute struct {
	device encryption.DeviceID
	writer encryption.WriterID
}

// NewLedger returns a ledger that holds the given chains. announced is what
// the last own envelope implied, as Announced returned it.
func NewLedger(id *encryption.Identity, chains map[encryption.WriterID]encryption.Chain, announced map[encryption.WriterID]uint64) *Ledger {
	l := &Ledger{
		id:         id,
		limits:     defaultLimits(),
		durable:    maps.Clone(chains),
		staged:     map[encryption.WriterID]encryption.Chain{},
		buffered:   map[encryption.WriterID]map[uint64][]held{},
		waiting:    map[encryption.DeviceID]int{},
		frozen:     map[encryption.WriterID]error{},
		disputed:   map[dispute]bool{},
		stagedBase: map[encryption.WriterID]encryption.Chain{},
		holds:      map[encryption.DeviceID]map[encryption.WriterID]uint64{},
		heard:      map[encryption.DeviceID]bool{},
		origins:    map[encryption.WriterID]origin{},
		common:     map[encryption.DeviceID]*Common{},
		recommon:   map[encryption.DeviceID]bool{},
		waits:      map[encryption.WriterID]bool{},
		announced:  maps.Clone(announced),
	}
	if l.durable == nil {
		l.durable = map[encryption.WriterID]encryption.Chain{}
	}
	if l.announced == nil {
		l.announced = map[encryption.WriterID]uint64{}
	}
	l.proposed = maps.Clone(l.announced)
	l.Refresh()
	return l
}

// chain returns a writer's chain including the group in the making.
func (l *Ledger) chain(w encryption.WriterID) (encryption.Chain, bool) {
	if c, ok := l.staged[w]; ok {
		return c, true
	}
	c, ok := l.durable[w]
	return c, ok
}

// Seq returns the number of the last durable envelope of w, 0 for none.
func (l *Ledger) Seq(w encryption.WriterID) uint64 { return l.durable[w].Seq }

// Writer returns the durable chain of w, zero for none.
func (l *Ledger) Writer(w encryption.WriterID) encryption.Chain { return l.durable[w] }

// Writers returns the writers with durable envelopes, ascending.
func (l *Ledger) Writers() []encryption.WriterID { return sortedWriters(l.durable) }

// FrontierDigest is a hash of the durable frontier. Equal digests mean equal
// sets of envelopes.
func (l *Ledger) FrontierDigest() [32]byte {
	h := sha256.New()
	h.Write([]byte("starling/frontier/v1\x00"))
	for _, w := range l.Writers() {
		c := l.durable[w]
		h.Write(w[:])
		h.Write(binary.BigEndian.AppendUint64(nil, c.Seq))
		h.Write(c.Head[:])
	}
	return [32]byte(h.Sum(nil))
}

// Digest is a hash of the durable frontier, the membership and the epochs.
func (l *Ledger) Digest() [32]byte {
	f := l.FrontierDigest()
	return sha256.Sum256(slices.Concat([]byte("starling/digest/v1\x00"), f[:], l.roster[:]))
}

// errDuplicate is returned by offer for an envelope that is held already.
var errDuplicate = errors.New("duplicate envelope")

// errFrozen is returned by offer for an envelope of a writer that is
// accepted no more, or not from this device.
var errFrozen = errors.New("frozen writer")

// ErrOther is reported of an envelope that is not the one held under its number.
var ErrOther = errors.New("another envelope has this number here")

// offer opens an envelope from a session and keeps it until Next can return
// it. It returns the writer and number that the envelope claims.
func (l *Ledger) offer(from source, raw []byte) (encryption.WriterID, uint64, error) {
	u, err := l.id.OpenEnvelope(raw)
	if err != nil {
		return encryption.WriterID{}, 0, fmt.Errorf("open envelope: %w", err)
	}
	w, seq := u.Writer, u.Seq
	c, _ := l.chain(w)
	switch {
	case l.frozen[w] != nil || l.disputed[dispute{from.device, w}]:
		return w, seq, errFrozen
	case seq == c.Seq && u.ID() != c.Head:
		return w, seq, ErrOther
	case seq <= c.Seq || slices.ContainsFunc(l.buffered[w][seq], func(h held) bool { return h.opened.ID() == u.ID() }):
		return w, seq, errDuplicate
	}
	if l.waiting[from.device]+len(raw) > l.limits.buffered {
		return w, seq, fmt.Errorf("writer %x: more than %d bytes arrived ahead of what they depend on", w[:4], l.limits.buffered)
	}
	if l.buffered[w] == nil {
		l.buffered[w] = map[uint64][]held{}
	}
	l.buffered[w][seq] = append(l.buffered[w][seq], held{raw: raw, opened: u, from: from})
	l.waiting[from.device] += len(raw)
	return w, seq, nil
}

// ready finds an envelope that may be applied: the next one of its writer,
// which counts, with all dependencies covered. It returns where it is in
// buffered.
func (l *Ledger) ready() (w encryption.WriterID, i int, ok bool) {
	for {
		for _, w := range sortedWriters(l.buffered) {
			if w == l.author.Writer || l.waits[w] {
				continue
			}
			c, _ := l.chain(w)
			i := slices.IndexFunc(l.buffered[w][c.Seq+1], func(h held) bool {
				return l.covers(h.opened.Deps) && l.counts(w, c, h)
			})
			if i >= 0 {
				return w, i, true
			}
		}
		if !l.trust() {
			return encryption.WriterID{}, 0, false
		}
	}
}

// prior returns a writer's chain as Verify wants it, nil for none.
func (l *Ledger) prior(w encryption.WriterID) *encryption.Chain {
	if c, known := l.chain(w); known {
		return &c
	}
	return nil
}

// covers says whether every dependency is durable or in this group.
func (l *Ledger) covers(deps []encryption.Dep) bool {
	for _, d := range deps {
		if c, _ := l.chain(d.Writer); c.Seq < d.Seq {
			return false
		}
	}
	return true
}

// refusal is an envelope that failed verification, or with ErrFork one that
// is as good as the one that was admitted under its number.
type refusal struct {
	from   source
	writer encryption.WriterID
	seq    uint64
	err    error
}

// next verifies and stages the next envelope in causal order. It returns nil
// when none is ready, or when it is refused.
func (l *Ledger) next() (*Admitted, []refusal) {
	w, i, ok := l.ready()
	if !ok {
		return nil, nil
	}
	c, _ := l.chain(w)
	prior := l.prior(w)
	h := l.take(w, c.Seq+1, i)
	content, hash, err := h.opened.Verify(l.id, prior)
	if err != nil && !errors.Is(err, encryption.ErrRemoved) { // a removed device's, if it counts
		return nil, []refusal{{from: h.from, writer: w, seq: c.Seq + 1, err: err}}
	}
	rivals := l.rivals(w, c.Seq+1, prior)
	after := encryption.Chain{Device: content.Device, Seq: content.Seq, Head: hash, Members: content.Members}
	l.stage(after, Entry{Writer: w, Seq: content.Seq, Raw: h.raw, from: h.from.device})
	l.seenIn(content)
	return &Admitted{Content: content, Raw: h.raw, Chain: after}, rivals
}

// rivals takes out what else came under a number that is now taken.
func (l *Ledger) rivals(w encryption.WriterID, seq uint64, prior *encryption.Chain) []refusal {
	var out []refusal
	for len(l.buffered[w][seq]) > 0 {
		h := l.take(w, seq, 0)
		_, _, err := h.opened.Verify(l.id, prior)
		if err == nil || errors.Is(err, encryption.ErrRemoved) {
			err = encryption.ErrFork
		}
		out = append(out, refusal{from: h.from, writer: w, seq: seq, err: err})
	}
	return out
}

// take takes one envelope out of the buffer.
func (l *Ledger) take(w encryption.WriterID, seq uint64, i int) held {
	h := l.buffered[w][seq][i]
	l.buffered[w][seq] = slices.Delete(l.buffered[w][seq], i, i+1)
	if len(l.buffered[w][seq]) == 0 {
		delete(l.buffered[w], seq)
	}
	if len(l.buffered[w]) == 0 {
		delete(l.buffered, w)
	}
	if l.waiting[h.from.device] -= len(h.raw); l.waiting[h.from.device] == 0 {
		delete(l.waiting, h.from.device)
	}
	return h
}

// freeze accepts nothing more of a writer.
func (l *Ledger) freeze(w encryption.WriterID, err error) {
	l.frozen[w] = err
	for _, seq := range slices.Sorted(maps.Keys(l.buffered[w])) {
		for len(l.buffered[w][seq]) > 0 {
			l.take(w, seq, 0)
		}
	}
}

func (l *Ledger) stage(c encryption.Chain, e Entry) {
	l.staged[e.Writer] = c
	l.entries = append(l.entries, e)
}

// Seal makes the next own envelope and stages it. batch is kept.
func (l *Ledger) Seal(random io.Reader, batch []byte) (*Admitted, error) {
	a := l.author
	c, _ := l.chain(a.Writer)
	content := &encryption.Content{
		Writer: a.Writer, Seq: c.Seq + 1, Device: a.Device, Nonce: a.Nonce,
		Previous: c.Head, Members: l.id.MembershipDigest(),
		Deps: l.unannounced(a.Writer), Batch: batch,
	}
	raw, hash, err := l.id.SealEnvelope(random, content, c.Members)
	if err != nil {
		return nil, fmt.Errorf("seal envelope %d: %w", content.Seq, err)
	}
	for _, d := range content.Deps {
		l.proposed[d.Writer] = d.Seq
	}
	after := encryption.Chain{Device: a.Device, Seq: content.Seq, Head: hash, Members: content.Members}
	l.stage(after, Entry{Writer: a.Writer, Seq: content.Seq, Raw: raw})
	return &Admitted{Content: content, Raw: raw, Chain: after}, nil
}

// unannounced is the frontier delta since the last own envelope: what of the
// other writers was applied here in between.
func (l *Ledger) unannounced(self encryption.WriterID) []encryption.Dep {
	var deps []encryption.Dep
	all := maps.Clone(l.durable)
	maps.Copy(all, l.staged)
	for _, w := range sortedWriters(all) {
		if c := all[w]; w != self && c.Seq > l.proposed[w] {
			deps = append(deps, encryption.Dep{Writer: w, Seq: c.Seq, Head: c.Head})
		}
	}
	return deps
}

// Announced returns what the own envelopes up to now imply, those of the
// group in the making included, to be kept with them.
func (l *Ledger) Announced() map[encryption.WriterID]uint64 { return maps.Clone(l.proposed) }

// commit makes the staged group part of the durable ledger. It returns the
// envelopes, and the writers whose chains were taken over without them.
func (l *Ledger) commit() (entries []Entry, adopted []encryption.WriterID) {
	for _, w := range sortedWriters(l.stagedBase) {
		if l.stagedBase[w].Seq > l.durable[w].Seq {
			adopted = append(adopted, w)
		}
	}
	if len(l.stagedBase) > 0 {
		l.base = maps.Clone(l.base)
		if l.base == nil {
			l.base = map[encryption.WriterID]encryption.Chain{}
		}
		maps.Copy(l.base, l.stagedBase)
		clear(l.stagedBase)
		l.drops++
	}
	maps.Copy(l.durable, l.staged)
	clear(l.staged)
	l.forked, l.contested = nil, nil
	l.version++
	l.announced = maps.Clone(l.proposed)
	entries, l.entries = l.entries, nil
	return entries, adopted
}

// abort forgets the staged group and everything that is buffered, and all distrust that
// rests on it: nothing of it is here, others may rest on what comes, and what was compared
// with it comes again.
func (l *Ledger) abort() {
	for _, w := range l.forked {
		delete(l.frozen, w)
	}
	for _, at := range l.contested {
		delete(l.disputed, at)
	}
	l.forked, l.contested = nil, nil
	clear(l.staged)
	clear(l.stagedBase)
	clear(l.buffered)
	clear(l.waiting)
	l.entries = nil
	l.proposed = maps.Clone(l.announced)
}

func sortedWriters[V any](m map[encryption.WriterID]V) []encryption.WriterID {
	return slices.SortedFunc(maps.Keys(m), compareWriters)
}

func compareWriters(a, b encryption.WriterID) int { return bytes.Compare(a[:], b[:]) }
