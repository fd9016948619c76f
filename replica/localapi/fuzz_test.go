package localapi_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi"
	"github.com/starling-sync/starling/replica/localapi/apitest"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// FuzzEdits sends any body as edits. A refusal is a problem document that is
// no server error and changes nothing; what is taken leaves a state that can
// be written, and means the same when it is read by encoding/json alone.
func FuzzEdits(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[]`, `[{}]`, `null`, `{"op":"chat.unread","id":"c"}`,
		`[{"op":"chat.read","id":"c","at":{"time":"2026-01-31T09:30:00Z","id":"m"}},{"op":"chat.mute","id":"c","until":"forever"}]`,
		`{"op":"setting.set","id":"k","scope":"account","value":{"a":[1,2,{"b":null}],"\ud83d\udc26":-1e9}}`,
		`{"op":"contact.set","id":"k","contact":{"fields":{"name":"x"},"add":{"phones":[{"value":"1","label":"cell"}]},"remove":{"links":[]}}}`,
		`{"op":"chat.draft","id":"c","text":"a\u0000\\\"\ud83d"}`, `[[[[{"a":1}]]]]`, `{"op":"chat.unread","id":"c","id":"d"}`,
		"\xff", `{"op":"chat.pin","id":"c","after":"d"}`, `{"op":"label.set","id":"l","name":"x","color":"","order":"m"} x`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := apitest.New(nil)
		request := httptest.NewRequest("POST", "/v1/edits", bytes.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		localapi.New(r, nil, nil).ServeHTTP(w, request)
		state, err := r.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var written bytes.Buffer
		if err := client.EncodeState(&written, state); err != nil {
			t.Fatalf("the state cannot be written: %v", err)
		}
		if w.Code != 200 {
			refused(t, w, &written)
			return
		}
		if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
			body = append(append([]byte("["), body...), ']')
		}
		var edits []model.Edit
		if err := json.Unmarshal(body, &edits); err != nil {
			t.Fatalf("taken, but not JSON: %v", err)
		}
		again := apitest.New(nil)
		if err := again.Apply(t.Context(), edits); err != nil {
			t.Fatalf("taken, but refused in process: %v", err)
		}
		state, _ = again.State(t.Context())
		var want bytes.Buffer
		if err := client.EncodeState(&want, state); err != nil || want.String() != written.String() {
			t.Fatalf("the state is %s, want %s (error %v)", &written, &want, err)
		}
	})
}

func refused(t *testing.T, w *httptest.ResponseRecorder, state *bytes.Buffer) {
	t.Helper()
	var p client.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code < 400 || w.Code > 499 || p.Status != w.Code || p.Detail == "" {
		t.Fatalf("refused with %d %s", w.Code, w.Body)
	}
	fresh, err := apitest.New(nil).State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var empty bytes.Buffer
	if err := client.EncodeState(&empty, fresh); err != nil || state.String() != empty.String() {
		t.Fatalf("refused, but the state is %s", state)
	}
}
