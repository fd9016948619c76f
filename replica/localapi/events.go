package localapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// events streams what changes as server-sent events. Each carries the id of
// the event, its kind as the name, and its JSON as the data; a failure is an
// event named problem, the last one.
//
// A client that does not take what it is sent within WriteTimeout is dropped.
// Until then at most Buffer events wait here; what waits behind them is for
// the replica to bound, with a gap.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	after, err := resumeAfter(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		s.fail(w, r, client.Errorf(client.CodeRateLimited, "events: %d streams are open already", s.Streams))
		return
	}
	ctx, cancel := untilStopping(r.Context())
	source := s.api.Events(ctx, after) // subscribed before the client hears of it
	items := make(chan item, s.Buffer)
	var pumping sync.WaitGroup
	defer pumping.Wait() // deferred before cancel, so that it runs after it
	defer cancel()
	pumping.Go(func() { pump(ctx, source, items) })
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	out := &stream{server: s, w: w, buf: bufio.NewWriter(deadlineWriter{s, w})}
	out.run(ctx, items)
}

// item is what a subscription yielded.
type item struct {
	event model.Event
	err   error
}

// pump moves what the subscription yields into items until ctx or it ends.
func pump(ctx context.Context, source iter.Seq2[model.Event, error], items chan<- item) {
	defer close(items)
	for event, err := range source {
		select {
		case items <- item{event, err}:
		case <-ctx.Done():
			return
		}
	}
}

// resumeAfter returns the event that the client has seen last, 0 for none.
// The header, which EventSource sets when it reconnects, goes before the
// parameter of the address, which stays what it was.
func resumeAfter(r *http.Request) (uint64, error) {
	given := r.Header.Get("Last-Event-ID")
	if given == "" {
		given = r.URL.Query().Get("after")
	}
	if given == "" {
		return 0, nil
	}
	after, err := strconv.ParseUint(given, 10, 64)
	if err != nil {
		return 0, client.Errorf(client.CodeBadRequest, "events: %q is not the id of an event", given)
	}
	return after, nil
}

// stream is the writing side of one event stream, owned by its handler.
type stream struct {
	*server
	w   http.ResponseWriter
	buf *bufio.Writer
}

// run writes items until they or ctx end or the client is too slow. The
// comment at the start makes the answer's header leave at once.
func (o *stream) run(ctx context.Context, items <-chan item) {
	o.buf.WriteString(": starling\n\n")
	beat := time.NewTicker(o.Heartbeat)
	defer beat.Stop()
	for o.flush() == nil {
		select {
		case it, open := <-items:
			if !open || !o.item(it) {
				o.flush()
				return
			}
			if !o.waiting(items) {
				o.flush()
				return
			}
			beat.Reset(o.Heartbeat)
		case <-beat.C:
			o.buf.WriteString(": beat\n\n")
		case <-ctx.Done():
			return
		}
	}
}

// waiting writes what is in items already, so that a burst is flushed once,
// and says whether the stream goes on.
func (o *stream) waiting(items <-chan item) bool {
	for range len(items) {
		if it, open := <-items; !open || !o.item(it) {
			return false
		}
	}
	return true
}

// item writes one event and says whether more may follow. Nothing follows a
// failure.
func (o *stream) item(it item) bool {
	if it.err != nil {
		data, _ := json.Marshal(client.ProblemOf(stopped(it.err)))
		fmt.Fprintf(o.buf, "event: problem\ndata: %s\n\n", data)
		return false
	}
	data, err := json.Marshal(it.event)
	if err != nil || strings.ContainsAny(it.event.Kind, "\r\n") {
		o.Log.Error("local api: events: cannot be written", "event", it.event, "error", err)
		return false
	}
	_, err = fmt.Fprintf(o.buf, "id: %d\nevent: %s\ndata: %s\n\n", it.event.ID, it.event.Kind, data)
	return err == nil
}

// flush sends what is buffered, within WriteTimeout.
func (o *stream) flush() error {
	if err := o.buf.Flush(); err != nil {
		return err
	}
	o.writeDeadline(o.w)
	return http.NewResponseController(o.w).Flush()
}
