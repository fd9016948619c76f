package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"
)

// Limits of one Apply, which the daemon enforces and the client checks before
// it sends.
const (
	MaxEdits     = 100_000  // edits in one request
	MaxEditsBody = 64 << 20 // bytes of their JSON
)

// Limits of what a Client takes from a daemon.
const (
	maxBody    = 256 << 20 // bytes of one answer: a state of the stress account has 20 MB
	maxProblem = 64 << 10  // bytes of a problem document
)

// Client is an API and a Linker over the socket of a daemon. It may be used
// by several goroutines. Connections are made when they are needed and kept
// for a while; a daemon that restarts is found again.
//
// Where the daemon cannot be reached, or goes away in the middle, the Error
// has CodeUnreachable. Every write carries a fresh idempotency key, so that
// one whose connection broke before the answer is not performed twice by the
// transport's own retry.
type Client struct {
	socket string
	http   *http.Client
}

var (
	_ API    = (*Client)(nil)
	_ Linker = (*Client)(nil)
)

// New returns a client of the daemon that listens at the path. It does not
// connect yet.
func New(socketPath string) *Client {
	c := &Client{socket: socketPath}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext:         c.dial,
			DisableCompression:  true,
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Close gives up idle connections. The client stays usable.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	path, err := CheckSocketPath(c.socket)
	if err != nil {
		return nil, err
	}
	if err := checkOwner(path, os.Geteuid()); err != nil {
		return nil, err
	}
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", path)
}

// get asks for path and decodes the answer into v.
func (c *Client) get(ctx context.Context, path string, v any) error {
	return c.call(ctx, http.MethodGet, path, nil, v)
}

// call sends body, if not nil, as JSON and decodes the answer into v, if not nil.
func (c *Client) call(ctx context.Context, method, path string, body, v any) error {
	response, err := c.send(ctx, method, path, body, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if v == nil {
		return nil
	}
	limited := &io.LimitedReader{R: response.Body, N: maxBody + 1}
	err = json.NewDecoder(limited).Decode(v)
	switch {
	case err == nil:
		return nil
	case limited.N == 0:
		return Errorf(CodeTooLarge, "%s %s: the answer has more than %d bytes", method, path, maxBody)
	case ctx.Err() != nil:
		return fmt.Errorf("%s %s: %w", method, path, ctx.Err())
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || isNet(err):
		return Errorf(CodeUnreachable, "%s %s: the daemon at %s went away: %w", method, path, c.socket, err)
	}
	return Errorf(CodeInternal, "%s %s: the answer: %w", method, path, err)
}

// send returns the answer if it is a success. The caller closes its body.
func (c *Client) send(ctx context.Context, method, path string, body any, header http.Header) (*http.Response, error) {
	request, err := newRequest(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.failed(ctx, request, err)
	}
	if response.StatusCode/100 != 2 {
		defer response.Body.Close()
		return nil, problemIn(response)
	}
	return response, nil
}

func newRequest(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var reader io.Reader // nil for none
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, Errorf(CodeBadRequest, "%s %s: %w", method, path, err)
		}
		if len(raw) > MaxEditsBody {
			return nil, Errorf(CodeTooLarge, "%s %s: the request has %d bytes, at most %d are taken", method, path, len(raw), MaxEditsBody)
		}
		reader = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://starling"+path, reader)
	if err != nil {
		return nil, Errorf(CodeBadRequest, "%s %s: %w", method, path, err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if method != http.MethodGet {
		request.Header.Set("Idempotency-Key", rand.Text())
	}
	return request, nil
}

// failed explains why no answer came.
func (c *Client) failed(ctx context.Context, r *http.Request, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.URL.EscapedPath(), ctx.Err())
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, fs.ErrPermission) {
		return Errorf(CodePermission, "socket %s: %w", c.socket, fs.ErrPermission)
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		err = errno // the reason alone: the path is said already
	} else if cause := errors.Unwrap(err); cause != nil {
		err = cause // less the method and URL that net/http puts in front
	}
	return Errorf(CodeUnreachable, "no daemon answers at %s: %w", c.socket, err)
}

// problemIn reads the problem document of an answer that is no success.
func problemIn(response *http.Response) error {
	var p Problem
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if media == ProblemType {
		if err := json.NewDecoder(io.LimitReader(response.Body, maxProblem)).Decode(&p); err == nil {
			return p.Err()
		}
	}
	return Errorf(CodeInternal, "%s %s: answered %s without a problem document",
		response.Request.Method, response.Request.URL.EscapedPath(), response.Status)
}

func isNet(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok
}

// segment escapes an id for one segment of a path. Dots are escaped where
// they would be a step within the path.
func segment(id string) string {
	switch id {
	case ".":
		return "%2E"
	case "..":
		return "%2E%2E"
	}
	return url.PathEscape(id)
}
