package p2p_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
)

func stranger(t testing.TB) *p2p.Stranger {
	t.Helper()
	var seed [32]byte
	rand.Read(seed[:])
	s, err := p2p.NewStranger(seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func strangerID(t testing.TB) string { return stranger(t).ID() }

// say opens a connection and a stream, writes what is given, and returns all
// that comes back, and how reading ended.
func say(t testing.TB, s *p2p.Stranger, addr string, out []byte) ([]byte, error) {
	t.Helper()
	conn, err := s.Dial(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := conn.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stream.SetDeadline(time.Now().Add(3 * p2p.HelloTime))
	if _, err := stream.Write(out); err != nil {
		return nil, err
	}
	return io.ReadAll(stream)
}

// frames joins frames with their lengths.
func frames(all ...string) []byte {
	var out []byte
	for _, f := range all {
		out = binary.BigEndian.AppendUint32(out, uint32(len(f)))
		out = append(out, f...)
	}
	return out
}

// TestStrangerIsToldNothing pins that whatever a stranger says, the connection
// closes in the same way, without a byte and without waiting for the timeout.
func TestStrangerIsToldNothing(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	p2ptest.Rotate(t, ids[0])
	a := p2ptest.Listen(t, ids[0], nil)
	replayed, _, err := ids[1].NewHello(true, []byte("another"), []byte("connection"), time.Now(), rand.Reader).Next(nil)
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 2048)
	rand.Read(noise)
	cases := map[string][]byte{
		"sync with noise":      frames(p2p.SyncProtocol, string(noise)),
		"sync, a replay":       frames(p2p.SyncProtocol, string(replayed)),
		"sync, empty hello":    frames(p2p.SyncProtocol, ""),
		"link, no invite":      frames(p2p.LinkProtocol, string(noise)),
		"unknown protocol":     frames("/starling/none/1", string(noise)),
		"later version":        frames("/starling/sync/2", string(noise)),
		"empty protocol":       frames("", string(noise)),
		"multistream":          []byte("\x13/multistream/1.0.0\n\x0f/ipfs/id/1.0.0\n"),
		"identify":             frames("/ipfs/id/1.0.0", string(noise)),
		"ping":                 frames("/ipfs/ping/1.0.0", strings.Repeat("x", 32)),
		"name over the limit":  frames(strings.Repeat("x", 65)),
		"hello over the limit": append(frames(p2p.SyncProtocol), 0, 2, 0, 0),
		"length of 4 GiB":      {0xff, 0xff, 0xff, 0xff},
		"http":                 []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	}
	for _, transport := range []string{"udp", "tcp"} {
		s := stranger(t)
		endings := map[string][]string{}
		for name, out := range cases {
			begin := time.Now()
			got, err := say(t, s, addrWith(t, a, transport), out)
			if len(got) != 0 {
				t.Errorf("%s, %s: answered %q", transport, name, got)
			}
			if p2p.TimedOut(err) {
				t.Errorf("%s, %s: was left waiting for %v", transport, name, time.Since(begin))
			}
			endings[ending(err)] = append(endings[ending(err)], name)
		}
		if len(endings) != 1 {
			t.Errorf("%s: a stranger can tell cases apart: %v", transport, endings)
		}
	}
}

// ending is what a peer can see of how a connection ended. Whether a TCP
// connection that is reset shows its last packets is a race in the kernel.
func ending(err error) string {
	var ce *network.ConnError
	var se *network.StreamError
	switch {
	case err == nil:
		return "end of stream"
	case errors.Is(err, network.ErrReset):
		return "reset"
	case errors.As(err, &ce):
		return "connection error " + string(rune('0'+ce.ErrorCode))
	case errors.As(err, &se):
		return "stream error"
	}
	return err.Error()
}

// TestSilentStrangerIsDropped pins the five seconds.
func TestSilentStrangerIsDropped(t *testing.T) {
	t.Parallel()
	ids := p2ptest.Account(t, 1)
	a := p2ptest.Listen(t, ids[0], nil)
	var all sync.WaitGroup
	for _, transport := range []string{"udp", "tcp"} {
		for name, out := range map[string][]byte{
			"nothing": nil, "half a frame": {0, 0}, "a name": frames(p2p.SyncProtocol),
			"an unknown name": frames("/none"), "linking": frames(p2p.LinkProtocol),
		} {
			s := stranger(t)
			all.Go(func() {
				got, err := say(t, s, addrWith(t, a, transport), out)
				if len(got) != 0 || p2p.TimedOut(err) {
					t.Errorf("%s, %s: read %q, %v", transport, name, got, err)
				}
			})
		}
	}
	all.Wait()
	if n := a.Pending(); n != 0 {
		t.Errorf("%d connections still wait", n)
	}
}

// TestFloodIsBounded opens 100 connections that say nothing while a device
// wants to connect.
func TestFloodIsBounded(t *testing.T) {
	t.Parallel()
	ids := p2ptest.Account(t, 2)
	a := p2ptest.Listen(t, ids[0], nil)
	s := stranger(t)
	var all sync.WaitGroup
	for i := range 100 {
		transport := []string{"udp", "tcp"}[i%2]
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			conn, err := s.Dial(ctx, addrWith(t, a, transport))
			if err != nil {
				return // refused by the limits: as good as dropped
			}
			defer conn.Close()
			if n := a.Pending(); n > p2p.MaxPending {
				t.Errorf("%d connections wait for a hello", n)
			}
			if stream, err := conn.OpenStream(ctx); err == nil {
				stream.SetDeadline(time.Now().Add(3 * p2p.HelloTime))
				_, _ = stream.Write([]byte{0})
				_, _ = io.ReadAll(stream) // until we are dropped
			}
		})
	}
	b := p2ptest.Listen(t, ids[1], &p2p.Config{Peers: a.Addrs()})
	atA, atB := p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
	all.Wait()
}

// TestOtherAccountIsAStranger pins that a member of another account is, on
// both sides.
func TestOtherAccountIsAStranger(t *testing.T) {
	logs := newLogWatch()
	a := p2ptest.Listen(t, p2ptest.Account(t, 1)[0], &p2p.Config{Log: logs.logger()})
	b := p2ptest.Listen(t, p2ptest.Account(t, 1)[0], &p2p.Config{Peers: a.Addrs()})
	nobody(t, b)
	logs.await(t, "dropped an inbound connection")
	nobody(t, a)
	nobody(t, b)
}

// nobody fails the test if a stream is waiting to be accepted.
func nobody(t testing.TB, h *p2p.Host) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, peer, err := h.Accept(ctx); err == nil {
		t.Errorf("there is a stream with %v", peer)
	}
}
