package encryption

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// model is a log of operations without bytes and signatures, which admission and
// the resolver of the package treat like any others. So all small logs can be
// tried, where making and checking signatures would take hours.
type model struct{ log *membershipLog }

func newModel() *model {
	m := &model{log: newLog(AccountID{1})}
	g := &operation{hash: Hash{1}, author: noAuthor, genesis: new(genesisAction)}
	g.Kind, g.member = OperationGenesis, Member{ID: DeviceID{1}}
	m.log.insert(g)
	m.settle()
	return m
}

func (m *model) settle() { m.log.resolved = resolve(m.log.ops, firstOf(len(m.log.ops))) }

func (m *model) clone() *model { return &model{log: m.log.clone()} }

func (m *model) genesis() *operation { return m.log.ops[0] }

// joined is a model in which the first device has added others.
func joined(t testing.TB, n int) (m *model, devices []*operation) {
	m = newModel()
	devices = append(devices, m.genesis())
	for range n {
		devices = append(devices, m.do(t, m.add(m.genesis(), m.heads()...)))
	}
	return m, devices
}

// draft makes an operation of a device, nil being the recovery key, that follows
// the parents. Its hash is that of all that it says.
func (m *model) draft(by *operation, parents []*operation, kind OperationKind) *operation {
	op := &operation{}
	op.Kind = kind
	if by != nil {
		op.Author = by.member.ID
	}
	for _, p := range parents {
		op.Parents = append(op.Parents, p.hash)
	}
	slices.SortFunc(op.Parents, compareHash)
	seq, previous := m.log.lastOf(op.Author, m.log.pastOf(op.Parents))
	op.Seq, op.Previous = seq+1, previous
	return op
}

func (m *model) heads() (heads []*operation) {
	for _, h := range m.log.sortedHeads() {
		heads = append(heads, m.log.byHash[h])
	}
	return heads
}

func (m *model) add(by *operation, parents ...*operation) *operation {
	op := m.draft(by, parents, OperationAdd)
	op.add = new(addAction)
	for n := 0; op.hash.IsZero() || m.log.byHash[op.hash] != nil; n++ { // two adds that are alike make two devices
		op.hash = op.hashOf([]byte{byte(n)})
	}
	op.member = Member{ID: DeviceID(op.hash[:16])}
	return op
}

func (m *model) remove(by, target, seen *operation, parents ...*operation) *operation {
	op := m.draft(by, parents, OperationRemove)
	op.remove = &removeAction{Target: target.member.ID, Seen: seen.hash}
	op.hash = op.hashOf(target.member.ID[:], seen.hash[:])
	// What the remover had of the target's one writer differs from removal to removal.
	op.remove.Cut = []Dep{{Writer: WriterID(target.member.ID), Seq: uint64(1 + op.hash[0]%4), Head: op.hash}}
	return op
}

func (m *model) ack(by *operation, cut []Dep, parents ...*operation) *operation {
	op := m.draft(by, parents, OperationAck)
	op.ack = &ackAction{Cut: cut}
	op.hash = op.hashOf(encode(cut))
	return op
}

// hashOf stands for the hash of the bytes.
func (op *operation) hashOf(action ...[]byte) Hash {
	body := append(op.Author[:], byte(op.Kind), byte(op.Seq))
	for _, p := range op.Parents {
		body = append(body, p[:]...)
	}
	return labelOperationHash.hash(slices.Concat(body, slices.Concat(action...)))
}

// admit is admitOne without the checks of bytes.
func (m *model) admit(op *operation) error {
	if err := m.log.place(op); err != nil {
		return err
	}
	if err := m.log.checkReferences(op); err != nil {
		return err
	}
	m.log.insert(op)
	return nil
}

// do admits operations that must hold, and returns the last.
func (m *model) do(t testing.TB, ops ...*operation) *operation {
	t.Helper()
	for _, op := range ops {
		if err := m.admit(op); err != nil {
			t.Fatalf("%v: %v", describe(op), err)
		}
	}
	m.settle()
	return ops[len(ops)-1]
}

// deliver brings the same operations to an empty log in another causal order.
func (m *model) deliver(t testing.TB, order []int) *model {
	t.Helper()
	out := newModel()
	for _, i := range order {
		op := *m.log.ops[i]
		op.past = nil
		if op.genesis == nil {
			if err := out.admit(&op); err != nil {
				t.Fatalf("in order %v: %v: %v", order, describe(&op), err)
			}
		}
	}
	out.settle()
	return out
}

// orders calls fn with every order in which the operations can arrive.
func (m *model) orders(fn func([]int)) {
	var walk func(done bitset, order []int)
	walk = func(done bitset, order []int) {
		if len(order) == len(m.log.ops) {
			fn(order)
		}
		for i, op := range m.log.ops {
			if !done.has(i) && op.past.without(i).within(done) {
				next := slices.Clone(done)
				next.add(i)
				walk(next, append(order[:len(order):len(order)], i))
			}
		}
	}
	walk(nil, nil)
}

func (b bitset) without(i int) bitset {
	out := slices.Clone(b)
	if out.has(i) {
		out[i/64] &^= 1 << (i % 64)
	}
	return out
}

func (b bitset) within(o bitset) bool {
	all := true
	b.each(func(i int) { all = all && o.has(i) })
	return all
}

// members returns the ids of the members, ascending.
func (m *model) members() (ids []DeviceID) {
	for _, op := range m.log.resolved.members {
		ids = append(ids, op.member.ID)
	}
	slices.SortFunc(ids, compareDevices)
	return ids
}

func (m *model) is(op *operation) bool { return slices.Contains(m.members(), op.member.ID) }

func (m *model) String() string {
	var out strings.Builder
	for _, op := range m.log.ops {
		fmt.Fprintln(&out, describe(op))
	}
	fmt.Fprintf(&out, "members %v", m.members())
	return out.String()
}

func describe(op *operation) string {
	var parents []string
	for _, h := range op.Parents {
		parents = append(parents, h.String()[:4])
	}
	what := fmt.Sprintf("kind %d, makes %.4v", op.Kind, op.member.ID)
	if op.remove != nil {
		what = fmt.Sprintf("removes %.4v, seen %.4v", op.remove.Target, op.remove.Seen)
	}
	return fmt.Sprintf("%.4v by %.4v number %d: %s, parents %v", op.hash, op.Author, op.Seq, what, parents)
}
