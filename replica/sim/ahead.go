package sim

import (
	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

// What comes of a snapshot is in the documents of a device before its frontier says
// so, and more of it than the snapshot says. Until it has all envelopes that the
// sender had, its documents are ahead of its frontier, and nothing is expected of
// the two.

// frontier is, of each writer, a number.
type frontier map[encryption.WriterID]uint64

// join raises f to o.
func (f frontier) join(o frontier) {
	for w, seq := range o { // order-free: each writer apart
		f[w] = max(f[w], seq)
	}
}

// frontierOn returns what a disk holds of each writer.
func frontierOn(s *store.Memory) frontier {
	f := frontier{}
	_ = s.Scan(tableChains, nil, nil, func(key, value []byte) error { // nothing here fails
		var c chainRecord
		if err := cbor.Unmarshal(value, &c); err != nil {
			return err
		}
		f[encryption.WriterID(key)] = c.Seq
		return nil
	})
	return f
}

// isAhead says whether the documents may be ahead of the frontier.
func (o *watched) isAhead() bool {
	for w, seq := range o.ahead { // order-free: a disjunction
		if chainOn(o.d.disk.mem, w) < seq {
			return true
		}
	}
	clear(o.ahead)
	return false
}

// transferred watches the messages of a transfer of documents, on its way.
func (o *watched) transferred(e *end, m wire.Message) {
	switch m := m.(type) {
	case *wire.Part:
		e.peer.ahead.join(frontierOn(o.d.disk.mem))
		e.peer.ahead.join(o.ahead)
	case *wire.Want:
		if m.After != ([16]byte{}) && e.wants == 0 {
			o.d.w.seen(resumed)
		}
		if len(m.IDs) == 0 {
			e.wants++
		}
	}
}

// arrived counts what came of a transfer, and remembers how far ahead it may be.
func (o *watched) arrived(e *end, m wire.Message) {
	switch m := m.(type) {
	case *wire.Offer:
		o.d.w.seen(offered)
	case *wire.Part:
		o.ahead.join(e.ahead)
		o.d.w.seen(documentsCame)
		if !m.More {
			o.d.w.seen(snapshotEnded)
		}
	}
}

// shortened says whether the log on a disk does not go back to the beginning.
func shortened(s *store.Memory) bool {
	_, err := s.Get(tableMeta, []byte("base"))
	return err == nil
}
