package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// daemonThat answers every request with fn, over a socket.
func daemonThat(t *testing.T, fn http.HandlerFunc) *client.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: fn}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	c := client.New(socket)
	t.Cleanup(func() {
		c.Close()
		server.Close()
		<-served
		os.RemoveAll(dir)
	})
	return c
}

func wantCode(t *testing.T, err error, want client.Code) {
	t.Helper()
	if got := client.CodeOf(err); got != want {
		t.Errorf("code %q (error: %v), want %q", got, err, want)
	}
}

func TestNoDaemon(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "no", "dir"), stale, file} {
		c := client.New(path)
		_, err := c.ListChats(t.Context())
		wantCode(t, err, client.CodeUnreachable)
		if err == nil || !strings.Contains(err.Error(), path) || strings.Count(err.Error(), path) != 1 {
			t.Errorf("the error says %q", err)
		}
		for _, err := range c.Events(t.Context(), 0) {
			wantCode(t, err, client.CodeUnreachable)
		}
		c.Close()
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		name, media, body string
		status            int
		want              client.Code
		says              string
	}{
		{"known code", client.ProblemType, `{"code":"disk-full","detail":"no room","status":507}`, 507, client.CodeDiskFull, "no room"},
		{"code of a newer daemon", client.ProblemType + "; charset=utf-8", `{"code":"new","detail":"d","more":1}`, 400, "new", "d"},
		{"no code", client.ProblemType, `{"title":"Teapot"}`, 418, client.CodeInternal, "Teapot"},
		{"nothing", client.ProblemType, `{}`, 500, client.CodeInternal, "no reason"},
		{"not a problem", "text/plain", `404 page not found`, 404, client.CodeInternal, "404"},
		{"not JSON", client.ProblemType, `{"code":`, 500, client.CodeInternal, "500"},
		{"endless", client.ProblemType, `{"detail":"` + strings.Repeat("x", 1<<20) + `"}`, 500, client.CodeInternal, "500"},
		{"redirect", "text/html", ``, 302, client.CodeInternal, "302"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := daemonThat(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.media)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			})
			_, err := d.GetChat(t.Context(), "c")
			wantCode(t, err, c.want)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error says %q, want something with %q", err, c.says)
			}
		})
	}
}

func TestOddAnswers(t *testing.T) {
	for _, c := range []struct {
		name, body string
		cut        bool
		want       client.Code
	}{
		{"fields of a newer daemon", `{"chats":[{"id":"c","new":1}],"next":"x"}`, false, ""},
		{"not JSON", `hello`, false, client.CodeInternal},
		{"other type", `{"chats":{}}`, false, client.CodeInternal},
		{"empty", ``, false, client.CodeUnreachable},
		{"ends early", `{"chats":[`, false, client.CodeUnreachable},
		{"cut off", `{"chats":[`, true, client.CodeUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := daemonThat(t, func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, c.body)
				if c.cut {
					http.NewResponseController(w).Flush()
					conn, _, err := http.NewResponseController(w).Hijack()
					if err == nil {
						conn.Close()
					}
				}
			})
			_, err := d.ListChats(t.Context())
			wantCode(t, err, c.want)
		})
	}
}

// An answer that never ends is given up at the limit.
func TestEndlessAnswer(t *testing.T) {
	if testing.Short() {
		t.Skip("needs 256 MiB through a socket: left out by -short")
	}
	piece := bytes.Repeat([]byte(" "), 1<<20)
	d := daemonThat(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	_, err := d.ListChats(t.Context())
	wantCode(t, err, client.CodeTooLarge)
}

// Writes have a key, each another, and reads have none.
func TestKeys(t *testing.T) {
	keys := map[string]bool{}
	d := daemonThat(t, func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if (key == "") != (r.Method == "GET") || keys[key] && key != "" || len(key) > 128 {
			t.Errorf("%s with key %q", r.Method, key)
		}
		keys[key] = true
		io.WriteString(w, "{}")
	})
	for range 3 {
		if err := errors.Join(d.Apply(t.Context(), nil), d.Cancel(t.Context(), "x")); err != nil {
			t.Fatal(err)
		}
		if _, err := d.ListChats(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// An id is one segment of the path, also where it looks like a step in it.
func TestSegments(t *testing.T) {
	for id, want := range map[string]string{
		"..": "/v1/chats/%2E%2E", ".": "/v1/chats/%2E", "a/b": "/v1/chats/a%2Fb", "%2F": "/v1/chats/%252F", "ü?#": "/v1/chats/%C3%BC%3F%23",
	} {
		d := daemonThat(t, func(w http.ResponseWriter, r *http.Request) {
			if r.RequestURI != want {
				t.Errorf("chat %q is asked for at %s, want %s", id, r.RequestURI, want)
			}
			io.WriteString(w, "{}")
		})
		if _, err := d.GetChat(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
}

// What a request holds that cannot be sent is refused here.
func TestApplyTooLarge(t *testing.T) {
	d := daemonThat(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	text := strings.Repeat("x", client.MaxEditsBody)
	err := d.Apply(t.Context(), []model.Edit{{Op: model.ChatDraft, ID: "c", Text: &text}})
	wantCode(t, err, client.CodeTooLarge)
	wantCode(t, d.Apply(t.Context(), make([]model.Edit, client.MaxEdits+1)), client.CodeTooLarge)
}

func TestEventsParsed(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		ids          []uint64
		want         client.Code
	}{
		{"plain", ": hi\n\nid: 1\nevent: chat\ndata: {\"id\":1,\"kind\":\"chat\"}\n\n: beat\n\ndata:{\"id\":2,\"kind\":\"x\",\"new\":1}\n\n", []uint64{1, 2}, client.CodeUnreachable},
		{"carriage returns", "event: chat\r\ndata: {\"id\":1}\r\n\r\n", []uint64{1}, client.CodeUnreachable},
		{"data in two lines", "data: {\"id\":\ndata: 3}\n\n", []uint64{3}, client.CodeUnreachable},
		{"ends in the middle", "data: {\"id\":1}\n\nevent: chat\ndata: {\"id\":2}\n", []uint64{1}, client.CodeUnreachable},
		{"empty", "", nil, client.CodeUnreachable},
		{"problem", "data: {\"id\":1}\n\nevent: problem\ndata: {\"code\":\"damaged\",\"detail\":\"d\"}\n\ndata: {\"id\":2}\n\n", []uint64{1}, client.CodeDamaged},
		{"not JSON", "data: x\n\n", nil, client.CodeInternal},
		{"problem that is not JSON", "event: problem\ndata: x\n\n", nil, client.CodeInternal},
		{"line without an end", "data: " + strings.Repeat("x", 2<<20), nil, client.CodeTooLarge},
		{"event without an end", strings.Repeat("data: "+strings.Repeat("x", 1<<19)+"\n", 8), nil, client.CodeTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := daemonThat(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, c.stream) })
			var ids []uint64
			var last error
			for e, err := range d.Events(t.Context(), 0) {
				if last != nil {
					t.Fatalf("something follows the error %v", last)
				}
				if last = err; err == nil {
					ids = append(ids, e.ID)
				}
			}
			wantCode(t, last, c.want)
			if len(ids) != len(c.ids) || len(ids) > 0 && ids[len(ids)-1] != c.ids[len(c.ids)-1] {
				t.Errorf("events %v, want %v", ids, c.ids)
			}
		})
	}
}

// A sequence that is never looped over ends with its context: goleak sees.
func TestEventsNotUsed(t *testing.T) {
	entered := make(chan struct{})
	ended := make(chan struct{})
	d := daemonThat(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		close(entered)
		<-r.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	d.Events(ctx, 0)
	<-entered
	cancel()
	<-ended
}

func TestCodeOf(t *testing.T) {
	coded := client.Errorf(client.CodeDamaged, "read: %w", io.ErrUnexpectedEOF)
	if !errors.Is(coded, io.ErrUnexpectedEOF) || coded.Error() != "read: unexpected EOF" {
		t.Errorf("%v", coded)
	}
	wantCode(t, nil, "")
	wantCode(t, io.EOF, client.CodeInternal)
	wantCode(t, errors.Join(io.EOF, coded), client.CodeDamaged)
	if s := client.Code("of a newer daemon").Status(); s != 500 {
		t.Errorf("status %d", s)
	}
}
