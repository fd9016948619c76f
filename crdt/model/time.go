package model

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Time is an instant in milliseconds since the Unix epoch, the resolution of
// every instant that is replicated. In JSON it is an RFC 3339 string in UTC
// with milliseconds, or "forever".
type Time int64

// Forever is later than every other Time. Only the end of a mute uses it.
const Forever Time = math.MaxInt64

// maxTime is 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can write.
const maxTime Time = 253402300799999

const timeLayout = "2006-01-02T15:04:05.000Z"

// TimeOf returns t rounded down to milliseconds.
func TimeOf(t time.Time) Time { return Time(t.UnixMilli()) }

// Std returns t as a time.Time in UTC. Forever has no such value and gives
// the last instant that can be written.
func (t Time) Std() time.Time { return time.UnixMilli(int64(min(t, maxTime))).UTC() }

func (t Time) String() string {
	if t == Forever {
		return "forever"
	}
	return t.Std().Format(timeLayout)
}

// ParseTime reads an RFC 3339 instant, a whole number of milliseconds since
// the Unix epoch, or "forever". Instants before 1970 or after the year 9999
// are refused: they come from a mistake in units far more often than from a
// message.
func ParseTime(s string) (Time, error) {
	if s == "forever" {
		return Forever, nil
	}
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return checkTime(Time(ms), s)
	}
	std, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, fmt.Errorf("time %q: want RFC 3339 (2026-01-31T09:30:00Z) or milliseconds since 1970", s)
	}
	return checkTime(TimeOf(std), s)
}

func checkTime(t Time, s string) (Time, error) {
	if t < 0 || t > maxTime {
		return 0, fmt.Errorf("time %q: outside the years 1970 to 9999", s)
	}
	return t, nil
}

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// UnmarshalJSON implements json.Unmarshaler. It accepts what ParseTime does,
// as a string or as a number of milliseconds.
func (t *Time) UnmarshalJSON(b []byte) error {
	s := string(b)
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	}
	v, err := ParseTime(s)
	if err != nil {
		return err
	}
	*t = v
	return nil
}
