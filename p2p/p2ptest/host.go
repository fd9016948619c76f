package p2ptest

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
)

// patience bounds every wait of this package, so that a test that hangs says
// where. No test should depend on its value.
const patience = time.Minute

// Listen starts a host on loopback without multicast, and closes it with the
// test. c may be nil; its Identity is set to id, and its Listen if empty.
func Listen(t testing.TB, id *encryption.Identity, c *p2p.Config) *p2p.Host {
	t.Helper()
	var conf p2p.Config
	if c != nil {
		conf = *c
	}
	conf.NoDiscovery = true
	return ListenDiscovering(t, id, &conf)
}

// ListenDiscovering is Listen with whatever discovery c asks for.
func ListenDiscovering(t testing.TB, id *encryption.Identity, c *p2p.Config) *p2p.Host {
	t.Helper()
	conf := *c
	conf.Identity = id
	if conf.Listen == "" {
		conf.Listen = "127.0.0.1:0"
	}
	h, err := p2p.Listen(t.Context(), &conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// Stream is what Accept returned.
type Stream struct {
	io.ReadWriteCloser
	Peer encryption.Peer
}

// Accept waits for the next stream of h.
func Accept(t testing.TB, h *p2p.Host) Stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, peer, err := h.Accept(ctx)
	if err != nil {
		t.Fatalf("no stream: %v", err)
	}
	return Stream{s, peer}
}

// Connect returns both ends of the stream between two hosts, of which at
// least one must know the other. Other devices must not interfere.
func Connect(t testing.TB, a, b *p2p.Host) (atA, atB Stream) {
	t.Helper()
	found := make(chan Stream, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s, peer, err := b.Accept(ctx)
		if err != nil {
			t.Errorf("no stream at the second host: %v", err)
		}
		found <- Stream{s, peer}
	}()
	atA = Accept(t, a)
	atB = <-found
	if atB.ReadWriteCloser == nil {
		t.FailNow()
	}
	return atA, atB
}

// Exchange sends a few bytes each way and fails the test if they do not arrive.
func Exchange(t testing.TB, a, b io.ReadWriter) {
	t.Helper()
	for _, way := range [][2]io.ReadWriter{{a, b}, {b, a}} {
		if err := send(way[0], way[1]); err != nil {
			t.Fatal(err)
		}
	}
}

func send(from io.Writer, to io.Reader) error {
	const text = "ping"
	if _, err := io.WriteString(from, text); err != nil {
		return err
	}
	buf := make([]byte, len(text))
	if _, err := io.ReadFull(to, buf); err != nil {
		return err
	}
	if string(buf) != text {
		return errors.New("other bytes arrived than were sent")
	}
	return nil
}
