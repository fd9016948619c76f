package localapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// Limits of the server.
const (
	maxConns      = 256              // connections at once; more wait to be accepted
	maxHeader     = 32 << 10         // bytes of the header of a request
	headerTimeout = 10 * time.Second // for the header of a request to arrive
	idleTimeout   = 2 * time.Minute  // of a connection between requests
	grace         = 10 * time.Second // for requests under way at the end
)

// Serve answers on l until ctx ends, then closes l, ends event streams and
// long polls, and lets other requests finish for up to ten seconds. It
// returns nil after such an end and why it stopped otherwise. It owns l.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	outlive := context.WithoutCancel(ctx) // requests under way outlive ctx for the grace
	stop, stopStreams := context.WithCancel(outlive)
	defer stopStreams()
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(outlive, stopKey{}, stop)
		},
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(limitConns(l, maxConns)) }()
	select {
	case err := <-served:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	stopStreams()
	end, cancel := context.WithTimeout(outlive, grace)
	defer cancel()
	err := server.Shutdown(end)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	<-served
	return err
}

// stopKey is the key of the context whose end tells handlers that the server
// stops, in the context of each request.
type stopKey struct{}

// errStopping is the answer to who waits while the server stops.
var errStopping = client.Errorf(client.CodeUnreachable, "the daemon is stopping")

// stopping is closed when the server of this request stops; nil, and so never
// ready, under a server other than that of Serve.
func stopping(ctx context.Context) <-chan struct{} {
	if stop, ok := ctx.Value(stopKey{}).(context.Context); ok {
		return stop.Done()
	}
	return nil
}

// untilStopping returns a context that also ends when the server stops. It is
// for what would wait for long, not for work that should be finished.
func untilStopping(ctx context.Context) (context.Context, context.CancelFunc) {
	stop, ok := ctx.Value(stopKey{}).(context.Context)
	ctx, cancel := context.WithCancel(ctx)
	if !ok {
		return ctx, cancel
	}
	release := context.AfterFunc(stop, cancel)
	return ctx, func() { release(); cancel() }
}

// limitConns returns a listener that accepts at most n connections at once.
func limitConns(l net.Listener, n int) net.Listener {
	return &limitedListener{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	slots  chan struct{} // holds one element for each connection
	once   sync.Once
	closed chan struct{}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: conn, release: func() { <-l.slots }}, nil
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// limitedConn gives its slot back once.
type limitedConn struct {
	net.Conn
	once    sync.Once
	release func()
}

func (c *limitedConn) Close() error {
	c.once.Do(c.release)
	return c.Conn.Close()
}

// CloseWrite lets the server finish an answer to a request that it did not
// read to its end.
func (c *limitedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
