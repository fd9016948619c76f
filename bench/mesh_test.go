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

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
	"github.com/starling-sync/starling/replica"
)

// meshDevices are all connected to all.
const meshDevices = 16

// BenchmarkMesh is how often an envelope crosses the links of a device that lacks
// it: envelopes that arrive at 16 devices, each connected to each over loopback,
// divided by those that they lacked. 1 is the least that there is, and forwarding
// everything to everybody costs 15. With edits=one an edit is everywhere before the
// next device makes one; with edits=all every device makes one at the same time.
// An operation is one round, after which all devices are in sync.
func BenchmarkMesh(b *testing.B) {
	b.Run("edits=one", func(b *testing.B) {
		measureMesh(b, func(m mesh, round int) error { return m[round%len(m)].edit(b.Context(), round) })
	})
	b.Run("edits=all", func(b *testing.B) {
		measureMesh(b, func(m mesh, round int) error {
			return m.each(func(d *meshDevice) error { return d.edit(b.Context(), round) })
		})
	})
}

func measureMesh(b *testing.B, edits func(m mesh, round int) error) {
	m := openMesh(b, meshDevices)
	if err := m.settle(b.Context()); err != nil {
		b.Fatal(err)
	}
	received, envelopes := m.counted(b)
	round := 0
	for b.Loop() {
		if err := errors.Join(edits(m, round), m.settle(b.Context())); err != nil {
			b.Fatal(err)
		}
		round++
	}
	r, e := m.counted(b)
	lacked := (e - envelopes) * (meshDevices - 1)
	b.ReportMetric(float64(r-received)/float64(lacked), "crossings")
	b.ReportMetric(float64(e-envelopes)/float64(b.N), "envelopes/op")
	if err := m.each(func(d *meshDevice) error { return d.Close() }); err != nil {
		b.Fatal(err)
	}
}

// mesh is devices that are all connected.
type mesh []*meshDevice

type meshDevice struct {
	*replica.Replica
	id  *encryption.Identity
	net *counting
}

// openMesh opens devices that each dial those before them.
func openMesh(b *testing.B, n int) mesh {
	b.Helper()
	var m mesh
	var addrs []string
	for _, id := range p2ptest.Account(b, n) {
		host, err := p2p.Listen(b.Context(), &p2p.Config{Identity: id, Listen: "127.0.0.1:0", NoDiscovery: true, Peers: addrs})
		if err != nil {
			b.Fatal(err)
		}
		addrs = append(addrs, host.Addrs()[0])
		net := &counting{Host: host}
		r, err := replica.Open(b.TempDir(), &replica.Config{Identity: id, Network: net})
		if err != nil {
			b.Fatal(errors.Join(err, host.Close()))
		}
		b.Cleanup(func() { r.Close() })
		m = append(m, &meshDevice{r, id, net})
	}
	return m
}

func (d *meshDevice) edit(ctx context.Context, round int) error {
	at := account.Position{Time: model.Time(1000 + round), ID: "m"}
	return d.Chat(fmt.Sprint("chat ", round%100)).MarkRead(ctx, at)
}

// settle waits until every device is in sync with every other.
func (m mesh) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return m.each(func(d *meshDevice) error {
		var errs []error
		for _, o := range m {
			if o != d {
				errs = append(errs, d.WaitInSync(ctx, o.id.Device()))
			}
		}
		return errors.Join(errs...)
	})
}

// each does something with all devices at the same time.
func (m mesh) each(do func(*meshDevice) error) error {
	errs := make([]error, len(m))
	var all sync.WaitGroup
	for i, d := range m {
		all.Go(func() { errs[i] = do(d) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// counted returns how many envelopes have arrived over all links, and how many
// there are.
func (m mesh) counted(b *testing.B) (received, envelopes int64) {
	b.Helper()
	for _, d := range m {
		s, err := d.Status(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		received += d.net.envelopes.Load()
		if envelopes != 0 && int64(s.Counts.Envelopes) != envelopes {
			b.Fatalf("a device holds %d envelopes, another %d", s.Counts.Envelopes, envelopes)
		}
		envelopes = int64(s.Counts.Envelopes)
	}
	return received, envelopes
}

// counting is a network that counts the envelopes that arrive.
type counting struct {
	*p2p.Host
	envelopes atomic.Int64
}

func (c *counting) Accept(ctx context.Context) (io.ReadWriteCloser, encryption.Peer, error) {
	conn, peer, err := c.Host.Accept(ctx)
	return &countedStream{ReadWriteCloser: conn, of: c}, peer, err
}

// The types of the frames that carry an envelope, as the
// specification of the wire has it.
const (
	frameEnvelope = 4
	frameFurther  = 17 // the same without what repeats
)

// countedStream looks at the frames that are read: a length, of which the lowest
// seven bits come first, and so many bytes, the first of which is the type. It is
// read by one goroutine.
type countedStream struct {
	io.ReadWriteCloser
	of    *counting
	body  int  // bytes of the frame that are still to come
	typed bool // and the type is not among them
	shift int  // bits of the length that have come
}

func (s *countedStream) Read(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		rest = s.take(rest)
	}
	return n, err
}

// take looks at the beginning of what was read and returns the rest.
func (s *countedStream) take(p []byte) []byte {
	switch {
	case !s.typed && s.shift >= 0:
		s.body |= int(p[0]&0x7f) << s.shift
		if s.shift += 7; p[0] < 0x80 {
			s.shift = -1
		}
		return p[1:]
	case !s.typed:
		if p[0] == frameEnvelope || p[0] == frameFurther {
			s.of.envelopes.Add(1)
		}
		s.typed = true
		s.body--
		p = p[1:]
	}
	n := min(s.body, len(p))
	if s.body -= n; s.body == 0 {
		s.typed, s.shift = false, 0
	}
	return p[n:]
}
