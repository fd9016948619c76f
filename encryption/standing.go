package encryption

import (
	"bytes"
	"cmp"
	"slices"
)

// StandingState says how a device stands in its account.
type StandingState int

const (
	// StandingMember: the device is a member.
	StandingMember StandingState = iota
	// StandingRemoved: a removal ended its membership.
	StandingRemoved
	// StandingOrphaned: a device that has been removed had added it, unseen by
	// the remover, so it was added in vain. A member can add it again: PrepareReadd.
	StandingOrphaned
)

func (s StandingState) String() string {
	return [...]string{"member", "removed", "orphaned"}[s]
}

// Standing is how a device stands in its account, and why.
type Standing struct {
	State StandingState
	// Removal ended the membership, or voided the add that the device rests on;
	// of several the one that says it is the earliest. Zero for a member.
	Removal Removal
	// Frozen: the account has no members, since devices removed each other. The
	// recovery words end it: PrepareRecoveryRemove.
	Frozen bool
}

// Removal is one removal that counts.
type Removal struct {
	Hash       Hash
	Target     DeviceID
	Author     DeviceID // zero for the recovery key
	ByRecovery bool
	// Previous is the operation of the author before it. A recovery removal of the
	// author that names it as seen overrules this removal.
	Previous Hash
	At       int64      // unix milliseconds by the author's clock; informative only
	Acked    []DeviceID // members known to have stored it, its author included; by id
}

// Standing returns how this device stands.
func (id *Identity) Standing() Standing {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.log.standing(id.device)
}

// KnownDevice returns a device that was ever added, whether or not it is a member. Its
// key verifies what it signed while it was one. Known is false if no add of it
// was admitted.
func (id *Identity) KnownDevice(d DeviceID) (m Member, known bool) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.log.device(d)
}

// Removals returns the removals that count: all but those that the recovery key
// overruled. In causal order.
func (id *Identity) Removals() []Removal {
	id.mu.RLock()
	defer id.mu.RUnlock()
	var out []Removal
	acks := id.log.acks()
	for _, op := range id.log.resolved.removals {
		out = append(out, id.log.removal(op, acks))
	}
	return out
}

func (l *membershipLog) standing(d DeviceID) Standing {
	s := Standing{Frozen: len(l.resolved.members) == 0}
	add, known := l.adds[d]
	if !known || l.resolved.find(d) != nil {
		return s
	}
	cause := l.removalOf(add)
	s.State = StandingRemoved
	if cause == nil {
		s.State, cause = StandingOrphaned, l.voidedBy(add)
	}
	s.Removal = l.removal(cause, l.acks())
	return s
}

// removalOf returns the earliest removal of the device that was added at an
// index, nil if none counts.
func (l *membershipLog) removalOf(add int) (first *operation) {
	for _, r := range l.resolved.removals {
		if r.target == add {
			first = earlier(first, r)
		}
	}
	return first
}

// voidedBy returns the earliest removal, other than itself, that cuts off the
// operation at an index or one that it rests on, nil if none does.
func (l *membershipLog) voidedBy(index int) (first *operation) {
	for x := index; x != noAuthor; x = l.ops[x].author {
		for _, r := range l.resolved.removals {
			if r.index != index && r.target == l.ops[x].author && !l.ops[r.seen].past.has(x) {
				first = earlier(first, r)
			}
		}
	}
	return first
}

// earlier is a choice for people that is the same on every device.
func earlier(a, b *operation) *operation {
	if a == nil || cmp.Or(cmp.Compare(b.at, a.at), compareHash(b.hash, a.hash)) < 0 {
		return b
	}
	return a
}

// removal is the exported view; acks are those of the log.
func (l *membershipLog) removal(op *operation, acks map[Hash][]DeviceID) Removal {
	r := Removal{
		Hash: op.hash, Target: op.remove.Target, Author: op.Author, ByRecovery: op.byRecovery(),
		Previous: op.Previous, At: op.at, Acked: slices.Clone(acks[op.hash]),
	}
	if l.resolved.find(op.Author) != nil {
		r.Acked = append(r.Acked, op.Author)
	}
	slices.SortFunc(r.Acked, compareDevices)
	r.Acked = slices.Compact(r.Acked)
	return r
}

// acks returns which members acknowledge which removal.
func (l *membershipLog) acks() map[Hash][]DeviceID {
	acks := map[Hash][]DeviceID{}
	for _, op := range l.ops {
		if op.ack == nil || l.resolved.find(op.Author) == nil {
			continue
		}
		for _, h := range op.ack.Removals {
			acks[h] = append(acks[h], op.Author)
		}
	}
	return acks
}

func compareDevices(a, b DeviceID) int { return bytes.Compare(a[:], b[:]) }

// Vouched returns, for every writer that a cut names, the last envelope that
// somebody vouches for, with all before it. Cuts of removals and acks count
// unless another removal cuts them off; so a removed device vouches for nothing beyond
// what its remover had seen, not even in a removal, which counts otherwise. Of two
// heads with one number, which a forked writer has, the smaller one is taken.
//
// The log does not know which device a writer belongs to. The caller asks for
// writers of devices that are not members. What a device signed while it was a
// member stays accepted as far as this, or as far as the causal past of an
// envelope that is kept for another reason.
func (id *Identity) Vouched() map[WriterID]Dep {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.log.vouched()
}

func (l *membershipLog) vouched() map[WriterID]Dep {
	all := map[WriterID]Dep{}
	for _, op := range l.resolved.removals {
		// A device that leaves cuts itself off, and vouches for what it leaves behind.
		own := op.author == op.target && l.voidedBy(op.index) == nil
		if own || !l.resolved.cut.has(op.index) {
			join(all, op.remove.Cut)
		}
	}
	for _, op := range l.ops {
		if op.ack != nil && !l.resolved.cut.has(op.index) {
			join(all, op.ack.Cut)
		}
	}
	return all
}

// join raises what is known of each writer to a cut.
func join(all map[WriterID]Dep, cut []Dep) {
	for _, d := range cut {
		have, ok := all[d.Writer]
		if !ok || d.Seq > have.Seq || d.Seq == have.Seq && compareHash(d.Head, have.Head) < 0 {
			all[d.Writer] = d
		}
	}
}
