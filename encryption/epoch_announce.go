package encryption

import "slices"

// announcement is one epoch as the membership log announces it. All of it but
// what was opened of the record is a function of the announcing operation's
// causal past, so that every device sees the same epochs, whatever arrived when.
type announcement struct {
	tag        EpochTag
	generation uint64
	previous   []EpochTag // the last epochs in the past, ascending
	op         *operation // nil for the first epoch, which the genesis stands for
	name       Hash       // of the record

	raw    []byte       // the record; nil until it is here
	fresh  *epochRecord // the record parsed, until the first try to open it
	body   *epochBody   // nil until the record could be opened
	broken error        // the record opened, and does not hold
	tried  int          // how many HPKE keys found no wrap

	tells map[EpochTag]bool // the epochs whose secrets are in the body; never written to
}

// past returns the operations that the author of the epoch knew.
func (a *announcement) past(log *membershipLog) bitset {
	if a.op == nil {
		return log.ops[0].past
	}
	return a.op.past
}

// author returns the device that made the epoch. It was a member in the
// operation's past, or the operation would not have been admitted; what became
// of it later decides who seals in the epoch, never who reads.
func (a *announcement) author(log *membershipLog) Member {
	if a.op == nil {
		return log.ops[0].member
	}
	return log.ops[log.adds[a.op.Author]].member
}

// at returns when it was made, in unix milliseconds by its author's clock.
func (a *announcement) at(log *membershipLog) int64 {
	if a.op == nil {
		return log.ops[0].at
	}
	return a.op.at
}

// announce derives the announcement of an epoch operation from those in its
// past. It returns nil if the operation does not fit them: a generation that is
// not the next one, or a tag that is taken, which would bring back an epoch that
// devices know which have been removed since.
func (k *keyring) announce(op *operation) *announcement {
	a := &announcement{tag: op.epoch.Tag, op: op, name: op.epoch.Record}
	a.generation, a.previous = k.after(op.past)
	if a.generation != op.epoch.Generation {
		return nil
	}
	for _, o := range k.byTag[a.tag] {
		if o.op == nil || op.past.has(o.op.index) {
			return nil
		}
	}
	return a
}

// after returns the generation of an epoch that is made after a past, and the
// tags of the epochs that it follows, ascending.
func (k *keyring) after(past bitset) (generation uint64, previous []EpochTag) {
	for _, a := range k.lastIn(past) {
		generation = max(generation, a.generation)
		previous = append(previous, a.tag)
	}
	slices.SortFunc(previous, compareTag)
	return generation + 1, slices.Compact(previous)
}

// lastIn returns the epochs in a past that no other one there follows.
func (k *keyring) lastIn(past bitset) []*announcement {
	var last []*announcement
	for _, a := range k.all { // causal order
		if a.op != nil && !past.has(a.op.index) {
			continue
		}
		last = slices.DeleteFunc(last, func(o *announcement) bool { return o.op == nil || a.op.past.has(o.op.index) })
		last = append(last, a)
	}
	return last
}
