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
	adds     map[DeviceID]int // index of the operation that added the device, member or not
	heads    map[Hash]bool    // operations that no other one names as a parent
	resolved *resolution      // of all operations; read-only
}

func newLog(account AccountID) *membershipLog {
	return &membershipLog{
		account: account,
		byHash:  map[Hash]*operation{}, adds: map[DeviceID]int{}, heads: map[Hash]bool{},
		resolved: resolve(nil, nil),
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
		l.resolved = resolve(l.ops, firstOf(len(l.ops)))
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
	if err := l.checkSpace(op); err != nil {
		return err
	}
	if op.genesis != nil {
		if accountID(op.raw) != l.account {
			return ErrOtherAccount
		}
		op.index, op.author = len(l.ops), noAuthor
		l.insert(op)
		return nil
	}
	if op.Account != l.account {
		return ErrOtherAccount
	}
	if err := l.place(op); err != nil {
		return err
	}
	if err := l.checkSignature(op); err != nil {
		return err
	}
	if err := l.checkReferences(op); err != nil {
		return err
	}
	l.insert(op)
	return nil
}

// checkSpace keeps the last places of the log for the recovery key, so that a
// device that fills the log can still be removed.
func (l *membershipLog) checkSpace(op *operation) error {
	limit := MaxOperations
	if !op.byRecovery() {
		limit -= recoveryReserve
	}
	if len(l.ops) >= limit {
		return ErrTooManyOperations
	}
	return nil
}

// place finds the operation's past, and checks that its author was a member
// there, continues its own operations, and adds a device only where there is room.
func (l *membershipLog) place(op *operation) error {
	op.index, op.author = len(l.ops), noAuthor
	op.past = l.pastOf(op.Parents)
	before := resolve(l.ops, op.past)
	if !op.byRecovery() {
		add := before.find(op.Author)
		if add == nil {
			return fmt.Errorf("%w: device %v", ErrNotMember, op.Author)
		}
		op.author = add.index
	}
	// Concurrent adds may together exceed the limit a little; refusing by what else
	// has arrived would make the outcome depend on the order of delivery. One more
	// place is the recovery key's, which has to add before it can remove.
	places := MaxDevices
	if op.byRecovery() {
		places++
	}
	if op.add != nil && len(before.members) >= places {
		return ErrTooManyDevices
	}
	return l.checkSequence(op)
}

// pastOf returns the causal past of something that has these parents.
func (l *membershipLog) pastOf(parents []Hash) bitset {
	var past bitset
	for _, h := range parents {
		past.union(l.byHash[h].past)
	}
	return past
}

func (l *membershipLog) checkSequence(op *operation) error {
	previous, ok := l.byHash[op.Previous]
	if !ok || !op.past.has(previous.index) {
		return fmt.Errorf("%w: previous is not in its past", ErrSequence)
	}
	if seq, at := l.lastOf(op.Author, op.past); op.Seq != seq+1 || !continues(previous, op.Author, seq) {
		return fmt.Errorf("%w: number %d after %d (%v)", ErrSequence, op.Seq, seq, at)
	}
	return nil
}

func (l *membershipLog) checkSignature(op *operation) error {
	for _, key := range l.authorKeys(op) {
		if labelOperationSign.verify(key, op.body, op.signatures[0]) {
			return nil
		}
	}
	return ErrSignature
}

// authorKeys returns the public keys that may sign an operation: one, unless the
// recovery key was replaced more than once at the same time.
func (l *membershipLog) authorKeys(op *operation) [][]byte {
	if !op.byRecovery() {
		return [][]byte{l.ops[op.author].member.SigningKey}
	}
	var keys [][]byte
	for _, r := range l.recoveryIn(op.past) {
		keys = append(keys, r.recoverySigning())
	}
	return keys
}

// recoveryIn returns the operations whose recovery keys count after a past: its
// last rotation, those if several are concurrent, or the genesis.
func (l *membershipLog) recoveryIn(past bitset) []*operation {
	var last []*operation
	past.each(func(i int) {
		op := l.ops[i]
		if op.genesis == nil && op.rotate == nil {
			return
		}
		last = slices.DeleteFunc(last, func(o *operation) bool { return op.past.has(o.index) })
		last = append(last, op)
	})
	return last
}

// recoverySigning is the recovery key that a genesis or a rotation names.
func (op *operation) recoverySigning() []byte {
	if op.genesis != nil {
		return op.genesis.RecoverySigning
	}
	return op.rotate.SigningKey
}

// continues reports whether previous is operation seq of the author. As number 0
// counts the operation that added it, and for the recovery key the genesis.
func continues(previous *operation, author DeviceID, seq uint64) bool {
	if seq != 0 {
		return previous.Author == author && previous.Seq == seq
	}
	if author.IsZero() {
		return previous.genesis != nil
	}
	return previous.adds() && previous.member.ID == author
}

// lastOf returns the highest number of the author's operations in a past, and
// one operation with that number.
func (l *membershipLog) lastOf(author DeviceID, past bitset) (seq uint64, at Hash) {
	at = l.ops[l.adds[author]].hash // for the recovery key, which nothing adds, that is the genesis
	past.each(func(i int) {
		if op := l.ops[i]; op.Author == author && op.Seq > seq {
			seq, at = op.Seq, op.hash
		}
	})
	return seq, at
}

func (l *membershipLog) insert(op *operation) {
	op.past.add(op.index)
	l.ops = append(l.ops, op)
	l.byHash[op.hash] = op
	for _, h := range op.Parents {
		delete(l.heads, h)
	}
	l.heads[op.hash] = true
	if op.adds() {
		l.adds[op.member.ID] = op.index
	}
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
	add := l.resolved.find(d)
	if add == nil {
		return Member{}, false
	}
	return l.resolved.member(add), true
}

// device looks a device up that was ever added, whether or not the add counts.
func (l *membershipLog) device(d DeviceID) (Member, bool) {
	i, ok := l.adds[d]
	if !ok {
		return Member{}, false
	}
	return l.resolved.member(l.ops[i]), true
}
