package localapi

import (
	"context"
	"net/http"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// Locked returns the handler of a daemon whose keys are locked away: it lives,
// can be unlocked, and answers everything else with the code unlock.
func Locked(locker client.Locker, config *Config) http.Handler {
	c := config.withDefaults()
	c.Locker = locker
	s := &server{Config: c, once: newOnce(keyWindow)}
	s.table = s.routes()
	for i, rt := range s.table {
		switch rt.path {
		case "/healthz", "/v1/lock", "/v1/unlock":
		default:
			s.table[i].handle = s.locked
		}
	}
	return s
}

func (s *server) locked(w http.ResponseWriter, r *http.Request) {
	s.fail(w, r, client.Errorf(client.CodeUnlock, "this device is locked: unlock it first"))
}

// withLocker performs a change of the lock. It is not recorded under an
// idempotency key: a record would outlive what it opened.
func (s *server) withLocker(w http.ResponseWriter, r *http.Request, v any, perform func(context.Context, client.Locker) error) {
	err := s.readJSON(w, r, smallBody, v)
	if err == nil && s.Locker == nil {
		err = client.Errorf(client.CodeUnreachable, "this daemon cannot be locked")
	}
	if err == nil {
		err = perform(r.Context(), s.Locker)
	}
	s.finish(w, r, outcome{status: http.StatusNoContent}, err)
}

func (s *server) lock(w http.ResponseWriter, r *http.Request) {
	s.withLocker(w, r, &struct{}{}, func(ctx context.Context, l client.Locker) error { return l.Lock(ctx) })
}

func (s *server) unlock(w http.ResponseWriter, r *http.Request) {
	var key client.Key
	s.withLocker(w, r, &key, func(ctx context.Context, l client.Locker) error { return l.Unlock(ctx, key) })
}
