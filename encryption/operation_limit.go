package encryption

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	maxOperationsWindow = 32
	operationsWindow    = time.Hour
)

// ErrOperationRate means that a device made 32 operations within the last hour.
var ErrOperationRate = errors.New("too many membership operations within an hour")

// OperationLimiter bounds how many operations of one device are taken in: 32
// within any hour. It stands at the two gateways, before a device signs one of
// its own and before it passes on or stores a new one that a session brings.
// Admission cannot do it, because it must not depend on time or order, and the
// limit is not for what is caught up on in bulk, as after a link: there it would
// hold back honest history. It bounds how fast a hostile member fills the log,
// which ends when that member is removed. Not safe for concurrent use.
type OperationLimiter struct {
	taken map[DeviceID][]time.Time // at most maxOperationsWindow each
}

// Allow records one operation of an author at now, or returns ErrOperationRate and
// records nothing. The zero author, which is the recovery key, has no limit. Only
// authors that are known devices may be asked about, which bounds the memory. An
// entry counts while it is less than an hour away from now in either direction,
// so that a clock that was set back neither lifts the limit nor blocks for longer.
func (l *OperationLimiter) Allow(author DeviceID, now time.Time) error {
	if author.IsZero() {
		return nil
	}
	taken := slices.DeleteFunc(l.taken[author], func(t time.Time) bool {
		return now.Sub(t).Abs() >= operationsWindow
	})
	if l.taken == nil {
		l.taken = map[DeviceID][]time.Time{}
	}
	l.taken[author] = taken
	if len(taken) >= maxOperationsWindow {
		return fmt.Errorf("device %v: %w", author, ErrOperationRate)
	}
	l.taken[author] = append(taken, now)
	return nil
}
