package bench_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
	"github.com/starling-sync/starling/replica"
)

// metered is a network that counts the bytes of its streams: all that is ours,
// sealed, and without what QUIC or TLS put around it and the hello before it.
type metered struct {
	*p2p.Host
	sent  atomic.Int64
	first sync.Once
	began chan time.Time // capacity 1: when the first stream was there
}

func (m *metered) Accept(ctx context.Context) (io.ReadWriteCloser, encryption.Peer, error) {
	conn, peer, err := m.Host.Accept(ctx)
	if err == nil {
		m.first.Do(func() { m.began <- time.Now() })
	}
	return &meteredStream{conn, m}, peer, err
}

type meteredStream struct {
	io.ReadWriteCloser
	of *metered
}

func (s *meteredStream) Write(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Write(p)
	s.of.sent.Add(int64(n))
	return n, err
}

// openMetered is open with a network that counts.
func openMetered(b *testing.B, dir string, id *encryption.Identity, peers ...string) (*replica.Replica, *metered) {
	b.Helper()
	host, err := p2p.Listen(b.Context(), &p2p.Config{Identity: id, Listen: "127.0.0.1:0", NoDiscovery: true, Peers: peers})
	if err != nil {
		b.Fatal(err)
	}
	m := &metered{Host: host, began: make(chan time.Time, 1)}
	r, err := replica.Open(dir, &replica.Config{Identity: id, Network: m})
	if err != nil {
		b.Fatal(errors.Join(err, host.Close()))
	}
	return r, m
}

// BenchmarkApart is how two devices come together that both hold 1,000 chats and
// have each made 5,000 changes of one field while they were apart: five times they
// muted or unmuted each chat, one after another. It reports how many bytes of ours
// crossed the streams for each of the 10,000 changes, both ways and everything
// counted, and the seconds from the first stream until both have everything.
func BenchmarkApart(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		ids := p2ptest.Account(b, 2)
		dirs := []string{b.TempDir(), b.TempDir()}
		meet(b, dirs, ids, func(a, _ *replica.Replica) { toggle(b, a, 1000, 1) })
		for i, dir := range dirs {
			alone, err := replica.Open(dir, &replica.Config{Identity: ids[i]})
			if err != nil {
				b.Fatal(err)
			}
			toggle(b, alone, 1000, 5)
			if err := alone.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		took, bytes := meet(b, dirs, ids, func(_, _ *replica.Replica) {})
		b.ReportMetric(took.Seconds(), "converged-s")
		b.ReportMetric(float64(bytes)/10_000, "B/change")
	}
}

// toggle mutes and unmutes chats, each edit a change of its own.
func toggle(b *testing.B, r *replica.Replica, chats, times int) {
	b.Helper()
	for i := range times {
		var edits []model.Edit
		for c := range chats {
			edit := model.Edit{Op: model.ChatMute, ID: fmt.Sprintf("signal:+49%08d", c), Until: model.Forever}
			if i%2 == 1 {
				edit = model.Edit{Op: model.ChatUnmute, ID: edit.ID}
			}
			edits = append(edits, edit)
		}
		if err := r.Apply(b.Context(), edits); err != nil {
			b.Fatal(err)
		}
	}
}

// meet opens both devices, and closes them when they have everything.
func meet(b *testing.B, dirs []string, ids []*encryption.Identity, first func(a, o *replica.Replica)) (time.Duration, int64) {
	b.Helper()
	a, atA := openMetered(b, dirs[0], ids[0])
	o, atO := openMetered(b, dirs[1], ids[1], atA.Addrs()...)
	first(a, o)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	if err := errors.Join(a.WaitInSync(ctx, ids[1].Device()), o.WaitInSync(ctx, ids[0].Device())); err != nil {
		b.Fatal(err)
	}
	took := time.Since(<-atA.began)
	sa, errA := a.Status(ctx)
	so, errO := o.Status(ctx)
	if err := errors.Join(errA, errO); err != nil || sa.Fingerprint != so.Fingerprint || sa.Counts.Chats != 1000 {
		b.Fatalf("not equal: %+v and %+v, %v", sa, so, err)
	}
	if err := errors.Join(a.Close(), o.Close()); err != nil {
		b.Fatal(err)
	}
	return took, atA.sent.Load() + atO.sent.Load()
}
