package encryption

// members resolves a set of operations, in any causal order, to the adds that
// count: those whose author was a member in the add's own past. It reads nothing
// but its argument, so that replicas with the same set agree.
//
// Membership in the past of an operation is the same rule over a smaller set, so
// one pass in causal order suffices: what counts before an operation is known
// when it is reached.
func members(ops []*operation) []*operation {
	var counted []*operation
	addedBy := map[DeviceID]int{} // device → index of the add that counts
	for _, op := range ops {
		if op.genesis == nil && !memberInPast(op, op.Author, addedBy) {
			continue
		}
		if !op.adds() {
			continue
		}
		addedBy[op.member.ID] = op.index
		counted = append(counted, op)
	}
	return counted
}

// memberInPast reports whether d was a member before op. A device id is the hash
// of one operation, so one lookup answers it.
func memberInPast(op *operation, d DeviceID, addedBy map[DeviceID]int) bool {
	i, ok := addedBy[d]
	return ok && i != op.index && op.past.has(i)
}
