package localapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// route is one operation of the interface, as openapi.yaml names it.
type route struct {
	method, path string
	query        []string // the query parameters that it takes
	handle       http.HandlerFunc
}

// routes are all operations.
func (s *server) routes() []route {
	return []route{
		{http.MethodGet, "/healthz", nil, s.healthz},
		{http.MethodGet, "/readyz", nil, s.readyz},
		{http.MethodPost, "/v1/edits", nil, s.edits},
		{http.MethodGet, "/v1/chats", nil, s.listChats},
		{http.MethodGet, "/v1/chats/{id}", nil, s.getChat},
		{http.MethodGet, "/v1/contacts", nil, s.listContacts},
		{http.MethodGet, "/v1/contacts/{id}", nil, s.getContact},
		{http.MethodGet, "/v1/settings", nil, s.listSettings},
		{http.MethodGet, "/v1/labels", nil, s.listLabels},
		{http.MethodGet, "/v1/devices", nil, s.listDevices},
		{http.MethodGet, "/v1/state", nil, s.state},
		{http.MethodGet, "/v1/status", nil, s.status},
		{http.MethodPost, "/v1/verify", nil, s.verify},
		{http.MethodGet, "/v1/events", []string{"after"}, s.events},
		{http.MethodPost, "/v1/invites", nil, s.openInvite},
		{http.MethodGet, "/v1/invites/{id}", nil, s.awaitInvite},
		{http.MethodDelete, "/v1/invites/{id}", nil, s.cancelInvite},
		{http.MethodPost, "/v1/invites/{id}/confirm", nil, s.confirmInvite},
		{http.MethodDelete, "/v1/devices/{id}", nil, s.removeDevice},
		{http.MethodPost, "/v1/devices/{id}/readd", nil, s.readdDevice},
		{http.MethodGet, "/v1/removals", nil, s.listRemovals},
		{http.MethodPost, "/v1/recover", nil, s.recover},
		{http.MethodPost, "/v1/words", nil, s.words},
		{http.MethodPost, "/v1/rotate", nil, s.rotate},
		{http.MethodPost, "/v1/backup", nil, s.backup},
		{http.MethodPost, "/v1/lock", nil, s.lock},
		{http.MethodPost, "/v1/unlock", nil, s.unlock},
	}
}

// ServeHTTP finds the operation. http.ServeMux would not do: it redirects where
// a path has empty segments, cannot give an id that is only a slash, answers
// its own refusals in plain text, and lets HEAD into an event stream.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	var allowed []string
	for _, rt := range s.table {
		id, ok := rt.match(path)
		if !ok {
			continue
		}
		if rt.method != r.Method {
			allowed = append(allowed, rt.method)
			continue
		}
		if err := rt.checkQuery(r.URL.RawQuery); err != nil {
			s.fail(w, r, err)
			return
		}
		r.SetPathValue("id", id)
		rt.handle(w, r)
		return
	}
	if len(allowed) == 0 {
		s.fail(w, r, client.Errorf(client.CodeNotFound, "%s %s: no such path", r.Method, path))
		return
	}
	methods := strings.Join(allowed, ", ")
	w.Header().Set("Allow", methods)
	s.failAs(w, r, http.StatusMethodNotAllowed, client.Errorf(client.CodeBadRequest, "%s %s: the path takes %s", r.Method, path, methods))
}

// match compares an escaped path with that of the route, segment by segment,
// and returns the id in it. An id is unescaped after the path was split, so
// that it may hold anything, and is never empty.
func (rt route) match(escaped string) (id string, ok bool) {
	want, got := strings.Split(rt.path, "/"), strings.Split(escaped, "/")
	if len(want) != len(got) {
		return "", false
	}
	for i, segment := range got {
		if want[i] == "{id}" {
			unescaped, err := url.PathUnescape(segment)
			if err != nil || unescaped == "" {
				return "", false
			}
			id = unescaped
		} else if segment != want[i] {
			return "", false
		}
	}
	return id, true
}

// checkQuery refuses a parameter that the route does not take, so that a
// misspelt one is not silently without effect.
func (rt route) checkQuery(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return client.Errorf(client.CodeBadRequest, "%s %s: query: %w", rt.method, rt.path, err)
	}
	for name, values := range query {
		if !slices.Contains(rt.query, name) || len(values) != 1 {
			return client.Errorf(client.CodeBadRequest, "%s %s: query parameter %q is unknown or given twice", rt.method, rt.path, name)
		}
	}
	return nil
}
