package encryption

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// membershipLog is the set of admitted operations. It is not safe for concurrent
// use; Identity guards its own.
type membershipLog struct {
	account  AccountID
	ops      []*operation // causal order; append-only
	byHash   map[Hash]*operation
	adds     map[DeviceID]int // index of the operation that added the device
	heads    map[Hash]bool    // operations that no other one names as a parent
	resolved []*operation     // members(ops)
}

func newLog(account AccountID) *membershipLog {
	return &membershipLog{
		account: account,
		byHash:  map[Hash]*operation{}, adds: map[DeviceID]int{}, heads: map[Hash]bool{},
	}
}

// clone shares the immutable operations.
func (l *membershipLog) clone() *membershipLog {
	return &membershipLog{
		account: l.account, ops: slices.Clone(l.ops), byHash: maps.Clone(l.byHash),
		adds: maps.Clone(l.adds), heads: maps.Clone(l.heads), resolved: l.resolved,
	}
}

// admit adds what holds of raws and returns it in causal order. The order of
// raws is of no importance; known operations are skipped. Operations that do not
// hold are reported together, and the rest is admitted.
func (l *membershipLog) admit(raws [][]byte) (added []*operation, err error) {
	waiting, errs := l.parse(raws)
	for progress := true; progress; {
		progress = false
		var still []*operation
		for _, op := range waiting {
			if !l.hasAll(op.Parents) {
				still = append(still, op)
				continue
			}
			progress = true
			if err := l.admitOne(op); err != nil {
				errs = append(errs, fmt.Errorf("operation %v: %w", op.hash, err))
				continue
			}
			added = append(added, op)
		}
		waiting = still
	}
	if len(added) != 0 {
		l.resolved = members(l.ops)
	}
	for _, op := range waiting {
		errs = append(errs, fmt.Errorf("operation %v: %w", op.hash, ErrMissingParents))
	}
	return added, errors.Join(errs...)
}

// parse returns the well-formed unknown operations of raws, each once.
func (l *membershipLog) parse(raws [][]byte) (ops []*operation, errs []error) {
	seen := map[Hash]bool{}
	for _, raw := range raws {
		if len(raw) > MaxOperation {
			errs = append(errs, fmt.Errorf("operation: %w: %d bytes", ErrTooLarge, len(raw)))
			continue
		}
		h := labelOperationHash.hash(raw)
		if seen[h] || l.byHash[h] != nil {
			continue
		}
		seen[h] = true
		op, err := parseOperation(slices.Clone(raw))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ops = append(ops, op)
	}
	return ops, errs
}

func (l *membershipLog) hasAll(hashes []Hash) bool {
	for _, h := range hashes {
		if l.byHash[h] == nil {
			return false
		}
	}
	return true
}

// admitOne checks an operation whose parents are present against its own causal
// past, and nothing else, so that all replicas judge it alike.
func (l *membershipLog) admitOne(op *operation) error {
	if len(l.ops) >= MaxOperations {
		return ErrTooManyOperations
	}
	op.index = len(l.ops)
	if op.genesis != nil {
		if accountID(op.raw) != l.account {
			return ErrOtherAccount
		}
		l.insert(op)
		return nil
	}
	if op.Account != l.account {
		return ErrOtherAccount
	}
	op.past = l.pastOf(op.Parents)
	if err := l.checkAuthor(op); err != nil {
		return err
	}
	if err := l.checkRoom(op); err != nil {
		return err
	}
	l.insert(op)
	return nil
}

// pastOf returns the causal past of something that has these parents.
func (l *membershipLog) pastOf(parents []Hash) bitset {
	var past bitset
	for _, h := range parents {
		past.union(l.byHash[h].past)
	}
	return past
}

func (l *membershipLog) checkAuthor(op *operation) error {
	if !memberInPast(op, op.Author, l.adds) {
		return fmt.Errorf("%w: device %v", ErrNotMember, op.Author)
	}
	previous, ok := l.byHash[op.Previous]
	if !ok || !op.past.has(previous.index) {
		return fmt.Errorf("%w: previous is not in its past", ErrSequence)
	}
	if seq, at := l.lastOf(op.Author, op.past); op.Seq != seq+1 || !continues(previous, op.Author, seq) {
		return fmt.Errorf("%w: number %d after %d (%v)", ErrSequence, op.Seq, seq, at)
	}
	author := l.ops[l.adds[op.Author]].member
	if !labelOperationSign.verify(author.SigningKey, op.body, op.signatures[0]) {
		return ErrSignature
	}
	return nil
}

// continues reports whether previous is operation seq of the author; the
// operation that added it counts as number 0.
func continues(previous *operation, author DeviceID, seq uint64) bool {
	if seq == 0 {
		return previous.member.ID == author
	}
	return previous.Author == author && previous.Seq == seq
}

// lastOf returns the highest number of the author's operations in a past, and
// one operation with that number.
func (l *membershipLog) lastOf(author DeviceID, past bitset) (seq uint64, at Hash) {
	at = l.ops[l.adds[author]].hash
	past.each(func(i int) {
		if op := l.ops[i]; op.Author == author && op.Seq > seq {
			seq, at = op.Seq, op.hash
		}
	})
	return seq, at
}

// checkRoom counts the devices in the operation's own past. Concurrent adds may
// together exceed the limit a little; refusing by what else has arrived would
// make the outcome depend on the order of delivery.
func (l *membershipLog) checkRoom(op *operation) error {
	n := 0
	op.past.each(func(i int) {
		if l.adds[l.ops[i].member.ID] == i {
			n++
		}
	})
	if n >= MaxDevices {
		return ErrTooManyDevices
	}
	return nil
}

func (l *membershipLog) insert(op *operation) {
	op.past.add(op.index)
	l.ops = append(l.ops, op)
	l.byHash[op.hash] = op
	for _, h := range op.Parents {
		delete(l.heads, h)
	}
	l.heads[op.hash] = true
	l.adds[op.member.ID] = op.index
}

// sortedHeads returns the heads in ascending order.
func (l *membershipLog) sortedHeads() []Hash {
	return slices.SortedFunc(maps.Keys(l.heads), compareHash)
}

type digestInput struct {
	_       struct{} `cbor:",toarray"`
	Account AccountID
	Heads   []Hash
}

// digest names the set of operations.
func (l *membershipLog) digest() Hash {
	return labelMembershipDigest.hash(encode(digestInput{Account: l.account, Heads: l.sortedHeads()}))
}

// member looks a current member up.
func (l *membershipLog) member(d DeviceID) (Member, bool) {
	for _, op := range l.resolved {
		if op.member.ID == d {
			return op.member, true
		}
	}
	return Member{}, false
}
