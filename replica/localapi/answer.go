package localapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// outcome is a success: what an answer is written from, and what is kept for
// an idempotency key.
type outcome struct {
	status   int
	location string // the header of that name, if not empty
	body     []byte // JSON, or nil for none
}

// outcomeOf encodes a result. A nil result is an answer without a body.
func outcomeOf(status int, result any) (outcome, error) {
	if result == nil {
		return outcome{status: status}, nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(result); err != nil {
		return outcome{}, client.Errorf(client.CodeInternal, "encode the answer: %w", err)
	}
	return outcome{status: status, body: buf.Bytes()}, nil
}

func (s *server) write(w http.ResponseWriter, o outcome) {
	s.writeDeadline(w)
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if o.location != "" {
		header.Set("Location", o.location)
	}
	if o.body != nil {
		header.Set("Content-Type", "application/json")
	}
	w.WriteHeader(o.status)
	w.Write(o.body) // a client that is gone is no concern of ours
}

// answer writes a result with status 200, or the failure.
func (s *server) answer(w http.ResponseWriter, r *http.Request, result any, err error) {
	var o outcome
	if err == nil {
		o, err = outcomeOf(http.StatusOK, result)
	}
	s.finish(w, r, o, err)
}

func (s *server) finish(w http.ResponseWriter, r *http.Request, o outcome, err error) {
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.write(w, o)
}

func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	err = stopped(err)
	status := client.CodeOf(err).Status()
	if _, ok := errors.AsType[mediaError](err); ok {
		status = http.StatusUnsupportedMediaType
	}
	s.failAs(w, r, status, err)
}

// failAs writes a problem document. No answer may have begun.
func (s *server) failAs(w http.ResponseWriter, r *http.Request, status int, err error) {
	problem := client.ProblemOf(err)
	problem.Status, problem.Title = status, http.StatusText(status)
	if problem.Code == client.CodeInternal {
		s.Log.Error("local api", "method", r.Method, "path", r.URL.EscapedPath(), "error", err)
	}
	body, err := json.Marshal(problem)
	if err != nil {
		panic(err) // unreachable: strings and a number can always be encoded
	}
	s.writeDeadline(w)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", client.ProblemType)
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

// stopped gives a code to the end of a context that is not the client's doing.
func stopped(err error) error {
	_, coded := errors.AsType[*client.Error](err)
	if !coded && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return client.Errorf(client.CodeUnreachable, "the daemon is stopping or too busy: %w", err)
	}
	return err
}

// writeDeadline limits the next write. A writer without deadlines, as in a
// test with a recorder, goes without.
func (s *server) writeDeadline(w http.ResponseWriter) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.WriteTimeout))
}

// cut breaks the connection of an answer that has begun and cannot be
// finished, for the client to notice.
func cut(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		conn.Close()
	}
}
