package core

import (
	"errors"
	"maps"
	"slices"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// backup saves a host's directory, or puts back what was saved. That is noticed
// at the start, unless nobody can be harmed by it: because whoever it meets
// tells it, or because nobody has what it lost.
func (w *world) backup(h *host, back bool) {
	switch {
	case h == w.liar:
	case slices.ContainsFunc(w.hosts, func(o *host) bool { return o.unaware }): // it needs what the others have
	case !back:
		h.saved = h.disk
	case h.saved.author == Author{}: // nothing was saved
	case w.liar == nil && w.allKnow(h):
		w.safety.seen["put back and told by others"]++
		h.restore(h.saved, false)
		h.unaware = true
	case !w.anybodyKnows(h):
		w.safety.seen["put back and unknown to all"]++
		w.safety.forget(h.saved)
		h.restore(h.saved, false)
	default:
		w.safety.seen["put back and known at once"]++
		h.restore(h.saved, true)
	}
	h.saves++
}

// allKnow says whether every other host has something that h is about
// to lose of the writer that it will be again.
func (w *world) allKnow(h *host) bool {
	return !slices.ContainsFunc(w.hosts, func(o *host) bool {
		return o != h && o.disk.chains[h.saved.author.Writer].Seq <= h.saved.last()
	})
}

// anybodyKnows says whether something of that is anywhere else.
func (w *world) anybodyKnows(h *host) bool {
	lost := func(id *encryption.Identity, raw []byte) bool {
		u, err := id.OpenEnvelope(raw)
		return err == nil && u.Writer == h.saved.author.Writer && u.Seq > h.saved.last()
	}
	for _, o := range w.hosts {
		if o == h {
			continue
		}
		if c, _ := o.x.chain(h.saved.author.Writer); c.Seq > h.saved.last() || o.mergedMore(h.saved) {
			return true
		}
		for _, b := range o.x.buffered[h.saved.author.Writer] {
			if slices.ContainsFunc(b, func(e held) bool { return lost(h.id, e.raw) }) {
				return true
			}
		}
	}
	return slices.ContainsFunc(w.ends, func(e *end) bool {
		return slices.ContainsFunc(e.in, func(frame []byte) bool {
			switch m := decoded(frame).(type) {
			case *wire.Envelope:
				return lost(h.id, m.Raw)
			case *wire.Part:
				return h.saved.misses(m.Packed)
			case *wire.Offer:
				return ChainsOf(m)[h.saved.author.Writer].Seq > h.saved.last()
			}
			return false
		})
	})
}

// mergedMore says whether the host has got, or is about to merge, documents in which
// there is something that the author of d has not written yet.
func (h *host) mergedMore(d disk) bool {
	docs := []documents{h.disk.docs}
	if h.group != nil {
		docs = append(docs, h.group.docs)
	}
	for _, s := range h.x.ordered() {
		if s.offer[d.author.Writer].Seq > d.last() {
			return true
		}
	}
	return slices.ContainsFunc(docs, func(m documents) bool { return d.misses(packPlaces(m.places())) }) ||
		slices.ContainsFunc(h.parts, func(p Absorb) bool { return d.misses(p.Packed) })
}

// misses says whether documents are of a later state of the author of d.
func (d *disk) misses(packed []byte) bool {
	places, _ := unpackPlaces(packed) // the liar's are not merged
	return slices.ContainsFunc(places, func(p place) bool { return p.writer == d.author.Writer && p.seq > d.last() })
}

// awaited says whether a host holds envelopes whose time may come. What a host has
// sent out of order of a writer that it was before it was put back may lack what came
// before it for ever.
func (w *world) awaited(h *host) bool {
	for writer := range h.x.buffered {
		if slices.ContainsFunc(w.hosts, func(o *host) bool { return o.author.Writer == writer }) {
			return true
		}
	}
	return len(h.x.buffered) == 0 && len(h.x.waiting) != 0
}

// last is the number of the author's last envelope.
func (d *disk) last() uint64 { return d.chains[d.author.Writer].Seq }

// forget forgets what nobody has any more.
func (s *safety) forget(d disk) {
	lost := func(at place, _ *fact) bool { return at.writer == d.author.Writer && at.seq > d.last() }
	maps.DeleteFunc(s.facts, lost)
	maps.DeleteFunc(s.drafts, lost)
}

// putBack says whether the host has gone back behind this stream, which only
// the other end does not know yet.
func (e *end) putBack() bool { return e.peer.closed && e.peer.host.saves > 0 }

// returned says whether an effect comes of a directory that was put back.
func (s *safety) returned(h *host, e Effect) bool {
	switch e := e.(type) {
	case Report:
		return errors.Is(e.Err, errTwice) && slices.ContainsFunc(s.net.hosts, func(o *host) bool { return o.saves > 0 && o.id.Device() == e.Device })
	case Send:
		return h.ends[e.Session] != nil && h.ends[e.Session].putBack()
	}
	return false
}
