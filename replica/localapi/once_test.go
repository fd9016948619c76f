package localapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi"
	"github.com/starling-sync/starling/replica/localapi/apitest"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// counting counts what is applied and can hold it up.
type counting struct {
	*apitest.Replica
	mu      sync.Mutex
	applied int
	entered chan struct{} // gets an element as an Apply begins, if not nil
	proceed chan struct{} // and is waited for, if not nil
}

func (c *counting) Apply(ctx context.Context, edits []model.Edit) error {
	if c.entered != nil {
		c.entered <- struct{}{}
		<-c.proceed
	}
	err := ctx.Err()
	if err == nil {
		err = c.Replica.Apply(ctx, edits)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.applied++
	}
	return err
}

func (c *counting) wantApplied(t *testing.T, want int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.applied != want {
		t.Errorf("applied %d times, want %d", c.applied, want)
	}
}

const oneEdit = `{"op":"chat.unread","id":"c"}`

// The same key and request is performed once and answered alike.
func TestKeyReplays(t *testing.T) {
	api := &counting{Replica: apitest.New(nil)}
	d := serve(t, api, api.Replica, nil)
	for i := range 3 {
		response, body := d.do(t, "POST", "/v1/edits", oneEdit, "Idempotency-Key", "k1")
		replayed := response.Header.Get("Idempotent-Replayed")
		if response.StatusCode != 200 || body != "{\"applied\":1}\n" || (replayed == "true") != (i > 0) {
			t.Errorf("time %d: %s %q, replayed %q", i, response.Status, body, replayed)
		}
	}
	api.wantApplied(t, 1)
	d.do(t, "POST", "/v1/edits", oneEdit)
	d.do(t, "POST", "/v1/edits", oneEdit)
	api.wantApplied(t, 3)

	first, body := d.do(t, "POST", "/v1/invites", "", "Idempotency-Key", "k2")
	again, body2 := d.do(t, "POST", "/v1/invites", "", "Idempotency-Key", "k2")
	if body != body2 || first.StatusCode != 201 || again.StatusCode != 201 || again.Header.Get("Location") != first.Header.Get("Location") {
		t.Errorf("two answers: %s %s, %s %s", first.Status, body, again.Status, body2)
	}
	location := first.Header.Get("Location")
	for range 2 {
		if response, _ := d.do(t, "DELETE", location, "", "Idempotency-Key", "k3"); response.StatusCode != http.StatusNoContent {
			t.Errorf("DELETE %s: %s", location, response.Status)
		}
	}
}

func TestKeyReused(t *testing.T) {
	api := &counting{Replica: apitest.New(nil)}
	d := serve(t, api, api.Replica, nil)
	d.do(t, "POST", "/v1/edits", oneEdit, "Idempotency-Key", "k")
	response, body := d.do(t, "POST", "/v1/edits", oneEdit+" ", "Idempotency-Key", "k")
	wantProblem(t, response, body, 422, client.CodeKeyReused)
	response, body = d.do(t, "POST", "/v1/invites", "", "Idempotency-Key", "k")
	wantProblem(t, response, body, 422, client.CodeKeyReused)
	api.wantApplied(t, 1)
}

func TestKeyMalformed(t *testing.T) {
	d := start(t, nil)
	for _, key := range []string{"", "a b", "ü", strings.Repeat("k", 129)} {
		response, body := d.do(t, "POST", "/v1/edits", oneEdit, "Idempotency-Key", key)
		wantProblem(t, response, body, 400, client.CodeBadRequest)
	}
	if response, body := d.do(t, "POST", "/v1/edits", oneEdit, "Idempotency-Key", strings.Repeat("k", 128)); response.StatusCode != 200 {
		t.Errorf("the longest key: %s %s", response.Status, body)
	}
}

// What failed performed nothing and can be tried again with its key, also
// with another body.
func TestKeyOfFailure(t *testing.T) {
	api := &counting{Replica: apitest.New(nil)}
	d := serve(t, api, nil, nil)
	api.Break(client.Errorf(client.CodeDiskFull, "no room"))
	response, body := d.do(t, "POST", "/v1/edits", oneEdit, "Idempotency-Key", "k")
	wantProblem(t, response, body, 507, client.CodeDiskFull)
	api.Break(nil)
	response, body = d.do(t, "POST", "/v1/edits", `{"op":"chat.paint","id":"c"}`, "Idempotency-Key", "k")
	wantProblem(t, response, body, 400, client.CodeBadRequest)
	if response, body = d.do(t, "POST", "/v1/edits", oneEdit, "Idempotency-Key", "k"); response.StatusCode != 200 {
		t.Errorf("after the repair: %s %s", response.Status, body)
	}
	api.wantApplied(t, 1)
}

// The 1,024 newest keys are kept; failures do not push them out.
func TestKeyWindow(t *testing.T) {
	api := &counting{Replica: apitest.New(nil)}
	d := serve(t, api, nil, nil)
	for i := range 1024 {
		d.do(t, "POST", "/v1/edits", oneEdit, "Idempotency-Key", fmt.Sprint(i))
	}
	for i := range 10 {
		d.do(t, "POST", "/v1/edits", `{}`, "Idempotency-Key", fmt.Sprint("bad", i))
	}
	api.wantApplied(t, 1024)
	d.do(t, "POST", "/v1/edits", oneEdit, "Idempotency-Key", "1")
	api.wantApplied(t, 1024)
	d.do(t, "POST", "/v1/edits", oneEdit, "Idempotency-Key", "1024")
	api.wantApplied(t, 1025)
	d.do(t, "POST", "/v1/edits", oneEdit, "Idempotency-Key", "5")
	api.wantApplied(t, 1025)
	d.do(t, "POST", "/v1/edits", oneEdit, "Idempotency-Key", "0")
	api.wantApplied(t, 1026)
}

// Requests with one key at the same time are performed once.
func TestKeyAtOnce(t *testing.T) {
	api := &counting{Replica: apitest.New(nil)}
	d := serve(t, api, nil, nil)
	var done sync.WaitGroup
	for range 16 {
		done.Go(func() {
			if response, body := d.do(t, "POST", "/v1/edits", oneEdit, "Idempotency-Key", "k"); response.StatusCode != 200 {
				t.Errorf("%s %s", response.Status, body)
			}
		})
	}
	done.Wait()
	api.wantApplied(t, 1)
}

// A client that hangs up in the middle gets the outcome when it comes back
// with its key. Without one its request ends with it.
func TestKeyAfterHangUp(t *testing.T) {
	for key, want := range map[string]int{"k": 1, "": 0} {
		api := &counting{Replica: apitest.New(nil), entered: make(chan struct{}), proceed: make(chan struct{})}
		h := localapi.New(api, nil, nil)
		post := func(ctx context.Context) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(ctx, "POST", "/v1/edits", strings.NewReader(oneEdit))
			r.Header.Set("Content-Type", "application/json")
			if key != "" {
				r.Header.Set("Idempotency-Key", key)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		ctx, hangUp := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { post(ctx); close(done) }()
		<-api.entered
		hangUp()
		api.proceed <- struct{}{}
		<-done
		api.wantApplied(t, want)
		if key != "" {
			if w := post(t.Context()); w.Code != 200 || w.Header().Get("Idempotent-Replayed") != "true" {
				t.Errorf("the second answer is not the recorded one: %d %v", w.Code, w.Header())
			}
		}
	}
}

// A request under way when the daemon is stopped is finished and answered.
func TestStopFinishesEdits(t *testing.T) {
	api := &counting{Replica: apitest.New(nil), entered: make(chan struct{}), proceed: make(chan struct{})}
	d := serve(t, api, nil, nil)
	r, _ := d.post(t, oneEdit, "k")
	<-api.entered
	stopped := make(chan error)
	go func() { stopped <- d.stop() }()
	api.proceed <- struct{}{}
	response, err := http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != 200 {
		t.Errorf("answer %v, error %v", response, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	api.wantApplied(t, 1)
}
