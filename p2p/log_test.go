package p2p_test

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// logWatch lets a test wait for something that a host only logs.
type logWatch struct{ lines chan string }

func newLogWatch() *logWatch { return &logWatch{make(chan string, 1000)} }

func (l *logWatch) logger() *slog.Logger { return slog.New(l) }

// await returns once a line with that message was logged.
func (l *logWatch) await(t testing.TB, message string) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		select {
		case line := <-l.lines:
			if line == message {
				return
			}
		case <-limit.C:
			t.Fatalf("%q was not logged", message)
		}
	}
}

func (l *logWatch) Enabled(context.Context, slog.Level) bool { return true }
func (l *logWatch) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logWatch) WithGroup(string) slog.Handler            { return l }

func (l *logWatch) Handle(_ context.Context, r slog.Record) error {
	select {
	case l.lines <- r.Message:
	default: // nobody waits for that much
	}
	return nil
}
