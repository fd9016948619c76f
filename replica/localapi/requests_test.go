package localapi_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi"
	"github.com/starling-sync/starling/replica/localapi/apitest"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// wantProblem checks an answer that is no success, and returns its detail.
func wantProblem(t *testing.T, r *http.Response, body string, status int, code client.Code) string {
	t.Helper()
	var p client.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%s %q: %v", r.Status, body, err)
	}
	want := client.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: p.Detail, Code: code}
	if p != want || r.StatusCode != status || p.Detail == "" {
		t.Errorf("status %d, problem %+v, want %d, %+v", r.StatusCode, p, status, want)
	}
	if media := r.Header.Get("Content-Type"); media != client.ProblemType {
		t.Errorf("Content-Type %q", media)
	}
	return p.Detail
}

// Bodies that must be refused, and what the refusal must name.
func TestStrictBodies(t *testing.T) {
	d := start(t, nil)
	deep := strings.Repeat(`[`, 65) + strings.Repeat(`]`, 65)
	for _, c := range []struct{ name, body, says string }{
		{"empty", ``, "body: not JSON"},
		{"not JSON", `{"op":}`, "at byte 7"},
		{"null", `null`, "got null"},
		{"text", `"chat.unread"`, "want an array, got string"},
		{"number", `12`, "want an array, got number"},
		{"unknown field", `{"op":"chat.unread","id":"c","colour":1}`, `body: unknown field "colour"`},
		{"unknown field in an array", `[{"op":"chat.unread","id":"c"},{"idd":"c"}]`, `body[1]: unknown field "idd"`},
		{"unknown field inside", `[{"op":"contact.set","id":"k","contact":{"add":{"phones":[{"value":"1","kind":"x"}]}}}]`, `body[0].contact.add.phones[0]: unknown field "kind"`},
		{"unknown field in a position", `{"op":"chat.read","id":"c","at":{"time":1,"id":"m","x":1}}`, `body.at: unknown field "x"`},
		{"other case", `{"op":"chat.unread","ID":"c"}`, `unknown field "ID"`},
		{"field twice", `{"op":"chat.unread","id":"c","id":"d"}`, `field "id" twice`},
		{"field twice by escapes", `{"op":"chat.unread","id":"c","\u0069d":"d"}`, `field "id" twice`},
		{"field twice in a map", `{"op":"contact.set","id":"c","contact":{"fields":{"name":"a","name":"b"}}}`, `body.contact.fields: field "name" twice`},
		{"trailing data", `{"op":"chat.unread","id":"c"} {"op":"chat.unread","id":"d"}`, "after top-level value"},
		{"trailing comma", `[{"op":"chat.unread","id":"c"},]`, "body: not JSON"},
		{"wrong type", `{"op":"chat.unread","id":7}`, `field "id": want a string, got number`},
		{"wrong type inside", `{"op":"chat.read","id":"c","at":[]}`, `field "at": want an object, got array`},
		{"wrong time", `{"op":"chat.mute","id":"c","until":"tomorrow"}`, "tomorrow"},
		{"time in nanoseconds", `{"op":"chat.mute","id":"c","until":1769851800000000000}`, "outside the years"},
		{"array of numbers", `[1,2]`, "want an object, got number"},
		{"array of null", `[null]`, "no such operation"},
		{"not UTF-8", "{\"op\":\"chat.unread\",\"id\":\"\xff\"}", "UTF-8"},
		{"half a surrogate pair", `{"op":"chat.unread","id":"\ud83d"}`, "body.id: half of a surrogate pair"},
		{"wrong half", `{"op":"chat.unread","id":"\udc26\ud83d"}`, "surrogate"},
		{"pair that is none", `{"op":"chat.unread","id":"\ud83d\u0041"}`, "surrogate"},
		{"half in a key", `{"\ud83d":1}`, "surrogate"},
		{"too deep", `{"op":"setting.set","id":"k","scope":"account","value":` + deep + `}`, "nested deeper than 64"},
		{"abysmal", strings.Repeat(`[`, 100_000), "body: not JSON"},
		{"no such operation", `{"op":"chat.paint","id":"c"}`, "chat.paint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			response, body := d.do(t, "POST", "/v1/edits", c.body)
			if detail := wantProblem(t, response, body, 400, client.CodeBadRequest); !strings.Contains(detail, c.says) {
				t.Errorf("the problem says %q, want something with %q", detail, c.says)
			}
		})
	}
	if state, _ := d.State(t.Context()); len(state.Chats)+len(state.Contacts)+len(state.Settings) != 0 {
		t.Errorf("a refused body left %+v", state)
	}
}

// Bodies that look odd and are right.
func TestBodiesTaken(t *testing.T) {
	d := start(t, nil)
	for _, c := range []struct{ body, answer string }{
		{` {"op":"chat.unread","id":"c"} `, `{"applied":1}`},
		{"\r\n\t[ {\"op\" : \"chat.unread\" , \"id\":\"c\" } , {\"op\":\"chat.unread\",\"id\":\"d\"}\n]\n", `{"applied":2}`},
		{`[]`, `{"applied":0}`},
		{`[ ]`, `{"applied":0}`},
		{`{"op":"chat.unread","id":"\ud83d\udc26 \ufffd \\ud83d"}`, `{"applied":1}`},
		{"{\"op\":\"chat.unread\",\"id\":\"\ufffd\"}", `{"applied":1}`},
		{`{"op":"setting.set","id":"k","scope":"account","value":{"op":1,"Op":[true,false,null,-1.5e3,"}]\""]}}`, `{"applied":1}`},
	} {
		response, body := d.do(t, "POST", "/v1/edits", c.body)
		if response.StatusCode != 200 || strings.TrimSpace(body) != c.answer {
			t.Errorf("%s gives %s %s, want %s", c.body, response.Status, body, c.answer)
		}
	}
	if _, err := d.GetChat(t.Context(), "\U0001F426 \ufffd \\ud83d"); err != nil {
		t.Errorf("the id with escapes: %v", err)
	}
}

func TestContentType(t *testing.T) {
	d := start(t, nil)
	edit := `{"op":"chat.unread","id":"c"}`
	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/jsonp", "a/b/c"} {
		response, body := d.do(t, "POST", "/v1/edits", edit, "Content-Type", media)
		wantProblem(t, response, body, 415, client.CodeBadRequest)
	}
	for _, media := range []string{"application/json", "Application/JSON", "application/json; charset=UTF-8"} {
		if response, body := d.do(t, "POST", "/v1/edits", edit, "Content-Type", media); response.StatusCode != 200 {
			t.Errorf("%s gives %s %s", media, response.Status, body)
		}
	}
}

func TestRefusedRequests(t *testing.T) {
	d := start(t, nil)
	for _, c := range []struct {
		method, target, body string
		status               int
		code                 client.Code
		allow                string
	}{
		{"GET", "/", "", 404, client.CodeNotFound, ""},
		{"GET", "/v1", "", 404, client.CodeNotFound, ""},
		{"GET", "/v1/", "", 404, client.CodeNotFound, ""},
		{"GET", "/v2/chats", "", 404, client.CodeNotFound, ""},
		{"GET", "//v1/chats", "", 404, client.CodeNotFound, ""},
		{"GET", "/v1//chats", "", 404, client.CodeNotFound, ""},
		{"GET", "/v1/../v1/chats", "", 404, client.CodeNotFound, ""},
		{"GET", "/v1/chats/", "", 404, client.CodeNotFound, ""},
		{"GET", "/v1/chats/a/b", "", 404, client.CodeNotFound, ""},
		{"GET", "/v1/chats/c", "", 404, client.CodeNotFound, ""},
		{"GET", "/metrics", "", 404, client.CodeNotFound, ""},
		{"POST", "/v1/chats", "{}", 405, client.CodeBadRequest, "GET"},
		{"DELETE", "/v1/chats/c", "", 405, client.CodeBadRequest, "GET"},
		{"GET", "/v1/edits", "", 405, client.CodeBadRequest, "POST"},
		{"GET", "/v1/verify", "", 405, client.CodeBadRequest, "POST"},
		{"PUT", "/v1/invites/x", "{}", 405, client.CodeBadRequest, "GET, DELETE"},
		{"OPTIONS", "/v1/events", "", 405, client.CodeBadRequest, "GET"},
		{"BREW", "/healthz", "", 405, client.CodeBadRequest, "GET"},
		{"GET", "/v1/chats?limit=1", "", 400, client.CodeBadRequest, ""},
		{"GET", "/v1/chats?%zz", "", 400, client.CodeBadRequest, ""},
		{"GET", "/v1/events?afer=1", "", 400, client.CodeBadRequest, ""},
		{"GET", "/v1/events?after=1&after=2", "", 400, client.CodeBadRequest, ""},
		{"GET", "/v1/events?after=-1", "", 400, client.CodeBadRequest, ""},
		{"GET", "/v1/events?after=1e3", "", 400, client.CodeBadRequest, ""},
		{"GET", "/v1/events?after=99999999999999999999", "", 400, client.CodeBadRequest, ""},
		{"POST", "/v1/verify", `{"fast":true}`, 400, client.CodeBadRequest, ""},
		{"POST", "/v1/verify", `[]`, 400, client.CodeBadRequest, ""},
		{"POST", "/v1/invites", `{"name":"x"}`, 400, client.CodeBadRequest, ""},
		{"POST", "/v1/invites/x/confirm", `{"digits":123456}`, 400, client.CodeBadRequest, ""},
		{"POST", "/v1/invites/x/confirm", `{"digits":"` + strings.Repeat("1", 4096) + `"}`, 413, client.CodeTooLarge, ""},
		{"POST", "/v1/invites/x/confirm", `{"digits":"123456"}`, 404, client.CodeNotFound, ""},
	} {
		response, body := d.do(t, c.method, c.target, c.body)
		detail := wantProblem(t, response, body, c.status, c.code)
		if allow := response.Header.Get("Allow"); allow != c.allow {
			t.Errorf("%s %s: Allow %q, want %q (%s)", c.method, c.target, allow, c.allow, detail)
		}
	}
	response, _ := d.do(t, "HEAD", "/v1/events", "")
	if response.StatusCode != 405 {
		t.Errorf("HEAD gives %s", response.Status)
	}
}

// A body beyond the limit is refused by its length, and by counting where it
// gives none.
func TestHugeBodies(t *testing.T) {
	d := start(t, nil)
	for _, known := range []bool{true, false} {
		conn, err := net.Dial("unix", d.socket)
		if err != nil {
			t.Fatal(err)
		}
		length := fmt.Sprintf("Content-Length: %d", client.MaxEditsBody+1)
		if !known {
			length = "Transfer-Encoding: chunked"
		}
		fmt.Fprintf(conn, "POST /v1/edits HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s\r\n\r\n", length)
		if !known {
			chunk := append(bytes.Repeat([]byte(" "), 1<<20), "\r\n"...)
			for range client.MaxEditsBody>>20 + 1 {
				fmt.Fprintf(conn, "%x\r\n", 1<<20)
				if _, err := conn.Write(chunk); err != nil {
					break // refused already
				}
			}
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		wantProblem(t, response, string(body), 413, client.CodeTooLarge)
		conn.Close()
	}
	many := "[" + strings.TrimSuffix(strings.Repeat("1,", client.MaxEdits+1), ",") + "]"
	response, body := d.do(t, "POST", "/v1/edits", many)
	wantProblem(t, response, body, 413, client.CodeTooLarge)
	wide := `{"op":"chat.unread","id":"c","colour":"` + strings.Repeat("x", 2<<20) + `"}`
	response, body = d.do(t, "POST", "/v1/edits", wide)
	wantProblem(t, response, body, 400, client.CodeBadRequest)
	if _, err := d.GetChat(t.Context(), "c"); client.CodeOf(err) != client.CodeNotFound {
		t.Errorf("a refused body was applied: %v", err)
	}
	long := strings.Repeat("x", 64<<10)
	response, _ = d.do(t, "GET", "/v1/chats/"+long, "")
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 64 KiB gives %s", response.Status)
	}
}

// As many edits as are allowed are taken.
func TestMostEdits(t *testing.T) {
	d := start(t, nil)
	edits := make([]model.Edit, client.MaxEdits)
	for i := range edits {
		edits[i] = model.Edit{Op: model.ChatUnread, ID: fmt.Sprint(i % 100)}
	}
	if err := d.client.Apply(t.Context(), edits); err != nil {
		t.Fatal(err)
	}
	if chats, err := d.client.ListChats(t.Context()); err != nil || len(chats) != 100 {
		t.Errorf("%d chats, error %v", len(chats), err)
	}
}

// A body that does not come is given up, in virtual time.
func TestBodyThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, dial := pipeServer(t, apitest.New(nil), &localapi.Config{ReadTimeout: time.Minute})
		defer stop()
		conn := dial()
		began := time.Now()
		fmt.Fprint(conn, "POST /v1/edits HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		wantProblem(t, response, string(body), 400, client.CodeBadRequest)
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("given up after %v", waited)
		}
	})
}

// A failure of the replica keeps its code; one without is internal.
func TestCodes(t *testing.T) {
	d := start(t, nil)
	edit := []model.Edit{{Op: model.ChatUnread, ID: "c"}}
	for _, code := range client.Codes() {
		d.Break(client.Errorf(code, "as %s", code))
		err := d.client.Apply(t.Context(), edit)
		wantCode(t, err, code)
		if err.Error() != "as "+string(code) {
			t.Errorf("%s says %q", code, err)
		}
		response, body := d.do(t, "POST", "/v1/edits", `{"op":"chat.unread","id":"c"}`)
		wantProblem(t, response, body, code.Status(), code)
	}
	odd := serve(t, oddAPI{apitest.New(nil)}, nil, nil)
	_, err := odd.client.ListChats(t.Context())
	wantCode(t, err, client.CodeInternal)
	response, body := odd.do(t, "GET", "/readyz", "")
	wantProblem(t, response, body, 500, client.CodeInternal)
}

// oddAPI is a replica with faults of its own.
type oddAPI struct{ *apitest.Replica }

var errOdd = errors.New("something odd")

func (oddAPI) ListChats(ctxT) ([]model.Chat, error) { return nil, errOdd }

func (oddAPI) Status(ctxT) (model.Status, error) { return model.Status{}, errOdd }

// State has a setting that cannot be encoded, behind enough to fill buffers.
func (oddAPI) State(ctxT) (model.State, error) {
	s := model.State{Settings: []model.Setting{{Key: "k", Value: json.RawMessage(`{`)}}}
	for i := range 10_000 {
		s.Chats = append(s.Chats, model.Chat{ID: fmt.Sprint(i)})
	}
	return s, nil
}

// A state that cannot be finished is cut off, not taken for a whole one.
func TestStateCut(t *testing.T) {
	d := serve(t, oddAPI{apitest.New(nil)}, nil, nil)
	_, err := d.client.State(t.Context())
	wantCode(t, err, client.CodeUnreachable)
	r, _ := d.send(t, "GET /v1/state HTTP/1.1\r\nHost: x\r\n\r\n")
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, response.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the answer ends with %v, want it cut off", err)
	}
}

// The state of the wire is the canonical one, byte for byte.
func TestStateBytes(t *testing.T) {
	d := start(t, nil)
	for _, id := range apitest.HostileIDs {
		if err := d.Apply(t.Context(), []model.Edit{{Op: model.ChatUnread, ID: id}}); err != nil {
			t.Fatal(err)
		}
	}
	state, err := d.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := client.EncodeState(&want, state); err != nil {
		t.Fatal(err)
	}
	response, body := d.do(t, "GET", "/v1/state", "")
	if body != want.String() || response.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s\n%s\nwant\n%s", response.Header, body, want.String())
	}
}

// The handler also works where a server gives no deadlines.
func TestWithoutServe(t *testing.T) {
	h := localapi.New(apitest.New(nil), nil, nil)
	for _, path := range []string{"/healthz", "/readyz", "/v1/state", "/v1/devices"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
