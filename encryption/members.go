package encryption

// resolution is what a set of operations means: who is a member, and what counts.
type resolution struct {
	members  []*operation // the adds that count and were not followed by a removal, in log order
	removals []*operation // that count, in log order
	cut      bitset       // operations that a removal which counts cuts off
	hpke     map[int]*operation
}

// resolve applies the rule of membership to the operations of a log whose indexes
// are in set; a set holds the past of each of its operations. It reads nothing
// but its arguments, and no order among them but the causal one, so that replicas
// with the same set agree.
//
// That the author of an operation was a member in the operation's own past is
// this same rule for a smaller set. Admission has applied it, and what it found
// cannot change, since a past never grows.
//
// Removal wins. A removal that counts takes its target out, and what the target
// signed beyond the past of what its remover had seen is cut off, with all that
// rests on it: the devices it added there, and what those signed. Only removals
// are never cut off: if they were, whoever holds a removed device could bring
// others back that this device had removed. The recovery key overrules even
// them: its removals fence, and a removal behind a fence does not count.
func resolve(ops []*operation, set bitset) *resolution {
	fences, cuts := limits{}, limits{}
	set.each(func(i int) {
		if op := ops[i]; op.remove != nil && op.byRecovery() {
			fences.lower(op.target, ops[op.seen].past)
		}
	})
	fenced := fences.beyond(ops, set)
	r := &resolution{hpke: map[int]*operation{}}
	var removed bitset
	set.each(func(i int) {
		if op := ops[i]; op.remove != nil && !fenced.has(i) {
			r.removals = append(r.removals, op)
			removed.add(op.target)
			cuts.lower(op.target, ops[op.seen].past)
		}
	})
	r.cut = cuts.beyond(ops, set)
	set.each(func(i int) {
		switch op := ops[i]; {
		case r.cut.has(i) || removed.has(i):
		case op.adds():
			r.members = append(r.members, op)
		case op.rekey != nil && newer(op, r.hpke[op.author]):
			r.hpke[op.author] = op
		}
	})
	return r
}

// limits says for a device, by the index of the operation that added it, which of
// its operations count. A device that is not in it has no limit.
type limits map[int]bitset

// lower leaves of what counts for a device only what is in past as well.
func (l limits) lower(device int, past bitset) {
	before, ok := l[device]
	if !ok {
		l[device] = past // never written to: intersect copies
		return
	}
	l[device] = before.intersect(past)
}

// beyond returns the operations of set that are over the limit of their author,
// or whose author rests on such an operation: its add is one, or its sponsor's,
// and so on to the genesis, which is never one. The recovery key rests on nothing.
func (l limits) beyond(ops []*operation, set bitset) (out bitset) {
	if len(l) == 0 {
		return nil
	}
	set.each(func(i int) {
		op := ops[i]
		if op.author == noAuthor {
			return
		}
		if within, limited := l[op.author]; limited && !within.has(i) || out.has(op.author) {
			out.add(i)
		}
	})
	return out
}

// newer orders the rekeys of one device: by number, and two with one number,
// which only a copied device makes, by hash.
func newer(op, than *operation) bool {
	if than == nil || op.Seq != than.Seq {
		return than == nil || op.Seq > than.Seq
	}
	return compareHash(op.hash, than.hash) < 0
}

// find returns the operation that added a member, nil for other devices.
func (r *resolution) find(d DeviceID) *operation {
	for _, op := range r.members {
		if op.member.ID == d {
			return op
		}
	}
	return nil
}

// member is the device of an add as it is now: with its last HPKE key that counts.
func (r *resolution) member(add *operation) Member {
	m := add.member
	if k := r.hpke[add.index]; k != nil {
		m.HPKEKey = k.rekey.HPKEKey
	}
	return m
}
