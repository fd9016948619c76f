package bench_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p/p2ptest"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
	"github.com/starling-sync/starling/replica/store/disk"
)

// BenchmarkVisible is the time from the call of an edit on one device to its
// event on another, where it is durable and readable then. Between the two lie a
// synced commit on each device, one after the other, on the same disk here; how
// long the commits of both stores take is measured in the same run. Reported are
//
//   - p50-ms, p99-ms and max-ms of that time,
//   - commit-p50-ms and commit-p99-ms of the commits,
//   - p50-minus-2-commits-ms, what of the median is not twice the median commit,
//   - own-p50-ms and own-p99-ms, what of each time is not its own two commits,
//   - ack-p50-ms, until the call returned on the device of the edit, and
//   - commits/edit of both devices together, which is 2 if none is in excess.
func BenchmarkVisible(b *testing.B) {
	ids := p2ptest.Account(b, 2)
	a, atA := openTimed(b, ids[0])
	o, atO := openTimed(b, ids[1], a.host.Addrs()...)
	inSync(b, a, o)
	events := make(chan model.Event)
	watch := o.Watch(b.Context(), replica.Now)
	go func() {
		for ev := range watch {
			events <- ev
		}
	}()
	edit := func(i int) (acked, seen time.Duration) {
		began := time.Now()
		if err := a.Chat("bench").MarkRead(b.Context(), account.Position{Time: model.Time(1000 + i), ID: "m"}); err != nil {
			b.Fatal(err)
		}
		acked = time.Since(began)
		for ev := range events {
			if ev.Kind == "chat" {
				break
			}
		}
		return acked, time.Since(began)
	}
	edit(0) // makes the document
	atA.take()
	atO.take()
	ack, visible, own, commits := newHistogram(), newHistogram(), newHistogram(), newHistogram()
	n := 0
	for i := 1; b.Loop(); i++ {
		acked, seen := edit(i)
		took := append(atA.take(), atO.take()...)
		n += len(took)
		rest := seen
		for _, d := range took {
			record(b, commits, d)
			rest -= d
		}
		record(b, ack, acked)
		record(b, visible, seen)
		record(b, own, rest)
	}
	b.ReportMetric(0, "ns/op")
	report(b, visible, "")
	b.ReportMetric(float64(visible.Max())/1e6, "max-ms")
	report(b, commits, "commit-")
	report(b, own, "own-")
	b.ReportMetric(quantile(ack, 50), "ack-p50-ms")
	b.ReportMetric(quantile(visible, 50)-2*quantile(commits, 50), "p50-minus-2-commits-ms")
	b.ReportMetric(float64(n)/float64(b.N), "commits/edit")
}

// timedStore notes how long its commits take.
type timedStore struct {
	store.Store
	mu   sync.Mutex
	took []time.Duration // guarded by mu
}

func (s *timedStore) Commit(batch *store.Batch) error {
	began := time.Now()
	err := s.Store.Commit(batch)
	d := time.Since(began)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, d)
	return err
}

// take returns the commits since the last call.
func (s *timedStore) take() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := s.took
	s.took = nil
	return took
}

// openTimed is open over the store that is the default, timed, and with what the
// default has beside it.
func openTimed(b *testing.B, id *encryption.Identity, peers ...string) (*device, *timedStore) {
	b.Helper()
	dir := filepath.Join(b.TempDir(), replica.StoreDir)
	s, err := disk.Open(dir, &disk.Config{BadgerKey: id.BadgerKey().Reveal(), RecordKey: id.RecordKey().Reveal()})
	if err != nil {
		b.Fatal(err)
	}
	notes, err := disk.OpenNotes(dir)
	if err != nil {
		b.Fatal(errors.Join(err, s.Close()))
	}
	timed := &timedStore{Store: s}
	return openWith(b, dir, &replica.Config{Identity: id, Store: timed, Journal: notes}, peers...), timed
}

// newHistogram is one of durations up to a minute.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(time.Minute), 3) }

func record(b *testing.B, h *hdrhistogram.Histogram, d time.Duration) {
	b.Helper()
	if err := h.RecordValue(max(1, int64(d))); err != nil {
		b.Fatal(err)
	}
}

// quantile is one in milliseconds.
func quantile(h *hdrhistogram.Histogram, percent float64) float64 {
	return float64(h.ValueAtQuantile(percent)) / 1e6
}

func report(b *testing.B, h *hdrhistogram.Histogram, name string) {
	b.Helper()
	b.ReportMetric(quantile(h, 50), name+"p50-ms")
	b.ReportMetric(quantile(h, 99), name+"p99-ms")
}
