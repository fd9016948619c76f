package core

import (
	"crypto/sha256"
	"errors"
	"maps"
	"slices"

	"github.com/starling-sync/starling/encryption"
)

// What a device wrote while it was a member stays, and what it wrote when it
// was out does not come in. Nobody but its remover knows which is which, so
// an envelope of a device that is not a member counts as far as a member
// vouches for it: by the cut of the removal, by an ack, or by an envelope that
// counts and rests on it. All three only grow, so replicas agree in the end,
// and nothing that was applied is ever taken back.

// Refresh follows the identity after its membership or its epochs changed.
// The host calls it once they are loaded; MembersAdded does it afterwards.
func (l *Ledger) Refresh() {
	l.recorded = l.id.Vouched()
	l.vouched = maps.Clone(l.recorded)
	records := l.id.EpochRecords()
	names := make([][32]byte, len(records))
	for i, r := range records {
		names[i] = sha256.Sum256(r)
	}
	slices.SortFunc(names, func(a, b [32]byte) int { return slices.Compare(a[:], b[:]) })
	members := l.id.MembershipDigest()
	all := append([]byte("starling/roster/v1\x00"), members[:]...)
	for _, n := range names {
		all = append(all, n[:]...)
	}
	l.roster = sha256.Sum256(all)
	l.version++
}

// counts says whether h may be applied as the next envelope of w, whose
// chain c is. A device that nobody knows is left to verification.
func (l *Ledger) counts(w encryption.WriterID, c encryption.Chain, h held) bool {
	device := c.Device
	if h.opened.Announce {
		device = h.opened.Device
	}
	if _, member := l.id.Member(device); member {
		return true
	}
	if _, known := l.id.KnownDevice(device); !known {
		return true
	}
	v := l.vouched[w]
	return h.opened.Seq < v.Seq || h.opened.Seq == v.Seq && h.opened.ID() == v.Head
}

// trust takes an envelope that waits for one of a device that is not a member
// as a word for that one, if the envelope itself counts and is genuine. It
// returns whether that changed anything.
func (l *Ledger) trust() (changed bool) {
	for _, w := range sortedWriters(l.buffered) {
		c, _ := l.chain(w)
		for _, h := range l.buffered[w][c.Seq+1] {
			if !l.counts(w, c, h) || !slices.ContainsFunc(h.opened.Deps, l.doubted) {
				continue
			}
			if !l.genuine(h, w) {
				continue
			}
			for _, d := range h.opened.Deps {
				if d.Seq > l.vouched[d.Writer].Seq {
					l.vouched[d.Writer] = d
					changed = true
				}
			}
		}
	}
	return changed
}

// doubted says whether a dependency is here and only lacks a voucher.
func (l *Ledger) doubted(d encryption.Dep) bool {
	c, _ := l.chain(d.Writer)
	return c.Seq < d.Seq && slices.ContainsFunc(l.buffered[d.Writer][c.Seq+1], func(h held) bool {
		return !l.counts(d.Writer, c, h)
	})
}

// thaw returns the writers that are frozen for a fork and are accepted again, because what
// another device has written rests on more of them than is here. Without that it would
// never be taken, nor what rests on it. Who forks gains nothing: there is one log of it
// here, and as a member it can begin as many others as it likes.
func (l *Ledger) thaw() (all []encryption.WriterID) {
	for _, w := range sortedWriters(l.frozen) {
		if errors.Is(l.frozen[w], encryption.ErrFork) && l.missed(w) {
			delete(l.frozen, w)
			all = append(all, w)
		}
	}
	return all
}

// missed says whether the next envelope of a device that is not its author rests on more
// of w than is here.
func (l *Ledger) missed(w encryption.WriterID) bool {
	has, _ := l.chain(w)
	for _, by := range sortedWriters(l.buffered) {
		c, _ := l.chain(by)
		for _, h := range l.buffered[by][c.Seq+1] {
			device := c.Device
			if h.opened.Announce {
				device = h.opened.Device
			}
			rests := slices.ContainsFunc(h.opened.Deps, func(d encryption.Dep) bool { return d.Writer == w && d.Seq > has.Seq })
			if rests && device != has.Device && l.counts(by, c, h) && l.genuine(h, by) {
				return true
			}
		}
	}
	return false
}

// genuine says whether h holds as the next envelope of w.
func (l *Ledger) genuine(h held, w encryption.WriterID) bool {
	_, _, err := h.opened.Verify(l.id, l.prior(w))
	return err == nil || errors.Is(err, encryption.ErrRemoved)
}

// Cut returns what is durable here of a device, for its removal.
func (l *Ledger) Cut(d encryption.DeviceID) []encryption.Dep {
	return l.depsOf(func(_ encryption.WriterID, c encryption.Chain) bool { return c.Device == d })
}

// Unvouched returns what is durable here of devices that are not members and
// no operation vouches for: this device has to.
func (l *Ledger) Unvouched() []encryption.Dep {
	return l.depsOf(func(w encryption.WriterID, c encryption.Chain) bool {
		_, member := l.id.Member(c.Device)
		return !member && c.Seq > l.recorded[w].Seq
	})
}

// Frontier returns what is durable here of every writer.
func (l *Ledger) Frontier() []encryption.Dep {
	return l.depsOf(func(encryption.WriterID, encryption.Chain) bool { return true })
}

func (l *Ledger) depsOf(wanted func(encryption.WriterID, encryption.Chain) bool) []encryption.Dep {
	var deps []encryption.Dep
	for _, w := range sortedWriters(l.durable) {
		if c := l.durable[w]; wanted(w, c) {
			deps = append(deps, encryption.Dep{Writer: w, Seq: c.Seq, Head: c.Head})
		}
	}
	return deps
}
