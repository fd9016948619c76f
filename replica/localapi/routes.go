package localapi

import (
	"net/http"
	"net/url"
	"path"
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
	}
}

// methods returns the methods of each path, for the header Allow.
func (s *server) methods() map[string]string {
	methods := make(map[string]string)
	for _, rt := range s.routes() {
		if methods[rt.path] != "" {
			methods[rt.path] += ", "
		}
		methods[rt.path] += rt.method
	}
	return methods
}

// guard refuses what no operation takes, so that a misspelt parameter is not
// silently without effect, and HEAD, which would hold an event stream open.
func (s *server) guard(rt route) http.HandlerFunc {
	wrong := s.wrongMethod(s.methods()[rt.path])
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != rt.method {
			wrong(w, r)
			return
		}
		if err := rt.checkQuery(r.URL.RawQuery); err != nil {
			s.fail(w, r, err)
			return
		}
		rt.handle(w, r)
	}
}

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

func (s *server) wrongMethod(allowed string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allowed)
		s.failAs(w, r, http.StatusMethodNotAllowed,
			client.Errorf(client.CodeBadRequest, "%s %s: the path takes %s", r.Method, r.URL.EscapedPath(), allowed))
	}
}

func (s *server) notFound(w http.ResponseWriter, r *http.Request) {
	s.fail(w, r, client.Errorf(client.CodeNotFound, "%s %s: no such path", r.Method, r.URL.EscapedPath()))
}

// canonicalPath keeps away from the mux what it would answer with a redirect:
// paths with empty or dot segments.
func canonicalPath(mux http.Handler, notFound http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.EscapedPath()
		if !strings.HasPrefix(p, "/") || path.Clean(p) != p || r.Method == http.MethodConnect {
			notFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}
