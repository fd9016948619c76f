package encryption

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	maxInvites    = 5
	invitesWindow = time.Hour
)

// ErrTooManyInvites means that five invites were opened within the last hour.
var ErrTooManyInvites = errors.New("too many invites within an hour")

// InviteLimiter bounds how often invites are opened: five within any hour. Its
// whole state is the list of times, which the owner of the identity keeps where
// a restart does not forget it. Not safe for concurrent use.
type InviteLimiter struct {
	opened []time.Time // at most maxInvites, ascending
}

// NewInviteLimiter continues from the times that Times returned earlier, in any
// order; of more than five the latest five are kept. It copies the slice.
func NewInviteLimiter(opened []time.Time) *InviteLimiter {
	l := &InviteLimiter{opened: slices.SortedFunc(slices.Values(opened), time.Time.Compare)}
	l.opened = l.opened[max(0, len(l.opened)-maxInvites):]
	return l
}

// Allow records an invite opened at now, or returns ErrTooManyInvites and
// records nothing. An entry counts while it is less than an hour away from now
// in either direction: a clock that was set back neither lifts the limit nor
// blocks for longer than an hour.
func (l *InviteLimiter) Allow(now time.Time) error {
	l.opened = slices.DeleteFunc(l.opened, func(t time.Time) bool {
		return now.Sub(t).Abs() >= invitesWindow
	})
	if len(l.opened) >= maxInvites {
		return fmt.Errorf("open invite: %w", ErrTooManyInvites)
	}
	l.opened = append(l.opened, now)
	slices.SortFunc(l.opened, time.Time.Compare)
	return nil
}

// Times returns what must be kept to continue: at most five times, ascending.
// The caller owns the slice.
func (l *InviteLimiter) Times() []time.Time { return slices.Clone(l.opened) }
