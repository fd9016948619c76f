package bench_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p/p2ptest"
	"github.com/starling-sync/starling/replica"
)

// localChats is over how many chats edits of BenchmarkLocal go round.
const localChats = 1000

// BenchmarkLocal is how long edits take to be durable on a device that is alone
// and holds 1,000 chats, each edit one field of the next chat and a change of its
// own: one caller with one edit at a time, one caller with 1,000 edits in each
// Apply, and 64 callers with one edit at a time. Reported are p50-ms and p99-ms of
// Apply, changes/s, and what each change costs the processors, which other work on
// the machine alters less.
func BenchmarkLocal(b *testing.B) {
	id := p2ptest.Account(b, 1)[0]
	for _, way := range []struct{ callers, edits int }{{1, 1}, {1, 1000}, {64, 1}} {
		b.Run(fmt.Sprintf("callers=%d/edits=%d", way.callers, way.edits), func(b *testing.B) {
			measureLocal(b, id, way.callers, way.edits)
		})
	}
}

func measureLocal(b *testing.B, id *encryption.Identity, callers, edits int) {
	r, err := replica.Open(b.TempDir(), &replica.Config{Identity: id})
	if err != nil {
		b.Fatal(err)
	}
	turn := &turns{}
	if err := r.Apply(b.Context(), turn.next(localChats)); err != nil {
		b.Fatal(err)
	}
	took := newHistogram()
	began, spent := time.Now(), processorTime()
	for b.Loop() {
		for _, d := range applyAll(b, r, turn, callers, edits) {
			record(b, took, d)
		}
	}
	changes := float64(b.N * callers * edits)
	rate, each := changes/time.Since(began).Seconds(), (processorTime()-spent).Seconds()/changes
	turn.check(b, r)
	report(b, took, "")
	b.ReportMetric(rate, "changes/s")
	b.ReportMetric(1e6*each, "cpu-µs/change")
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
}

// applyAll makes every caller apply that many edits once, all at the same time,
// and returns how long each Apply took.
func applyAll(b *testing.B, r *replica.Replica, turn *turns, callers, edits int) []time.Duration {
	took := make([]time.Duration, callers)
	var all sync.WaitGroup
	for i := range took {
		all.Go(func() {
			mine := turn.next(edits)
			began := time.Now()
			if err := r.Apply(b.Context(), mine); err != nil {
				b.Error(err)
			}
			took[i] = time.Since(began)
		})
	}
	all.Wait()
	return took
}

// turns hands out edits, each of the chat after that of the last.
type turns struct {
	mu sync.Mutex
	n  int // guarded by mu
}

func (t *turns) next(n int) []model.Edit {
	t.mu.Lock()
	defer t.mu.Unlock()
	edits := make([]model.Edit, n)
	for i := range edits {
		edits[i] = model.Edit{Op: model.ChatUnmute, ID: localChat(t.n)}
		if mutes(t.n) {
			edits[i] = model.Edit{Op: model.ChatMute, ID: edits[i].ID, Until: model.Forever}
		}
		t.n++
	}
	return edits
}

func localChat(n int) string { return fmt.Sprintf("signal:+49%08d", n%localChats) }
func mutes(n int) bool       { return n/localChats%2 == 0 }

// check says whether every chat is as the last edit of it has left it.
func (t *turns) check(b *testing.B, r *replica.Replica) {
	b.Helper()
	chats, err := r.ListChats(b.Context())
	if err != nil || len(chats) != localChats {
		b.Fatalf("%d chats, %v", len(chats), err)
	}
	muted := map[string]bool{}
	for _, c := range chats {
		muted[c.ID] = c.MutedUntil == model.Forever
	}
	for n := t.n - localChats; n < t.n; n++ {
		if got, there := muted[localChat(n)]; !there || got != mutes(n) {
			b.Fatalf("chat %s: muted %v, there %v, after %d edits", localChat(n), got, there, t.n)
		}
	}
}
