package virtual_test

import (
	"context"
	"fmt"
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

// TestVisible: an edit is readable on another device as soon as the paths let it be, also
// on one that only a third device can reach.
func TestVisible(t *testing.T) {
	t.Parallel()
	for _, over := range []struct {
		delay time.Duration
		hops  int
	}{{25 * time.Millisecond, 1}, {150 * time.Millisecond, 1}, {25 * time.Millisecond, 2}} {
		t.Run(fmt.Sprintf("delay=%v,hops=%d", over.delay, over.hops), func(t *testing.T) {
			play(t, 1+over.hops, badger, func(w *world) {
				w.net.SetPath(p2ptest.Path{Delay: over.delay})
				from, to := w.devices[1], w.devices[0] // the first is the one that all can reach
				if over.hops == 2 {
					to = w.devices[2]
					w.net.Cut(from.ip, to.ip)
				}
				from.edit()
				w.converge(redial + transfer)
				late := w.visible(from, to, over.delay*time.Duration(over.hops), 100)
				if late[0] < 0 {
					t.Errorf("an edit is visible %v before the paths let it be", -late[0])
				}
				if late[50] > excess {
					t.Errorf("the median edit is visible %v later than the paths let it be", late[50])
				}
				t.Logf("over the delay of the paths: p50 %v, p99 %v, most %v", late[50], late[98], late[99])
			})
		})
	}
}

// visible edits at one device at random moments, and returns how much longer than the
// delay it took each time until the other one showed it, sorted.
func (w *world) visible(from, to *device, delay time.Duration, n int) (late []time.Duration) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	seen := make(chan time.Time)
	events := to.Watch(ctx, replica.Now)
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
		w.pass(time.Duration(r.Int64N(int64(4 * time.Second))))
		at := time.Now()
		from.apply(model.Edit{Op: model.ChatRead, ID: "chat", At: &model.Position{Time: model.Time(1 + i), ID: "m"}})
		late = append(late, (<-seen).Sub(at)-delay)
	}
	cancel()
	if _, more := <-seen; more {
		w.Error("an edit was seen twice")
	}
	slices.Sort(late)
	return late
}
