package localapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// Limits of bodies, in bytes.
const (
	smallBody  = 4 << 10 // of everything but edits
	largeBody  = 1 << 20 // edits above this, or of unknown length, wait for one of bulkBodies
	bulkBodies = 2       // large bodies in memory at once
)

// readBody returns the whole body, of at most limit bytes, or nothing when
// there is none. A body must say that it is JSON.
func (s *server) readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	if err := checkContentType(r); err != nil {
		return nil, err
	}
	if r.ContentLength > limit {
		return nil, tooLarge(r, limit)
	}
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(s.ReadTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, readFailure(r, limit, err)
	}
	control.SetReadDeadline(time.Time{})
	return body, nil
}

func readFailure(r *http.Request, limit int64, err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(r, limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return client.Errorf(client.CodeBadRequest, "%s %s: the body did not arrive in time", r.Method, r.URL.EscapedPath())
	}
	return client.Errorf(client.CodeBadRequest, "%s %s: read the body: %w", r.Method, r.URL.EscapedPath(), err)
}

func tooLarge(r *http.Request, limit int64) error {
	return client.Errorf(client.CodeTooLarge, "%s %s: the body has more than %d bytes", r.Method, r.URL.EscapedPath(), limit)
}

// mediaError is a refused Content-Type, which has a status of its own.
type mediaError struct{ problem *client.Error }

func (e mediaError) Error() string { return e.problem.Error() }

func (e mediaError) Unwrap() error { return e.problem }

func checkContentType(r *http.Request) error {
	given := r.Header.Get("Content-Type")
	media, params, err := mime.ParseMediaType(given)
	charset, named := params["charset"]
	if err != nil || media != "application/json" || named && !strings.EqualFold(charset, "utf-8") {
		return mediaError{client.Errorf(client.CodeBadRequest, "%s %s: Content-Type %q: want application/json", r.Method, r.URL.EscapedPath(), given)}
	}
	return nil
}

// readJSON reads a body strictly into v, a pointer to a struct. No body is
// like an empty object.
func (s *server) readJSON(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	body, err := s.readBody(w, r, limit)
	if err != nil || len(body) == 0 {
		return err
	}
	return decodeStrict(body, v)
}
