package encryption

import (
	"errors"
	"slices"
	"time"
)

const (
	maxOperationsWindow = 32
	operationsWindow    = time.Hour
)

// ErrOperationRate means that a device made 32 operations within the last hour.
var ErrOperationRate = errors.New("too many membership operations within an hour")

// OperationLimiter bounds how many operations a device makes: 32
// within any hour. A device asks it before it signs what somebody asked for, so
// that a program that goes wild does not fill the log. What others have signed is
// not held back: a removal rests on what its author had seen, so whoever held back
// what came too fast would hold back the removal of the device that sends it. What
// bounds a hostile member is the length of the log, whose last places only the
// recovery key can take. Not safe for concurrent use.
type OperationLimiter struct {
	taken []time.Time // at most maxOperationsWindow
}

// Allow records one operation at now, or returns ErrOperationRate and records
// nothing. An entry counts while it is less than an hour away from now in either
// direction, so that a clock that was set back neither lifts the limit nor blocks
// for longer.
func (l *OperationLimiter) Allow(now time.Time) error {
	l.taken = slices.DeleteFunc(l.taken, func(t time.Time) bool {
		return now.Sub(t).Abs() >= operationsWindow
	})
	if len(l.taken) >= maxOperationsWindow {
		return ErrOperationRate
	}
	l.taken = append(l.taken, now)
	return nil
}
