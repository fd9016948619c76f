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
