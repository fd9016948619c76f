package virtual_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/p2p/p2ptest"
	"github.com/starling-sync/starling/replica"
)

// excess is how much longer than the path the median edit may take. What computes takes
// no virtual time, so all of it would be waiting: for company in a group, for a timer.
const excess = time.Millisecond

// TestVisible: an edit is readable on another device as soon as the path lets it be.
func TestVisible(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{25 * time.Millisecond, 150 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			play(t, 2, badger, func(w *world) {
				w.net.SetPath(p2ptest.Path{Delay: delay})
				a, b := w.devices[0], w.devices[1]
				a.edit()
				w.converge(redial + transfer)
				over := w.visible(a, b, delay, 200)
				if over[100] > excess {
					w.Errorf("the median edit is visible %v later than the path lets it be", over[100])
				}
				w.Logf("over the delay of the path: p50 %v, p99 %v, most %v", over[100], over[198], over[199])
			})
		})
	}
}

// visible edits at one device at random moments, and returns how much longer than the
// delay of the path it took each time until the other one showed it, sorted.
func (w *world) visible(a, b *device, delay time.Duration, n int) (over []time.Duration) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	seen := make(chan time.Time)
	events := b.Watch(ctx, replica.Now)
	go func() {
		defer close(seen)
		for ev := range events {
			if ev.Kind == "chat" {
				seen <- time.Now()
			}
		}
	}()
	r := rand.New(rand.NewPCG(9, 0))
	for i := range n {
		w.pass(time.Duration(r.Int64N(int64(20 * time.Second))))
		at := time.Now()
		a.apply(model.Edit{Op: model.ChatRead, ID: "chat", At: &model.Position{Time: model.Time(1 + i), ID: "m"}})
		over = append(over, (<-seen).Sub(at)-delay)
	}
	cancel()
	if _, more := <-seen; more {
		w.Error("an edit was seen twice")
	}
	slices.Sort(over)
	return over
}
