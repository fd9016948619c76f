package encryption

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func TestInviteLimiterAllowsFiveAnHour(t *testing.T) {
	l := NewInviteLimiter(nil)
	for i := range 5 {
		if err := l.Allow(noon.Add(time.Duration(i) * time.Minute)); err != nil {
			t.Fatalf("invite %d: %v", i+1, err)
		}
	}
	if err := l.Allow(noon.Add(time.Hour - time.Second)); !errors.Is(err, ErrTooManyInvites) {
		t.Errorf("sixth within the hour: %v", err)
	}
	if err := l.Allow(noon.Add(time.Hour)); err != nil {
		t.Errorf("an hour after the first: %v", err)
	}
	if err := l.Allow(noon.Add(time.Hour + 59*time.Second)); !errors.Is(err, ErrTooManyInvites) {
		t.Errorf("before the second is an hour old: %v", err)
	}
}

func TestInviteLimiterContinuesFromItsTimes(t *testing.T) {
	l := NewInviteLimiter(nil)
	for range 5 {
		if err := l.Allow(noon); err != nil {
			t.Fatal(err)
		}
	}
	times := l.Times()
	slices.Reverse(times)
	again := NewInviteLimiter(append([]time.Time{noon.Add(-time.Hour)}, times...))
	times[0] = time.Time{}
	if err := again.Allow(noon.Add(time.Minute)); !errors.Is(err, ErrTooManyInvites) {
		t.Errorf("after a restart: %v", err)
	}
}

func TestInviteLimiterSurvivesAClockSetBack(t *testing.T) {
	l := NewInviteLimiter([]time.Time{noon, noon, noon, noon, noon})
	if err := l.Allow(noon.Add(-30 * time.Minute)); !errors.Is(err, ErrTooManyInvites) {
		t.Errorf("half an hour back: %v", err)
	}
	allowed := 0
	for range 20 {
		if l.Allow(noon.AddDate(-1, 0, 0)) == nil {
			allowed++
		}
	}
	if allowed != 5 {
		t.Errorf("a year back, %d of 20 invites were allowed, want 5", allowed)
	}
}

// Whatever the times asked for, no hour of an advancing clock sees more than
// five invites, and the kept history stays small.
func TestInviteLimiterProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := NewInviteLimiter(nil)
		var allowed []time.Time
		now := noon
		for _, step := range rapid.SliceOfN(rapid.IntRange(0, 3000), 1, 60).Draw(t, "seconds between") {
			now = now.Add(time.Duration(step) * time.Second)
			if l.Allow(now) == nil {
				allowed = append(allowed, now)
			}
			if rapid.Bool().Draw(t, "restart") {
				l = NewInviteLimiter(l.Times())
			}
			if len(l.Times()) > maxInvites {
				t.Fatalf("history of %d times", len(l.Times()))
			}
		}
		for i := maxInvites; i < len(allowed); i++ {
			if allowed[i].Sub(allowed[i-maxInvites]) < time.Hour {
				t.Fatalf("six invites within %v", allowed[i].Sub(allowed[i-maxInvites]))
			}
		}
	})
}
