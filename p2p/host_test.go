package p2p_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := childDevice(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestTwoDevicesTalk(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			ids := p2ptest.Account(t, 2)
			a := p2ptest.Listen(t, ids[0], nil)
			b := p2ptest.Listen(t, ids[1], &p2p.Config{Peers: []string{addrWith(t, a, transport)}})
			atA, atB := p2ptest.Connect(t, a, b)
			p2ptest.Exchange(t, atA, atB)
			if atA.Peer.Device != ids[1].Device() || atB.Peer.Device != ids[0].Device() {
				t.Error("a stream names the wrong device")
			}
			if atA.Peer.Outbound || !atB.Peer.Outbound {
				t.Error("the dialling side is wrong")
			}
		})
	}
}

// addrWith returns the address of h for udp or tcp.
func addrWith(t testing.TB, h *p2p.Host, transport string) string {
	t.Helper()
	for _, s := range h.Addrs() {
		if transportOf(s) == transport {
			return s
		}
	}
	t.Fatalf("no %s address in %q", transport, h.Addrs())
	return ""
}

func TestConfiguredPeerWithoutID(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			ids := p2ptest.Account(t, 2)
			a := p2ptest.Listen(t, ids[0], nil)
			addr, _, _ := cutID(addrWith(t, a, transport))
			b := p2ptest.Listen(t, ids[1], &p2p.Config{Peers: []string{addr}})
			atA, atB := p2ptest.Connect(t, a, b)
			p2ptest.Exchange(t, atA, atB)
		})
	}
}

func TestSamePortForBothTransports(t *testing.T) {
	ids := p2ptest.Account(t, 1)
	h := p2ptest.Listen(t, ids[0], nil)
	if u, s := portOf(addrWith(t, h, "udp")), portOf(addrWith(t, h, "tcp")); u != s || u == "0" {
		t.Errorf("QUIC on port %s, TCP on %s", u, s)
	}
}

func TestListenOnAllInterfaces(t *testing.T) {
	ids := p2ptest.Account(t, 1)
	h := p2ptest.Listen(t, ids[0], &p2p.Config{Listen: ":0"})
	for _, s := range h.Addrs() {
		if s == "" || portOf(s) == "0" {
			t.Errorf("address %q cannot be dialled", s)
		}
	}
	if len(h.Addrs()) < 2 {
		t.Errorf("only %q", h.Addrs())
	}
}

func TestPortInUse(t *testing.T) {
	ids := p2ptest.Account(t, 1)
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for _, taken := range []string{tcp.Addr().String(), udp.LocalAddr().String()} {
		_, err := p2p.Listen(t.Context(), &p2p.Config{Identity: ids[0], Listen: taken})
		if !errors.Is(err, p2p.ErrAddrInUse) {
			t.Errorf("listen on %s, which is taken: %v", taken, err)
		}
	}
}

func TestTwoHostsDoNotShareAPort(t *testing.T) {
	ids := p2ptest.Account(t, 2)
	a := p2ptest.Listen(t, ids[0], nil)
	_, err := p2p.Listen(t.Context(), &p2p.Config{Identity: ids[1], Listen: "127.0.0.1:" + portOf(addrWith(t, a, "udp"))})
	if !errors.Is(err, p2p.ErrAddrInUse) {
		t.Errorf("second host on one port: %v", err)
	}
}

func TestMalformedAddresses(t *testing.T) {
	id := p2ptest.Account(t, 1)[0]
	for _, s := range []string{"localhost", "localhost:1", "1.2.3.4", "1.2.3.4:65536", "1.2.3.4:x", "[::1%lo]:1", "::1", "1.2.3.4:-1"} {
		if _, err := p2p.Listen(t.Context(), &p2p.Config{Identity: id, Listen: s}); !errors.Is(err, p2p.ErrListenAddr) {
			t.Errorf("listen on %q: %v", s, err)
		}
	}
	for _, s := range []string{
		"", "x", "1.2.3.4:1", "/ip4/1.2.3.4", "/ip4/1.2.3.4/udp/1", "/ip4/1.2.3.4/tcp/0", "/ip4/0.0.0.0/tcp/1",
		"/dns/example.org/tcp/1", "/ip4/1.2.3.4/tcp/1/ws", "/ip4/1.2.3.4/tcp/1/p2p/x", "/p2p-circuit",
	} {
		if _, err := p2p.Listen(t.Context(), &p2p.Config{Identity: id, Peers: []string{s}}); !errors.Is(err, p2p.ErrPeerAddr) {
			t.Errorf("peer %q: %v", s, err)
		}
	}
	many := make([]string, 65)
	for i := range many {
		many[i] = fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", i+1)
	}
	if _, err := p2p.Listen(t.Context(), &p2p.Config{Identity: id, Peers: many}); !errors.Is(err, p2p.ErrPeerAddr) {
		t.Errorf("65 peers: %v", err)
	}
}

func TestAcceptEnds(t *testing.T) {
	h := p2ptest.Listen(t, p2ptest.Account(t, 1)[0], nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := h.Accept(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("accept with an ended context: %v", err)
	}
	waiting := make(chan error)
	go func() {
		_, _, err := h.Accept(context.Background())
		waiting <- err
	}()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("accept of a closed host: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

// TestCloseDelivers pins that what was written before Close arrives, although
// the connection ends with it.
func TestCloseDelivers(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			ids := p2ptest.Account(t, 2)
			a := p2ptest.Listen(t, ids[0], nil)
			b := p2ptest.Listen(t, ids[1], &p2p.Config{Peers: []string{addrWith(t, a, transport)}})
			atA, atB := p2ptest.Connect(t, a, b)
			want := make([]byte, 200_000)
			go func() {
				atA.Write(want)
				atA.Close()
			}()
			got, err := io.ReadAll(atB)
			if err != nil || len(got) != len(want) {
				t.Errorf("read %d of %d bytes: %v", len(got), len(want), err)
			}
			atB.Close()
		})
	}
}

// TestHostCloseEndsStreams pins that the other end notices at once.
func TestHostCloseEndsStreams(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			ids := p2ptest.Account(t, 2)
			a := p2ptest.Listen(t, ids[0], nil)
			b := p2ptest.Listen(t, ids[1], &p2p.Config{Peers: []string{addrWith(t, a, transport)}})
			atA, atB := p2ptest.Connect(t, a, b)
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := atA.Read(make([]byte, 1)); err == nil {
				t.Error("the stream of a closed host still reads")
			}
			if _, err := atB.Write(make([]byte, 1)); err == nil {
				t.Error("the stream of our closed host still writes")
			}
		})
	}
}
