package bench_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
	"github.com/starling-sync/starling/replica"
)

// device is a replica with a store on disk and a host on loopback.
type device struct {
	*replica.Replica
	id   *encryption.Identity
	host *p2p.Host
}

// open starts a device that keeps dialling peers.
func open(b *testing.B, dir string, id *encryption.Identity, peers ...string) *device {
	b.Helper()
	host, err := p2p.Listen(b.Context(), &p2p.Config{Identity: id, Listen: "127.0.0.1:0", NoDiscovery: true, Peers: peers})
	if err != nil {
		b.Fatal(err)
	}
	r, err := replica.Open(dir, &replica.Config{Identity: id, Network: host})
	if err != nil {
		b.Fatal(errors.Join(err, host.Close()))
	}
	b.Cleanup(func() {
		if err := r.Close(); err != nil {
			b.Error(err)
		}
	})
	return &device{r, id, host}
}

func inSync(b *testing.B, a, o *device) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	if err := errors.Join(a.WaitInSync(ctx, o.id.Device()), o.WaitInSync(ctx, a.id.Device())); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkVisible is the time from an acknowledged edit, which is durable on
// the first device, to its event on the second, where it is durable and
// readable then. Both stores are synced, on the same disk.
func BenchmarkVisible(b *testing.B) {
	ids := p2ptest.Account(b, 2)
	a := open(b, b.TempDir(), ids[0])
	o := open(b, b.TempDir(), ids[1], a.host.Addrs()...)
	inSync(b, a, o)
	visible := hdrhistogram.New(1, int64(time.Minute), 3)
	write := hdrhistogram.New(1, int64(time.Minute), 3)
	events := make(chan model.Event)
	watch := o.Watch(b.Context(), replica.Now)
	go func() {
		for ev := range watch {
			events <- ev
		}
	}()
	for i := 0; b.Loop(); i++ {
		begun := time.Now()
		if err := a.Chat("bench").MarkRead(b.Context(), account.Position{Time: model.Time(1000 + i), ID: "m"}); err != nil {
			b.Fatal(err)
		}
		acked := time.Now()
		for ev := range events {
			if ev.Kind == "chat" {
				break
			}
		}
		record(b, write, acked.Sub(begun))
		record(b, visible, time.Since(acked))
	}
	report(b, write, "write")
	report(b, visible, "visible")
}

func record(b *testing.B, h *hdrhistogram.Histogram, d time.Duration) {
	if err := h.RecordValue(max(1, int64(d))); err != nil {
		b.Fatal(err)
	}
}

func report(b *testing.B, h *hdrhistogram.Histogram, name string) {
	b.ReportMetric(float64(h.ValueAtQuantile(50))/1e6, name+"-p50-ms")
	b.ReportMetric(float64(h.ValueAtQuantile(99))/1e6, name+"-p99-ms")
}

// BenchmarkCatchUp is the time in which a device that was away converges on
// 5,000 chats and 10,000 contacts that were written without it.
func BenchmarkCatchUp(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		ids := p2ptest.Account(b, 2)
		a := open(b, b.TempDir(), ids[0])
		began := time.Now()
		for _, edits := range manyEdits(5000, 10000) {
			if err := a.Apply(b.Context(), edits); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(time.Since(began).Seconds(), "write-s")
		b.StartTimer()
		o := open(b, b.TempDir(), ids[1], a.host.Addrs()...)
		inSync(b, a, o)
		b.StopTimer()
		equal(b, a, o)
		b.StartTimer()
	}
}

func equal(b *testing.B, a, o *device) {
	sa, errA := a.Status(b.Context())
	so, errO := o.Status(b.Context())
	if err := errors.Join(errA, errO); err != nil {
		b.Fatal(err)
	}
	if sa.Fingerprint != so.Fingerprint || so.Counts.Chats != 5000 || so.Counts.Contacts != 10000 {
		b.Fatalf("not equal: %+v and %+v", sa, so)
	}
}
