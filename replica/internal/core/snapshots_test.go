package core

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// The documents of a host are the envelopes that were applied to them: each belongs
// to one document, by a hash. Merging is joining sets, and so the order in which
// documents and envelopes come does not matter, as with real ones.
const worldDocs = 5

type documents [worldDocs]map[place]bool

func documentOf(p place) int {
	sum := sha256.Sum256(fmt.Appendf(nil, "%x %d", p.writer, p.seq))
	return int(sum[0]) % worldDocs
}

func documentID(i int) [16]byte { return [16]byte{byte(i + 1)} }

// add returns the documents with places in them. It changes no set.
func (d documents) add(places ...place) documents {
	copied := [worldDocs]bool{}
	for _, p := range places {
		i := documentOf(p)
		if !copied[i] {
			copied[i] = true
			if d[i] = maps.Clone(d[i]); d[i] == nil {
				d[i] = map[place]bool{}
			}
		}
		d[i][p] = true
	}
	return d
}

func (d documents) has(p place) bool { return d[documentOf(p)][p] }

func (d documents) places() (all []place) {
	for i := range d {
		all = slices.AppendSeq(all, maps.Keys(d[i]))
	}
	slices.SortFunc(all, comparePlaces)
	return all
}

func comparePlaces(a, b place) int {
	if c := compareWriters(a.writer, b.writer); c != 0 {
		return c
	}
	return int(a.seq) - int(b.seq)
}

// packPlaces and unpackPlaces are the format of a part here: a byte, and places.
func packPlaces(places []place) []byte {
	b := []byte{1}
	for _, p := range places {
		b = append(b, p.writer[:]...)
		b = binary.BigEndian.AppendUint64(b, p.seq)
	}
	return b
}

var errSpoilt = errors.New("documents that cannot be read")

func unpackPlaces(packed []byte) (places []place, err error) {
	if packed[0] != 1 || len(packed)%24 != 1 {
		return nil, errSpoilt
	}
	for b := packed[1:]; len(b) > 0; b = b[24:] {
		places = append(places, place{encryption.WriterID(b[:16]), binary.BigEndian.Uint64(b[16:])})
	}
	return places, nil
}

// serve answers a Want out of what is durable: one document for each part, or those
// that are named.
func (h *host) serve(e Serve) {
	m := &wire.Part{Last: e.Want.After}
	var served []place
	for i, d := range h.disk.docs {
		id := documentID(i)
		switch wanted := slices.Contains(e.Want.IDs, id); {
		case len(d) == 0, len(e.Want.IDs) > 0 && !wanted:
		case wanted:
			served = slices.AppendSeq(served, maps.Keys(d))
		case bytes.Compare(id[:], e.Want.After[:]) <= 0:
		case len(served) > 0:
			m.More = true
		default:
			served = slices.AppendSeq(served, maps.Keys(d))
			m.Last = id
		}
	}
	slices.SortFunc(served, comparePlaces)
	m.Packed = packPlaces(served)
	if h.spoils > 0 {
		h.spoils--
		m.Packed[0] = 0
	}
	h.net.logf("%s: serve %s", h.name, h.net.message(m))
	h.send(e.Session, m)
}

// absorb merges the next part that waits. With chains it is the last one.
func (h *host) absorb(g *disk) error {
	if len(h.parts) == 0 {
		return nil
	}
	part := h.parts[0]
	h.parts, g.part = h.parts[1:], &part
	places, err := unpackPlaces(part.Packed)
	if err != nil {
		return err
	}
	places = differing(part.Differ, places)
	if before := g.docs; len(places) > 0 {
		g.docs = g.docs.add(places...)
		g.changed = g.changed || !slices.EqualFunc(before[:], g.docs[:], maps.Equal)
	}
	if part.Chains != nil {
		h.adopt(g, part.Chains)
	}
	return nil
}

func (h *host) adopt(g *disk, chains map[encryption.WriterID]encryption.Chain) {
	g.changed, g.base = true, maps.Clone(g.base)
	if g.base == nil {
		g.base = map[encryption.WriterID]encryption.Chain{}
	}
	for _, a := range h.x.Adopt(chains) {
		h.net.logf("%s: adopt %s in place of %s", h.name, h.net.entry(a.Writer, a.Chain.Seq), h.net.entry(a.Writer, a.Before.Seq))
		h.net.check.adopted(h, g, a)
		g.log = slices.DeleteFunc(g.log, func(e Entry) bool { return e.Writer == a.Writer })
		g.base[a.Writer], g.chains[a.Writer] = a.Chain, a.Chain
	}
}

// prune makes it part of the group that the log is cut: what all have goes, and if
// it is crowded all but the last tail envelopes of each writer. One envelope is not
// worth it.
func (h *host) prune(g *disk) {
	how := h.pruning
	h.pruning = keepLog
	if how == keepLog {
		return
	}
	for _, w := range h.x.Writers() {
		from, to := h.x.Base(w).Seq, h.x.Stable(w)
		if last := h.x.Seq(w); how == cutLog && last > h.tail {
			to = max(to, last-h.tail)
		}
		if to <= from {
			continue
		}
		c := h.chainAt(g, w, to)
		h.net.logf("%s: drop %s and what is before it", h.name, h.net.entry(w, to))
		h.net.check.pruned(h, w, to)
		g.log = slices.DeleteFunc(g.log, func(e Entry) bool { return e.Writer == w && e.Seq <= to })
		if g.base = maps.Clone(g.base); g.base == nil {
			g.base = map[encryption.WriterID]encryption.Chain{}
		}
		g.base[w], g.changed = c, true
		h.x.Prune(w, c)
	}
}

// How a host shortens its log in the next group.
const (
	keepLog = iota
	stableLog
	cutLog
)

// chainAt returns a writer's chain after an envelope of the log.
func (h *host) chainAt(g *disk, w encryption.WriterID, seq uint64) encryption.Chain {
	c := h.x.Base(w)
	for _, e := range g.log {
		if e.Writer != w || e.Seq > seq {
			continue
		}
		u, err := h.id.OpenEnvelope(e.Raw)
		if err != nil {
			panic(err)
		}
		c.Device, c.Seq, c.Head = h.x.Writer(w).Device, e.Seq, u.ID()
		if members, named := u.Members(); named {
			c.Members = members
		}
	}
	if c.Seq != seq {
		panic(fmt.Sprintf("%s: envelope %s is not in the log", h.name, h.net.entry(w, seq)))
	}
	return c
}
