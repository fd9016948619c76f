package encryption

// oracle reads the rule of SPEC.md word by word, with recursion where the text
// has it. It is slow, shares no code with the resolver, and knows the variants
// that were rejected.
type oracle struct {
	ops     []*operation
	numeric bool // seen is the number of the last operation that counts
	leaving bool // a device's removal of itself fences

	reached map[[2]Hash]bool // what upTo found
	judged  map[Hash]bool    // what wasMember found, which depends on nothing but the past; may be nil
}

func (o *oracle) byHash(h Hash) *operation {
	for _, op := range o.ops {
		if op.hash == h {
			return op
		}
	}
	return nil
}

func (o *oracle) addOf(d DeviceID) *operation {
	for _, op := range o.ops {
		if op.adds() && op.member.ID == d {
			return op
		}
	}
	return nil
}

// upTo reports whether x is op or in its past.
func (o *oracle) upTo(op, x *operation) bool {
	if op.hash == x.hash {
		return true
	}
	key := [2]Hash{op.hash, x.hash}
	found, known := o.reached[key]
	if known {
		return found
	}
	for _, h := range op.Parents {
		found = found || o.upTo(o.byHash(h), x)
	}
	if o.reached == nil {
		o.reached = map[[2]Hash]bool{}
	}
	o.reached[key] = found
	return found
}

func (o *oracle) cut(r, x *operation) bool {
	seen := o.byHash(r.remove.Seen)
	for ; x != nil && x.genesis == nil; x = o.addOf(x.Author) {
		if x.Author != r.remove.Target {
			continue
		}
		if o.numeric && x.Seq > seen.seqOf(r.remove.Target) || !o.numeric && !o.upTo(seen, x) {
			return true
		}
	}
	return false
}

func (op *operation) seqOf(d DeviceID) uint64 {
	if op.Author != d {
		return 0
	}
	return op.Seq
}

func (o *oracle) fenced(x *operation) bool {
	for _, r := range o.ops {
		if r.remove == nil || r.hash == x.hash {
			continue
		}
		if (r.byRecovery() || o.leaving && r.Author == r.remove.Target) && o.cut(r, x) {
			return true
		}
	}
	return false
}

// wasMember applies the rule to the past of an operation.
func (o *oracle) wasMember(x *operation) bool {
	if x.Author.IsZero() {
		return true
	}
	if was, known := o.judged[x.hash]; known {
		return was
	}
	past := *o
	past.ops = nil
	for _, op := range o.ops {
		if op.hash != x.hash && o.upTo(x, op) {
			past.ops = append(past.ops, op)
		}
	}
	was := past.members()[x.Author]
	if o.judged != nil {
		o.judged[x.hash] = was
	}
	return was
}

func (o *oracle) removals() (out []*operation) {
	for _, x := range o.ops {
		if x.remove != nil && o.wasMember(x) && !o.fenced(x) {
			out = append(out, x)
		}
	}
	return out
}

func (o *oracle) members() map[DeviceID]bool {
	out, removals := map[DeviceID]bool{}, o.removals()
	for _, x := range o.ops {
		if x.adds() && o.wasMember(x) && !o.fenced(x) && !o.cutByAny(removals, x) {
			out[x.member.ID] = true
		}
	}
	for _, r := range removals {
		delete(out, r.remove.Target)
	}
	return out
}

func (o *oracle) cutByAny(removals []*operation, x *operation) bool {
	for _, r := range removals {
		if o.cut(r, x) {
			return true
		}
	}
	return false
}
