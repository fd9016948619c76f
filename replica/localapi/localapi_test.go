package localapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/starling-sync/starling/replica/localapi"
	"github.com/starling-sync/starling/replica/localapi/apitest"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m)
}

// daemon is a fake replica behind a real socket.
type daemon struct {
	*apitest.Replica
	socket string
	client *client.Client
	stop   func() error // as Ctrl-C does; returns what Serve did
}

// socketIn returns a path that is short enough whatever the test is called.
func socketIn(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "run", "d.sock")
}

func start(t *testing.T, c *localapi.Config) *daemon {
	t.Helper()
	r := apitest.New(nil)
	d := serve(t, r, r, c)
	d.Replica = r
	return d
}

func serve(t *testing.T, api client.API, linker client.Linker, c *localapi.Config) *daemon {
	t.Helper()
	socket := socketIn(t)
	l, err := localapi.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- localapi.Serve(ctx, l, localapi.New(api, linker, c)) }()
	d := &daemon{socket: socket, client: client.New(socket)}
	d.stop = func() error {
		cancel()
		err := <-served
		served <- err // for a second call
		return err
	}
	t.Cleanup(func() {
		d.client.Close()
		if err := d.stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return d
}

// do sends a request as another program would, and returns the answer with
// its body read.
func (d *daemon) do(t *testing.T, method, target, body string, header ...string) (*http.Response, string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", d.socket)
	}}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://starling"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return response, string(raw)
}

// What a client gets over the socket is what the replica gives in process.
func TestConformance(t *testing.T) {
	apitest.Run(t, func(t *testing.T) apitest.Subject {
		d := start(t, nil)
		return apitest.Subject{API: d.client, Linker: d.client, Join: d.Join}
	})
}

// A replica without a network answers that linking cannot be reached.
func TestNoLinker(t *testing.T) {
	d := serve(t, apitest.New(nil), nil, nil)
	_, err := d.client.Invite(t.Context())
	wantCode(t, err, client.CodeUnreachable)
	_, err = d.client.Await(t.Context(), "x")
	wantCode(t, err, client.CodeUnreachable)
	wantCode(t, d.client.Cancel(t.Context(), "x"), client.CodeUnreachable)
}

func wantCode(t *testing.T, err error, want client.Code) {
	t.Helper()
	if got := client.CodeOf(err); got != want {
		t.Errorf("code %q (error: %v), want %q", got, err, want)
	}
}

// post sends an edit with a key and does not wait for the answer.
func (d *daemon) post(t *testing.T, body, key string) (*bufio.Reader, net.Conn) {
	t.Helper()
	return d.send(t, fmt.Sprintf("POST /v1/edits HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s", key, len(body), body))
}

// send writes a request on a connection of its own.
func (d *daemon) send(t *testing.T, request string) (*bufio.Reader, net.Conn) {
	t.Helper()
	conn, err := net.Dial("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, request)
	return bufio.NewReader(conn), conn
}
