package bench_test

import (
	"context"
	"errors"
	"testing"
	"time"

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
	return openWith(b, dir, &replica.Config{Identity: id}, peers...)
}

// openWith is open with a configuration, but for its Network.
func openWith(b *testing.B, dir string, c *replica.Config, peers ...string) *device {
	b.Helper()
	host, err := p2p.Listen(b.Context(), &p2p.Config{Identity: c.Identity, Listen: "127.0.0.1:0", NoDiscovery: true, Peers: peers})
	if err != nil {
		b.Fatal(err)
	}
	c.Network = host
	r, err := replica.Open(dir, c)
	if err != nil {
		b.Fatal(errors.Join(err, host.Close()))
	}
	b.Cleanup(func() {
		if err := r.Close(); err != nil {
			b.Error(err)
		}
	})
	return &device{r, c.Identity, host}
}

func inSync(b *testing.B, a, o *device) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	if err := errors.Join(a.WaitInSync(ctx, o.id.Device()), o.WaitInSync(ctx, a.id.Device())); err != nil {
		b.Fatal(err)
	}
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
