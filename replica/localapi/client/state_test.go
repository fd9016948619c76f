package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func encode(t *testing.T, s model.State) string {
	t.Helper()
	var buf bytes.Buffer
	if err := client.EncodeState(&buf, s); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestEncodeState(t *testing.T) {
	deep := strings.Repeat("[", 32) + strings.Repeat("]", 32)
	s := model.State{
		Account: "a",
		Chats: []model.Chat{
			{ID: "\U0001F426", MutedUntil: model.Forever},
			{ID: "\u2028<&>\x7f", Read: &model.Position{Time: 1, ID: "m"}, Labels: []string{"z", "b"}, Drafts: []model.Draft{{ID: "d", Text: "a\n\u0001\"\\"}}},
		},
		Contacts: []model.Contact{{ID: "k2", Fields: model.ContactFields{"note": "n", "name": "m"}}, {ID: "k1"}},
		Labels:   []model.Label{{ID: "l", Name: "L"}},
		Settings: []model.Setting{
			{Key: "b", Scope: "account", Value: json.RawMessage(deep)},
			{Key: "a", Scope: "platform:x", Value: json.RawMessage(` {"\ue000":1.0, "😀":2, "b":[1e2]} `)},
			{Key: "a", Scope: "account", Value: json.RawMessage(`null`)},
		},
	}
	want := `{"account":"a","chats":[` +
		`{"archived":false,"drafts":[{"id":"d","text":"a\n\u0001\"\\"}],"id":"` + "\u2028<&>\x7f" + `","labels":["z","b"],"marked_unread":false,"muted_until":null,"pinned":false,"read":{"id":"m","time":"1970-01-01T00:00:00.001Z"}},` +
		`{"archived":false,"drafts":[],"id":"` + "\U0001F426" + `","labels":[],"marked_unread":false,"muted_until":"forever","pinned":false}],` +
		`"contacts":[{"fields":{},"id":"k1"},{"fields":{"name":"m","note":"n"},"id":"k2"}],"devices":[],"labels":[{"id":"l","name":"L"}],` +
		`"settings":[{"key":"a","scope":"account","value":null},{"key":"a","scope":"platform:x","value":{"b":[100],"😀":2,"` + "\ue000" + `":1}},{"key":"b","scope":"account","value":` + deep + `}]}` + "\n"
	got := encode(t, s)
	if got != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
	if s.Chats[0].ID != "\U0001F426" || s.Contacts[1].Fields != nil {
		t.Error("the state that was given has changed")
	}
	var back model.State
	if err := json.Unmarshal([]byte(got), &back); err != nil || encode(t, back) != got {
		t.Errorf("read and written again: %v\n%s", err, encode(t, back))
	}
}

func TestEncodeEmptyState(t *testing.T) {
	const want = `{"account":"","chats":[],"contacts":[],"devices":[],"labels":[],"settings":[]}` + "\n"
	if got := encode(t, model.State{}); got != want {
		t.Errorf("got %s", got)
	}
}

func TestEncodeStateFails(t *testing.T) {
	for _, value := range []string{``, `{`, `1 2`, `{"a":1,"a":2}`} {
		s := model.State{Settings: []model.Setting{{Key: "k", Scope: "account", Value: json.RawMessage(value)}}}
		if err := client.EncodeState(io.Discard, s); err == nil || !strings.Contains(err.Error(), "setting k in account") {
			t.Errorf("value %q gives %v", value, err)
		}
	}
	full := errors.New("full")
	if err := client.EncodeState(failingWriter{full}, model.State{}); !errors.Is(err, full) {
		t.Errorf("a writer that fails gives %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
