package encryption

import (
	"sync"
	"testing"
)

// TestIdentityIsSafeForConcurrentUse is of use under the race detector.
func TestIdentityIsSafeForConcurrentUse(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	j := newTestJoiner(t, "x", 3)
	r := j.Request(Hash{1})
	w := newTestWriter(b, 1)
	raw := w.seal(t, nil)
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() { a.Members(); a.Member(b.device); a.MembershipDigest(); a.Ops() })
		wait.Go(func() {
			if _, err := receive(a, new(*Chain), raw); err != nil {
				t.Error(err)
			}
		})
		wait.Go(func() {
			op, err := a.PrepareAdd(j.Request(Hash{byte(i)}), testTime)
			if err != nil {
				t.Error(err)
			}
			a.Admit(op) // some overlap, and are concurrent operations with one number
			a.Welcome(r)
		})
		wait.Go(func() {
			x, y := helloPair(a, b, byte(i))
			if _, err := runHello(x, y); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if len(a.Members()) != 6 {
		t.Errorf("%d members", len(a.Members()))
	}
}

// TestRemovalIsSafeForConcurrentUse is of use under the race detector.
func TestRemovalIsSafeForConcurrentUse(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() { a.Standing(); a.Removals(); a.Vouched(); a.KnownDevice(b.device); a.Adopt() })
		wait.Go(func() {
			ops, err := a.PrepareRecoveryRemove(NewRecoveryWords(f.seed), b.device, Hash{}, writers(1), testTime)
			if err != nil {
				t.Error(err)
			}
			a.Admit(ops...) // the same one, or a second one after it
		})
		wait.Go(func() {
			ops, err := a.PrepareAck(nil, writers(2), testTime)
			if err != nil {
				t.Error(err)
			}
			a.Admit(ops...)
		})
		wait.Go(func() {
			op, _, err := a.PrepareRekey(testTime, seeded(9))
			if err != nil {
				t.Error(err)
			}
			a.Admit(op)
		})
	}
	wait.Wait()
	if len(a.Members()) != 1 || len(a.Vouched()) != 2 {
		t.Errorf("%d members, %d writers", len(a.Members()), len(a.Vouched()))
	}
}
