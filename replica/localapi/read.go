package localapi

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// list is the answer of a listing: an object, so that fields can be added.
// An absent list is shown as an empty one.
func list[E any](name string, elements []E) map[string][]E {
	return map[string][]E{name: orEmpty(elements)}
}

func orEmpty[E any](elements []E) []E {
	if elements == nil {
		return []E{}
	}
	return elements
}

func (s *server) listChats(w http.ResponseWriter, r *http.Request) {
	chats, err := s.api.ListChats(r.Context())
	s.answer(w, r, list("chats", chats), err)
}

func (s *server) getChat(w http.ResponseWriter, r *http.Request) {
	chat, err := s.api.GetChat(r.Context(), r.PathValue("id"))
	s.answer(w, r, chat, err)
}

func (s *server) listContacts(w http.ResponseWriter, r *http.Request) {
	contacts, err := s.api.ListContacts(r.Context())
	s.answer(w, r, list("contacts", client.WithFields(contacts)), err)
}

func (s *server) getContact(w http.ResponseWriter, r *http.Request) {
	contact, err := s.api.GetContact(r.Context(), r.PathValue("id"))
	s.answer(w, r, client.WithFields([]model.Contact{contact})[0], err)
}

func (s *server) listSettings(w http.ResponseWriter, r *http.Request) {
	settings, err := s.api.ListSettings(r.Context())
	s.answer(w, r, list("settings", settings), err)
}

func (s *server) listLabels(w http.ResponseWriter, r *http.Request) {
	labels, err := s.api.ListLabels(r.Context())
	s.answer(w, r, list("labels", labels), err)
}

func (s *server) listDevices(w http.ResponseWriter, r *http.Request) {
	devices, err := s.api.ListDevices(r.Context())
	travelling := make([]client.Device, len(devices))
	for i, d := range devices {
		travelling[i] = client.DeviceOf(d)
	}
	s.answer(w, r, list("devices", travelling), err)
}

// state streams, because it is the one answer that grows with the account. A
// fault in the middle cuts the connection: the status is sent by then.
func (s *server) state(w http.ResponseWriter, r *http.Request) {
	state, err := s.api.State(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := client.EncodeState(deadlineWriter{s, w}, state); err != nil {
		if r.Context().Err() == nil {
			s.Log.Error("local api: state", "error", err)
		}
		cut(w)
	}
}

// deadlineWriter gives each piece of a long answer its own time.
type deadlineWriter struct {
	s *server
	w http.ResponseWriter
}

var _ io.Writer = deadlineWriter{}

func (d deadlineWriter) Write(p []byte) (int, error) {
	d.s.writeDeadline(d.w)
	return d.w.Write(p)
}

func (s *server) status(w http.ResponseWriter, r *http.Request) {
	status, err := s.api.Status(r.Context())
	status.Peers = orEmpty(status.Peers)
	s.answer(w, r, status, err)
}

func (s *server) verify(w http.ResponseWriter, r *http.Request) {
	if err := s.readJSON(w, r, smallBody, &struct{}{}); err != nil {
		s.fail(w, r, err)
		return
	}
	v, err := s.api.Verify(r.Context())
	v.Problems, v.Peers = orEmpty(v.Problems), orEmpty(v.Peers)
	s.answer(w, r, v, err)
}

// healthz says that the process answers.
func (s *server) healthz(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, map[string]string{"status": "ok"}, nil)
}

// readyTimeout is how long a replica may take to give its status and still
// count as ready.
const readyTimeout = 5 * time.Second

// readyz says that the replica behind it answers too.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	_, err := s.api.Status(ctx)
	s.answer(w, r, map[string]string{"status": "ready"}, err)
}
