package encryption

import (
	"maps"
	"slices"
	"testing"
)

// successors calls fn with every operation that could follow the model: by the
// recovery key and by every member of every past.
func (m *model) successors(devices int, fn func(*operation)) {
	for past := range m.pasts() {
		set := m.log.pastOf(hashesOf(past))
		authors := []*operation{nil}
		known := m.log.within(set)
		authors = append(authors, resolve(m.log.ops, set).members...)
		adds := 0
		for _, op := range m.log.ops {
			if op.adds() {
				adds++
			}
		}
		for _, by := range authors {
			if adds < devices {
				fn(m.add(by, past...))
			}
			for _, target := range known {
				for _, seen := range known {
					if target.adds() && seen.of(target.member.ID) {
						fn(m.remove(by, target, seen, past...))
					}
				}
			}
		}
	}
}

func hashesOf(ops []*operation) (hashes []Hash) {
	for _, op := range ops {
		hashes = append(hashes, op.hash)
	}
	slices.SortFunc(hashes, compareHash)
	return hashes
}

// pasts yields every set of operations of which none is in the past of another.
func (m *model) pasts() func(func([]*operation) bool) {
	return func(yield func([]*operation) bool) {
		ops := m.log.ops
	sets:
		for bits := 1; bits < 1<<len(ops); bits++ {
			var set []*operation
			for i, op := range ops {
				if bits&(1<<i) == 0 {
					continue
				}
				for _, other := range set {
					if op.past.has(other.index) {
						continue sets
					}
				}
				set = append(set, op)
			}
			if !yield(set) {
				return
			}
		}
	}
}

// key is the same for logs with the same operations.
func (m *model) key() string {
	var key []byte
	for _, h := range slices.SortedFunc(maps.Keys(m.log.byHash), compareHash) {
		key = append(key, h[:8]...)
	}
	return string(key)
}

// smallLogs calls fn with every log of up to so many operations after the genesis,
// and with what it was before its last operation. Logs that differ only in the
// order in which they were made are one: fn hears whether it is a new one, and
// the number of those is returned.
func smallLogs(t *testing.T, operations, devices int, fn func(before, after *model, last *operation, fresh bool)) (logs int) {
	t.Helper()
	level := []*model{newModel()}
	for n := range operations {
		seen := map[string]bool{}
		var next []*model
		for _, before := range level {
			before.successors(devices, func(op *operation) {
				if before.log.byHash[op.hash] != nil {
					return
				}
				after := before.clone()
				after.do(t, op)
				k := after.key()
				fn(before, after, op, !seen[k])
				if seen[k] {
					return
				}
				seen[k] = true
				logs++
				if n+1 < operations {
					next = append(next, after)
				}
			})
		}
		level = next
	}
	return logs
}

// TestEverySmallLog tries all logs of up to five operations on three devices:
// whoever adds and removes whom, with every past that it can claim, having seen
// of its target what it likes, the recovery key included. A device that forks its
// own chain or signs as if it had not heard of its removal is among them.
func TestEverySmallLog(t *testing.T) {
	t.Parallel()
	operations, want := 5, 362060
	if testing.Short() {
		operations, want = 4, 12166
	}
	judged := map[Hash]bool{}
	logs := smallLogs(t, operations, 3, func(before, after *model, last *operation, fresh bool) {
		checkStays(t, before, after, last)
		if fresh {
			checkOracle(t, after, judged)
			checkThief(t, after)
		}
	})
	if logs != want {
		t.Errorf("%d logs were tried, want %d", logs, want)
	}
}

// TestEveryOrderOfSmallLogs delivers all logs of up to four operations in every
// order that admission accepts.
func TestEveryOrderOfSmallLogs(t *testing.T) {
	orders := 0
	smallLogs(t, 4, 3, func(_, after *model, _ *operation, fresh bool) {
		if !fresh {
			return
		}
		after.orders(func(order []int) {
			orders++
			got := after.deliver(t, order)
			if !slices.Equal(got.members(), after.members()) || !maps.Equal(got.log.vouched(), after.log.vouched()) {
				t.Fatalf("order %v:\n%v\nagainst\n%v", order, got, after)
			}
		})
	})
	t.Logf("%d orders", orders)
}

func checkOracle(t *testing.T, m *model, judged map[Hash]bool) {
	want := (&oracle{ops: m.log.ops, judged: judged}).members()
	got := m.members()
	if len(got) != len(want) {
		t.Fatalf("the text of the rule says %v:\n%v", want, m)
	}
	for _, d := range got {
		if !want[d] {
			t.Fatalf("the text of the rule says %v:\n%v", want, m)
		}
	}
}

// checkStays: only the recovery key brings a removed device back, and not even it
// brings back one that it has removed.
func checkStays(t *testing.T, before, after *model, last *operation) {
	if !last.byRecovery() {
		for _, r := range before.log.resolved.removals {
			if !slices.Contains(after.log.resolved.removals, after.log.byHash[r.hash]) {
				t.Fatalf("a removal ceased to count:\n%v\nafter\n%v", after, before)
			}
		}
	}
	for _, r := range after.log.ops {
		if r.remove != nil && r.byRecovery() && after.is(after.log.ops[r.target]) {
			t.Fatalf("a device is back that the recovery key removed:\n%v", after)
		}
	}
}

// checkThief: once a device is removed by another, nothing that it signs unseen
// makes a member of anything; and the recovery key makes the log mean what it
// would mean without all that.
func checkThief(t *testing.T, m *model) {
	for _, r := range m.log.resolved.removals {
		if r.author == r.target {
			continue
		}
		limit := limits{r.target: m.log.ops[r.seen].past}
		unseen := limit.beyond(m.log.ops, firstOf(len(m.log.ops)))
		for _, add := range m.log.resolved.members {
			if add.index == r.target || unseen.has(add.index) {
				t.Fatalf("the removed device %v took over:\n%v", r.remove.Target, m)
			}
		}
		phrase := m.remove(nil, m.log.ops[r.target], m.log.ops[r.seen], m.heads()...)
		phrase.index, phrase.author, phrase.target, phrase.seen = len(m.log.ops), noAuthor, r.target, r.seen
		saved := append(slices.Clip(m.log.ops), phrase)
		all := firstOf(len(saved))
		got := resolve(saved, all).members
		unseen.each(func(i int) { all = all.without(i) })
		if want := resolve(saved, all).members; !slices.Equal(got, want) {
			t.Fatalf("the recovery key leaves %v something:\n%v", r.remove.Target, m)
		}
	}
}
