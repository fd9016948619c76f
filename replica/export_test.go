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

// ShortenLogs makes everything about the length of logs small: how many envelopes
// are kept when everybody has them, and when somebody is away.
func (r *Replica) ShortenLogs(ctx context.Context, keep, most uint64) error {
	return r.call(ctx, func(l *loop) {
		l.core.OfferFrom(16)
		l.limits = logLimits{keep: keep, most: most, tail: 4, every: 4, atOnce: 64, part: 2000}
	})
}
