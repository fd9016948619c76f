package encryption

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestSeenIsAHash: the remover has seen number 1 of the thief, who then signs
// another number 1. As a number, seen would cover both.
func TestSeenIsAHash(t *testing.T) {
	m, d := joined(t, 1)
	founder, thief := d[0], d[1]
	honest := m.do(t, m.add(thief, thief))
	forked := m.do(t, m.add(thief, thief))
	m.do(t, m.remove(founder, thief, honest, honest))
	if !m.is(honest) || m.is(forked) || m.is(thief) {
		t.Errorf("the fork counts:\n%v", m)
	}
	wrong := (&oracle{ops: m.log.ops, numeric: true}).members()
	if !wrong[forked.member.ID] {
		t.Error("a number would have done as well: this test shows nothing")
	}
}

// TestLeavingIsNoFence: one stolen device leaves as if it had signed nothing, to
// bring the other back that it had removed before it was stolen.
func TestLeavingIsNoFence(t *testing.T) {
	m, d := joined(t, 2)
	founder, first, second := d[0], d[1], d[2]
	m.do(t, m.remove(first, second, second, second))
	m.do(t, m.remove(first, first, first, m.heads()...))
	if m.is(first) || m.is(second) || !m.is(founder) {
		t.Errorf("a removed device is back:\n%v", m)
	}
	wrong := (&oracle{ops: m.log.ops, leaving: true}).members()
	if !wrong[second.member.ID] {
		t.Error("a fence would have done as well: this test shows nothing")
	}
}

// TestLateRemovalsCount: two devices remove each other, and the others hear of it
// in different orders. A door that refused what a removed device signs would
// leave each of them with whoever was faster.
func TestLateRemovalsCount(t *testing.T) {
	m, d := joined(t, 2)
	one, two := d[1], d[2]
	m.do(t, m.remove(one, two, two, d[2]), m.remove(two, one, one, d[2]))
	door := func(order []int) []DeviceID {
		out := newModel()
		for _, i := range order {
			op := *m.log.ops[i]
			op.past = nil
			if op.genesis != nil || out.log.resolved.find(op.Author) == nil {
				continue
			}
			out.do(t, &op)
		}
		return out.members()
	}
	orders := [][]int{{0, 1, 2, 3, 4}, {0, 1, 2, 4, 3}}
	if slices.Equal(door(orders[0]), door(orders[1])) {
		t.Error("a door would have done as well: this test shows nothing")
	}
	for _, order := range orders {
		if got := m.deliver(t, order).members(); !slices.Equal(got, []DeviceID{d[0].member.ID}) {
			t.Errorf("order %v: members %v", order, got)
		}
	}
}

// TestMutualRemovalFreezesUntilThePhrase: both are out, everywhere; the phrase's
// removal of one brings the other back, and with it what that one had added.
func TestMutualRemovalFreezesUntilThePhrase(t *testing.T) {
	m, d := joined(t, 1)
	kept, stolen := d[0], d[1]
	m.do(t, m.remove(kept, stolen, stolen, stolen), m.remove(stolen, kept, kept, stolen))
	m.orders(func(order []int) {
		if got := m.deliver(t, order).members(); len(got) != 0 {
			t.Errorf("order %v: members %v", order, got)
		}
	})
	m.do(t, m.remove(nil, stolen, stolen, m.heads()...))
	if got := m.members(); !slices.Equal(got, []DeviceID{kept.member.ID}) {
		t.Errorf("members after the phrase: %v", got)
	}
	m.do(t, m.add(kept, m.heads()...))
	if len(m.members()) != 2 {
		t.Error("the kept device cannot add again")
	}
}

// TestWhatRestsOnACutAddIsCut: a device added by a device added by a thief, and
// what it signs, count no more than the thief's add; its removals do.
func TestWhatRestsOnACutAddIsCut(t *testing.T) {
	m, d := joined(t, 2)
	founder, thief, other := d[0], d[1], d[2]
	before := m.heads()
	m.do(t, m.remove(founder, thief, thief, before...))
	second := m.do(t, m.add(thief, before...))
	third := m.do(t, m.add(second, second))
	m.do(t, m.remove(third, other, other, third))
	if got := m.members(); !slices.Equal(got, []DeviceID{founder.member.ID}) {
		t.Errorf("members %v", got)
	}
	m.do(t, m.remove(nil, thief, thief, m.heads()...))
	if !m.is(other) || m.is(second) || m.is(third) {
		t.Errorf("the phrase did not fence the third device:\n%v", m)
	}
}

// TestRandomModels grows logs far beyond those that can be tried exhaustively.
func TestRandomModels(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := newModel()
		for range rapid.IntRange(1, 40).Draw(r, "operations") {
			op := m.random(r)
			before := m.clone()
			if m.log.byHash[op.hash] != nil || m.admit(op) != nil {
				continue // it is known, or its author was no member where it claims to have been
			}
			m.settle()
			checkStays(t, before, m, op)
			if op.ack != nil {
				checkVouch(r, before, m)
			}
		}
		checkOracle(t, m, map[Hash]bool{})
		checkThief(t, m)
		var order []int
		for done := (bitset{}); len(order) < len(m.log.ops); {
			ready := []int{}
			for i, op := range m.log.ops {
				if !done.has(i) && op.past.without(i).within(done) {
					ready = append(ready, i)
				}
			}
			next := rapid.SampledFrom(ready).Draw(r, "next")
			done.add(next)
			order = append(order, next)
		}
		got := m.deliver(t, order)
		if !slices.Equal(got.members(), m.members()) || !maps.Equal(got.log.vouched(), m.log.vouched()) {
			r.Fatalf("order %v:\n%v\nagainst\n%v", order, got, m)
		}
	})
}

// random is one operation of any device, with a past that it may have made up.
func (m *model) random(r *rapid.T) *operation {
	parents := m.heads()
	if rapid.IntRange(0, 2).Draw(r, "backdate") == 0 {
		parents = []*operation{rapid.SampledFrom(m.log.ops).Draw(r, "parent")}
	}
	parents = parents[:min(len(parents), MaxParents)]
	var adds []*operation
	known := m.log.within(m.log.pastOf(hashesOf(parents)))
	for _, op := range known {
		if op.adds() {
			adds = append(adds, op)
		}
	}
	by := rapid.SampledFrom(adds).Draw(r, "by")
	switch rapid.IntRange(0, 5).Draw(r, "kind") {
	case 0, 1:
		return m.add(by, parents...)
	case 2:
		d := Dep{Writer: WriterID{rapid.Byte().Draw(r, "writer") % 4}, Seq: uint64(rapid.IntRange(1, 9).Draw(r, "seq"))}
		d.Head = Hash{rapid.Byte().Draw(r, "head")}
		return m.ack(by, []Dep{d}, parents...)
	case 3:
		if rapid.IntRange(0, 3).Draw(r, "recovery") == 0 {
			by = nil
		}
	}
	target := rapid.SampledFrom(adds).Draw(r, "target")
	var own []*operation
	for _, op := range known {
		if op.of(target.member.ID) {
			own = append(own, op)
		}
	}
	return m.remove(by, target, rapid.SampledFrom(own).Draw(r, "seen"), parents...)
}

// checkVouch: an ack only ever adds to what is vouched for.
func checkVouch(r *rapid.T, before, after *model) {
	now := after.log.vouched()
	for w, d := range before.log.vouched() {
		if now[w].Seq < d.Seq {
			r.Fatalf("an ack lowered writer %v from %d to %d", w, d.Seq, now[w].Seq)
		}
	}
}

// TestVouchedEndsWithTheRemoval: what a thief vouches for beyond what its remover
// had seen does not count, neither in an ack nor in the cut of a removal that
// itself counts, nor through a device that it added there.
func TestVouchedEndsWithTheRemoval(t *testing.T) {
	m, d := joined(t, 2)
	founder, thief, other := d[0], d[1], d[2]
	dep := func(w byte, seq uint64) []Dep { return []Dep{{Writer: WriterID{w}, Seq: seq, Head: Hash{w}}} }
	seen := m.do(t, m.ack(thief, dep(1, 3), other))
	removal := m.remove(founder, thief, seen, seen)
	removal.remove.Cut = dep(9, 5)
	m.do(t, removal)
	want := map[WriterID]Dep{{1}: dep(1, 3)[0], {9}: dep(9, 5)[0]}
	if got := m.log.vouched(); !maps.Equal(got, want) {
		t.Fatalf("vouched %v", got)
	}
	m.do(t, m.ack(thief, dep(9, 100), seen))
	backdated := m.remove(thief, other, other, seen)
	backdated.remove.Cut = dep(9, 200)
	m.do(t, backdated)
	left := m.remove(thief, thief, seen, seen)
	left.remove.Cut = dep(9, 250)
	m.do(t, left)
	fresh := m.do(t, m.add(thief, seen))
	m.do(t, m.ack(fresh, dep(9, 300), fresh))
	if got := m.log.vouched(); !maps.Equal(got, want) || m.is(other) {
		t.Errorf("vouched %v by the thief; members %v", got, m.members())
	}
	m.do(t, m.ack(founder, dep(9, 7), m.heads()...))
	if got := m.log.vouched()[WriterID{9}]; got != dep(9, 7)[0] {
		t.Errorf("a member's ack: %v", got)
	}
	fork := dep(9, 7)
	fork[0].Head = Hash{1}
	m.do(t, m.ack(founder, fork, m.heads()...))
	if got := m.log.vouched()[WriterID{9}]; got != fork[0] {
		t.Errorf("of two heads with one number: %v", got)
	}
}

// TestAnOrphanHearsWhichRemovalVoidsIt: of two removals of its sponsor, the
// earlier one had seen its add.
func TestAnOrphanHearsWhichRemovalVoidsIt(t *testing.T) {
	m, d := joined(t, 2)
	founder, thief, other := d[0], d[1], d[2]
	orphan := m.do(t, m.add(thief, m.heads()...))
	early, late := m.remove(founder, thief, orphan, orphan), m.remove(other, thief, thief, other)
	late.at = 1
	m.do(t, early)
	if m.log.standing(orphan.member.ID).State != StandingMember {
		t.Fatal("void though seen")
	}
	m.do(t, late)
	if s := m.log.standing(orphan.member.ID); s.State != StandingOrphaned || s.Removal.Hash != late.hash {
		t.Errorf("stands %+v", s)
	}
	if s := m.log.standing(thief.member.ID); s.State != StandingRemoved || s.Removal.Hash != early.hash {
		t.Errorf("the sponsor stands %+v", s)
	}
}
