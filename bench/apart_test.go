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
	spent time.Duration  // of the processors until then; set before began is sent
}

func (m *metered) Accept(ctx context.Context) (io.ReadWriteCloser, encryption.Peer, error) {
	conn, peer, err := m.Host.Accept(ctx)
	if err == nil {
		m.first.Do(func() { m.spent = processorTime(); m.began <- time.Now() })
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
	r, err := replica.Open(dir, &replica.Config{Identity: id, Network: m, Clock: person.now})
	if err != nil {
		b.Fatal(errors.Join(err, host.Close()))
	}
	return r, m
}

// BenchmarkApart is how two devices come together that both hold 1,000 chats and
// have each made 5,000 changes of one field while they were apart: five times they
// muted or unmuted each chat, one after another. It reports how many bytes of ours
// crossed the streams for each of the 10,000 changes, both ways and everything
// counted, the seconds from the first stream until both have everything, and those
// of the processors in between, for both devices together.
func BenchmarkApart(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		dirs, ids := apart(b)
		b.StartTimer()
		m := meetAny(b, dirs, ids, nothing)
		b.ReportMetric(m.took.Seconds(), "converged-s")
		b.ReportMetric(m.processors.Seconds(), "cpu-s")
		b.ReportMetric(float64(m.bytes)/apartChanges, "B/change")
	}
}

// apartChanges is how many changes two devices of apart have made together.
const apartChanges = 10_000

// apart returns two devices with the same 1,000 chats that have made 5,000 changes
// each since they met, and are closed.
func apart(b *testing.B) (dirs []string, ids []*encryption.Identity) {
	b.Helper()
	ids = p2ptest.Account(b, 2)
	dirs = []string{b.TempDir(), b.TempDir()}
	meet(b, dirs, ids, func(a, _ *replica.Replica) { toggle(b, a, true) })
	for i, dir := range dirs {
		alone, err := replica.Open(dir, &replica.Config{Identity: ids[i], Clock: person.now})
		if err != nil {
			b.Fatal(err)
		}
		for round := range 5 {
			toggle(b, alone, round%2 == 1)
		}
		if s, err := alone.Status(b.Context()); err != nil || s.Counts.Pending != apartChanges/2 {
			b.Fatalf("%d changes, %v", s.Counts.Pending, err)
		}
		if err := alone.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return dirs, ids
}

// nothing is what devices do before they meet that only meet.
func nothing(_, _ *replica.Replica) {}

// BenchmarkLive is what one update costs while two devices are connected: bytes of
// ours that the one sends for each, and bytes with which the other acknowledges it.
func BenchmarkLive(b *testing.B) {
	ids := p2ptest.Account(b, 2)
	a, atA := openMetered(b, b.TempDir(), ids[0])
	o, atO := openMetered(b, b.TempDir(), ids[1], atA.Addrs()...)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	together := func() {
		if err := errors.Join(a.WaitInSync(ctx, ids[1].Device()), o.WaitInSync(ctx, ids[0].Device())); err != nil {
			b.Fatal(err)
		}
	}
	toggle(b, a, true)
	together()
	sent, acked := atA.sent.Load(), atO.sent.Load()
	for i := 0; b.Loop(); i++ {
		edit := model.Edit{Op: model.ChatRead, ID: fmt.Sprintf("signal:+49%08d", i%1000), At: &model.Position{Time: model.Time(1_700_000_000_000 + i), ID: fmt.Sprint("m", i)}}
		if err := a.Apply(ctx, []model.Edit{edit}); err != nil {
			b.Fatal(err)
		}
		together()
	}
	b.ReportMetric(float64(atA.sent.Load()-sent)/float64(b.N), "B/update")
	b.ReportMetric(float64(atO.sent.Load()-acked)/float64(b.N), "B/ack")
	if err := errors.Join(a.Close(), o.Close()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReconnect is what two devices tell each other that meet again when
// nothing differs: bytes of ours, each way, with 1,000 documents.
func BenchmarkReconnect(b *testing.B) {
	ids := p2ptest.Account(b, 2)
	dirs := []string{b.TempDir(), b.TempDir()}
	meet(b, dirs, ids, func(a, _ *replica.Replica) { toggle(b, a, true) })
	for b.Loop() {
		_, bytes := meet(b, dirs, ids, nothing)
		b.ReportMetric(float64(bytes)/2, "B/way")
	}
}

// toggle mutes or unmutes 1,000 chats, each edit a change of its own.
func toggle(b *testing.B, r *replica.Replica, mute bool) {
	b.Helper()
	var edits []model.Edit
	for c := range 1000 {
		edit := model.Edit{Op: model.ChatUnmute, ID: fmt.Sprintf("signal:+49%08d", c)}
		if mute {
			edit = model.Edit{Op: model.ChatMute, ID: edit.ID, Until: model.Forever}
		}
		edits = append(edits, edit)
	}
	if err := r.Apply(b.Context(), edits); err != nil {
		b.Fatal(err)
	}
}

// ticks is a clock of which each look is some seconds after the last: changes of
// one millisecond, in documents that do not say what they are about, would be equal
// and take next to nothing.
type ticks struct{ n atomic.Int64 }

var person ticks

func (c *ticks) now() time.Time {
	n := c.n.Add(1)
	return time.UnixMilli(1_700_000_000_000 + 3000*n + n*n%2999)
}

// meeting is what it cost that two devices met: from the first stream on, but for
// the bytes, which are all.
type meeting struct {
	took, processors time.Duration
	bytes            int64
	chats            int // that both hold then
}

// meet opens both devices, and closes them when they have everything.
func meet(b *testing.B, dirs []string, ids []*encryption.Identity, first func(a, o *replica.Replica)) (time.Duration, int64) {
	b.Helper()
	m := meetAny(b, dirs, ids, first)
	if m.chats != 1000 {
		b.Fatalf("%d chats", m.chats)
	}
	return m.took, m.bytes
}

// meetAny is meet of devices with any number of chats.
func meetAny(b *testing.B, dirs []string, ids []*encryption.Identity, first func(a, o *replica.Replica)) (m meeting) {
	b.Helper()
	a, atA := openMetered(b, dirs[0], ids[0])
	o, atO := openMetered(b, dirs[1], ids[1], atA.Addrs()...)
	first(a, o)
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	if err := errors.Join(a.WaitInSync(ctx, ids[1].Device()), o.WaitInSync(ctx, ids[0].Device())); err != nil {
		b.Fatal(err)
	}
	m.took = time.Since(<-atA.began)
	m.processors = processorTime() - atA.spent
	sa, errA := a.Status(ctx)
	so, errO := o.Status(ctx)
	if err := errors.Join(errA, errO); err != nil || sa.Fingerprint != so.Fingerprint {
		b.Fatalf("not equal: %+v and %+v, %v", sa, so, err)
	}
	if err := errors.Join(a.Close(), o.Close()); err != nil {
		b.Fatal(err)
	}
	m.bytes, m.chats = atA.sent.Load()+atO.sent.Load(), sa.Counts.Chats
	return m
}
