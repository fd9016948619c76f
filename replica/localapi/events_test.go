package localapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi"
	"github.com/starling-sync/starling/replica/localapi/apitest"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// stream opens an event stream as another program would.
func (d *daemon) stream(t *testing.T, target string, header ...string) (*bufio.Reader, net.Conn) {
	t.Helper()
	conn, err := net.Dial("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return openStream(t, conn, target, header...), conn
}

func openStream(t *testing.T, conn net.Conn, target string, header ...string) *bufio.Reader {
	t.Helper()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n", target)
	for i := 0; i < len(header); i += 2 {
		fmt.Fprintf(conn, "%s: %s\r\n", header[i], header[i+1])
	}
	fmt.Fprint(conn, "\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s %v", response.Status, response.Header)
	}
	return bufio.NewReader(response.Body)
}

// block reads up to the next empty line.
func block(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var lines strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %q", err, lines.String())
		}
		if line == "\n" {
			return lines.String()
		}
		lines.WriteString(line)
	}
}

func wantBlock(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	if got := block(t, r); got != want {
		t.Errorf("the stream has\n%s\nwant\n%s", got, want)
	}
}

// What EventSource gets, byte for byte, and how it resumes.
func TestEventStream(t *testing.T) {
	d := start(t, nil)
	r, conn := d.stream(t, "/v1/events")
	wantBlock(t, r, ": starling\n")
	d.Heard(model.Event{Kind: "chat", Entity: "a/b\n\u2028", Device: "dd"})
	d.Heard(model.Event{Kind: "peer", Entity: "ee", Note: "connected"})
	first := "id: 1\nevent: chat\ndata: {\"id\":1,\"kind\":\"chat\",\"entity\":\"a/b\\n\\u2028\",\"device\":\"dd\"}\n"
	second := "id: 2\nevent: peer\ndata: {\"id\":2,\"kind\":\"peer\",\"entity\":\"ee\",\"note\":\"connected\"}\n"
	wantBlock(t, r, first)
	wantBlock(t, r, second)
	conn.Close()
	d.Heard(model.Event{Kind: "fault", Note: "while away"})
	third := "id: 3\nevent: fault\ndata: {\"id\":3,\"kind\":\"fault\",\"note\":\"while away\"}\n"

	for _, resume := range [][]string{
		{"/v1/events?after=1"},
		{"/v1/events", "Last-Event-ID", "1"},
		{"/v1/events?after=2", "Last-Event-ID", "1"}, // the header is newer
	} {
		r, _ := d.stream(t, resume[0], resume[1:]...)
		wantBlock(t, r, ": starling\n")
		wantBlock(t, r, second)
		wantBlock(t, r, third)
	}
	r, _ = d.stream(t, "/v1/events?after=77")
	wantBlock(t, r, ": starling\n")
	wantBlock(t, r, "id: 3\nevent: gap\ndata: {\"id\":3,\"kind\":\"gap\"}\n")
}

// Many subscribers see the same, and leave nothing behind.
func TestManySubscribers(t *testing.T) {
	const subscribers, events = 32, 500
	d := start(t, nil)
	var done sync.WaitGroup
	for range subscribers {
		seq := d.client.Events(t.Context(), 0)
		done.Go(func() {
			want := uint64(1)
			for e, err := range seq {
				if err != nil || e.ID != want {
					t.Errorf("event %+v, error %v, want id %d", e, err, want)
					return
				}
				if want++; want > events {
					return
				}
			}
		})
	}
	for range events {
		d.Heard(model.Event{Kind: "chat", Entity: "c"})
	}
	done.Wait()
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if n := d.Watchers(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

// Subscribers that come and go leave nothing in a daemon that goes on; and
// synctest fails when a goroutine is left at the end.
func TestSubscribersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(nil)
		stop, dial := pipeServer(t, api, &localapi.Config{Streams: 3})
		defer stop()
		for range 50 {
			conn := dial()
			r := openStream(t, conn, "/v1/events")
			wantBlock(t, r, ": starling\n")
			synctest.Wait()
			if n := api.Watchers(); n != 1 {
				t.Fatalf("%d subscriptions for one client", n)
			}
			conn.Close()
			synctest.Wait()
			if n := api.Watchers(); n != 0 {
				t.Fatalf("%d subscriptions are left", n)
			}
		}
	})
}

// subscribing notes that it was asked for events.
type subscribing struct {
	*apitest.Replica
	asked bool
}

func (s *subscribing) Events(ctx context.Context, after uint64) iter.Seq2[model.Event, error] {
	s.asked = true
	return s.Replica.Events(ctx, after)
}

// firstWrite calls a function before the answer begins.
type firstWrite struct {
	*httptest.ResponseRecorder
	fn func()
}

func (w firstWrite) Write(p []byte) (int, error) {
	w.fn()
	return w.ResponseRecorder.Write(p)
}

// The subscription is there before the client hears of it, or it would miss
// what follows its own next request. Many times, as a race may be won.
func TestSubscribedFirst(t *testing.T) {
	for range 200 {
		api := &subscribing{Replica: apitest.New(nil)}
		ctx, cancel := context.WithCancel(t.Context())
		w := firstWrite{httptest.NewRecorder(), func() {
			if !api.asked {
				t.Error("the answer began before the subscription")
			}
			cancel()
		}}
		localapi.New(api, nil, nil).ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/v1/events", nil))
	}
}

func TestStreamLimit(t *testing.T) {
	d := start(t, &localapi.Config{Streams: 2})
	r, _ := d.stream(t, "/v1/events")
	wantBlock(t, r, ": starling\n")
	r, _ = d.stream(t, "/v1/events")
	wantBlock(t, r, ": starling\n")
	response, body := d.do(t, "GET", "/v1/events", "")
	wantProblem(t, response, body, 429, client.CodeRateLimited)
	for _, err := range d.client.Events(t.Context(), 0) {
		wantCode(t, err, client.CodeRateLimited)
	}
}

// An idle stream is kept alive by comments, in virtual time.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(nil)
		stop, dial := pipeServer(t, api, &localapi.Config{Heartbeat: time.Minute})
		defer stop()
		r := openStream(t, dial(), "/v1/events")
		wantBlock(t, r, ": starling\n")
		began := time.Now()
		wantBlock(t, r, ": beat\n")
		wantBlock(t, r, ": beat\n")
		if waited := time.Since(began); waited != 2*time.Minute {
			t.Errorf("two beats took %v", waited)
		}
		api.Heard(model.Event{Kind: "fault"})
		wantBlock(t, r, "id: 1\nevent: fault\ndata: {\"id\":1,\"kind\":\"fault\"}\n")
		began = time.Now()
		wantBlock(t, r, ": beat\n")
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("the beat after an event took %v", waited)
		}
	})
}

// endless yields events as fast as they are taken, and counts them.
type endless struct {
	*apitest.Replica
	yielded int
	ended   chan struct{}
}

func (e *endless) Events(ctx context.Context, _ uint64) iter.Seq2[model.Event, error] {
	return func(yield func(model.Event, error) bool) {
		defer close(e.ended)
		for ctx.Err() == nil && yield(model.Event{ID: uint64(e.yielded + 1), Kind: "chat"}, nil) {
			e.yielded++
		}
	}
}

// A client that stops reading is dropped, and until then costs a bounded
// number of events, in virtual time.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &endless{Replica: apitest.New(nil), ended: make(chan struct{})}
		stop, dial := pipeServer(t, api, &localapi.Config{Buffer: 16, WriteTimeout: time.Minute})
		defer stop()
		began := time.Now()
		conn := dial()
		r := openStream(t, conn, "/v1/events")
		wantBlock(t, r, ": starling\n")
		<-api.ended
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("dropped after %v", waited)
		}
		if api.yielded > 1000 {
			t.Errorf("%d events were taken for a client that reads nothing", api.yielded)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("the connection did not end: %v", err)
		}
	})
}

// failing yields one event and a failure.
type failing struct {
	*apitest.Replica
	err error
}

func (f failing) Events(context.Context, uint64) iter.Seq2[model.Event, error] {
	return func(yield func(model.Event, error) bool) {
		_ = yield(model.Event{ID: 1, Kind: "chat"}, nil) && yield(model.Event{}, f.err)
	}
}

// A failure of the subscription arrives with its code, as the last thing.
func TestEventsFailure(t *testing.T) {
	for _, c := range []struct {
		err  error
		want client.Code
	}{
		{client.Errorf(client.CodeDamaged, "a record\nis damaged"), client.CodeDamaged},
		{errors.New("odd"), client.CodeInternal},
	} {
		d := serve(t, failing{apitest.New(nil), c.err}, nil, nil)
		var got []error
		for _, err := range d.client.Events(t.Context(), 0) {
			got = append(got, err)
		}
		if len(got) != 2 || got[0] != nil || client.CodeOf(got[1]) != c.want || got[1].Error() != c.err.Error() {
			t.Errorf("events give %v, want one and %v", got, c.err)
		}
	}
}

// The end of the daemon ends streams and long polls at once, and a client
// resumes at the next one without missing anything.
func TestResumeAfterRestart(t *testing.T) {
	d := start(t, nil)
	inv, err := d.client.Invite(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	polled := make(chan error, 1)
	go func() {
		_, err := d.client.Await(t.Context(), inv.ID)
		polled <- err
	}()
	var last uint64
	seq := d.client.Events(t.Context(), 0)
	d.Heard(model.Event{Kind: "chat", Entity: "1"})
	for e, err := range seq {
		if last == 0 {
			last = e.ID
			go d.stop()
			continue
		}
		wantCode(t, err, client.CodeUnreachable)
	}
	wantCode(t, <-polled, client.CodeUnreachable)
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, d.client.Apply(t.Context(), nil), client.CodeUnreachable)
	missed := d.Heard(model.Event{Kind: "chat", Entity: "2"})

	l, err := localapi.Listen(d.socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- localapi.Serve(ctx, l, localapi.New(d.Replica, nil, nil)) }()
	for e, err := range d.client.Events(t.Context(), last) {
		if err != nil || e.ID != missed {
			t.Errorf("resumed with %+v, error %v, want event %d", e, err, missed)
		}
		break
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
