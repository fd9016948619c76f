package localapi_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/starling-sync/starling/replica/localapi"
	"github.com/starling-sync/starling/replica/localapi/client"
)

type ctxT = context.Context

// pipeListener gives out one end of a pipe, for tests in virtual time, where
// a real socket would not count as waiting.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// pipeServer serves api on the connections that dial makes. A pipe has no
// buffer: what the test does not read, the server cannot write.
func pipeServer(t *testing.T, api client.API, c *localapi.Config) (stop func(), dial func() net.Conn) {
	t.Helper()
	l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- localapi.Serve(ctx, l, localapi.New(api, nil, c)) }()
	var dialled []net.Conn
	stop = func() {
		for _, conn := range dialled {
			conn.Close()
		}
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
	return stop, func() net.Conn {
		near, far := net.Pipe()
		dialled = append(dialled, near)
		l.conns <- far
		return near
	}
}
