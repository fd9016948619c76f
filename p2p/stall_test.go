package p2p_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
)

// stallingCable forwards TCP connections until it is cut, and then keeps them
// open without forwarding anything.
type stallingCable struct {
	l   net.Listener
	to  string
	cut chan struct{}

	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

func newStallingCable(t testing.TB, to string) *stallingCable {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &stallingCable{l: l, to: to, cut: make(chan struct{})}
	var work sync.WaitGroup
	work.Go(func() { c.run(&work) })
	t.Cleanup(func() {
		l.Close()
		c.mu.Lock()
		for _, conn := range c.conns {
			conn.Close()
		}
		c.mu.Unlock()
		work.Wait()
	})
	return c
}

func (c *stallingCable) run(work *sync.WaitGroup) {
	for {
		in, err := c.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp4", c.to)
		if err != nil {
			in.Close()
			continue
		}
		c.mu.Lock()
		c.conns = append(c.conns, in, out)
		c.mu.Unlock()
		work.Go(func() { c.forward(in, out) })
		work.Go(func() { c.forward(out, in) })
	}
}

func (c *stallingCable) forward(to io.Writer, from io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-c.cut:
			continue // it is lost
		default:
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// TestDeadTCPConnectionIsReplaced: a host is announced anew while its
// connection is dead without a sign. It takes one doubt to notice.
func TestDeadTCPConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	ids := p2ptest.Account(t, 2)
	announce := make(chan func(texts []string), 1)
	var conf p2p.Config
	conf.SetInterfaces(func() (string, error) { return "", nil }, make(chan time.Time))
	conf.SetDiscovery(func(found func([]string)) (func(), error) {
		announce <- found
		return func() {}, nil
	})
	a := p2ptest.ListenDiscovering(t, ids[0], &conf)
	cable := newStallingCable(t, "127.0.0.1:"+portOf(addrWith(t, a, "tcp")))
	_, port, _ := net.SplitHostPort(cable.l.Addr().String())
	b := p2ptest.Listen(t, ids[1], &p2p.Config{Peers: []string{"/ip4/127.0.0.1/tcp/" + port + "/p2p/" + a.PeerID()}})
	atA, atB := p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
	close(cable.cut)
	(<-announce)(txt(b))
	begin := time.Now()
	if _, err := atA.Read(make([]byte, 1)); err == nil {
		t.Error("read from a dead connection")
	}
	t.Logf("noticed after %v", time.Since(begin))
	again := p2ptest.Accept(t, a)
	p2ptest.Exchange(t, again, p2ptest.Accept(t, b))
}
