package replica

import "context"

// KeptEvents is how many past events a subscriber can resume over.
const KeptEvents = keptEvents

// Waiting returns how many callers the loop remembers: of WaitInSync, and of
// Verify.
func (r *Replica) Waiting(ctx context.Context) (waiters, comparisons int, err error) {
	err = r.call(ctx, func(l *loop) { waiters, comparisons = len(l.waiters), len(l.comparing) })
	return waiters, comparisons, err
}
