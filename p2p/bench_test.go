package p2p_test

import (
	"io"
	"runtime"
	"testing"

	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
)

// BenchmarkConnect is one device that comes back: a new host, dial, TLS, hello
// and card over loopback, until both sides have the stream.
func BenchmarkConnect(b *testing.B) {
	for _, transport := range []string{"udp", "tcp"} {
		b.Run(transport, func(b *testing.B) {
			ids := p2ptest.Account(b, 2)
			a := p2ptest.Listen(b, ids[0], nil)
			conf := &p2p.Config{Peers: []string{addrWith(b, a, transport)}}
			for b.Loop() {
				h := p2ptest.Listen(b, ids[1], conf)
				atA, atB := p2ptest.Connect(b, a, h)
				p2ptest.Exchange(b, atA, atB)
				b.StopTimer()
				h.Close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkHost is the start and end of a host, and what 20 idle ones hold.
func BenchmarkHost(b *testing.B) {
	id := p2ptest.Account(b, 1)[0]
	for b.Loop() {
		h, err := p2p.Listen(b.Context(), &p2p.Config{Identity: id, Listen: "127.0.0.1:0", NoDiscovery: true})
		if err != nil {
			b.Fatal(err)
		}
		h.Close()
	}
	b.ReportMetric(float64(idleBytes(b, 20)), "B/host")
}

func idleBytes(b *testing.B, n int) uint64 {
	ids := p2ptest.Account(b, n)
	before := inUse()
	hosts := make([]*p2p.Host, n)
	for i := range hosts {
		hosts[i] = p2ptest.Listen(b, ids[i], nil)
	}
	return (inUse() - before) / uint64(n)
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// BenchmarkThroughput is one stream in one direction.
func BenchmarkThroughput(b *testing.B) {
	for _, transport := range []string{"udp", "tcp"} {
		b.Run(transport, func(b *testing.B) {
			ids := p2ptest.Account(b, 2)
			a := p2ptest.Listen(b, ids[0], nil)
			h := p2ptest.Listen(b, ids[1], &p2p.Config{Peers: []string{addrWith(b, a, transport)}})
			atA, atH := p2ptest.Connect(b, a, h)
			const size = 1 << 20
			go func() {
				buf := make([]byte, size)
				for {
					if _, err := atA.Write(buf); err != nil {
						return
					}
				}
			}()
			b.SetBytes(size)
			for b.Loop() {
				if _, err := io.CopyN(io.Discard, atH, size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
