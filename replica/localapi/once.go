package localapi

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// keyWindow is how many idempotency keys are remembered, maxKey how long one
// may be, in bytes.
const (
	keyWindow = 1024
	maxKey    = 128
)

// once remembers what requests with an idempotency key came to, for the last
// keys that succeeded or are under way. A request that failed performed
// nothing and is forgotten, so that it can be tried again with its key.
type once struct {
	limit int // read-only

	mu      sync.Mutex
	records map[string]*record
	order   []string // the keys of records, oldest first
}

// record is one request. outcome and ok are written before done is closed.
type record struct {
	print   [sha256.Size]byte // of the request that first used the key
	done    chan struct{}
	outcome outcome
	ok      bool
}

func newOnce(limit int) *once {
	return &once{limit: limit, records: make(map[string]*record)}
}

// do performs a request unless its key did so before. Of two at the same time
// with one key the second waits for the first.
func (o *once) do(ctx context.Context, key string, print [sha256.Size]byte, perform func() (outcome, error)) (result outcome, replayed bool, err error) {
	for {
		rec, mine := o.claim(key, print)
		if mine {
			result, err = o.perform(key, rec, perform)
			return result, false, err
		}
		if rec.print != print {
			return outcome{}, false, client.Errorf(client.CodeKeyReused, "idempotency key %q was used for another request", key)
		}
		select {
		case <-rec.done:
		case <-ctx.Done():
			return outcome{}, false, ctx.Err()
		}
		if rec.ok {
			return rec.outcome, true, nil
		}
	}
}

// claim returns the record of key, and whether the caller made it.
func (o *once) claim(key string, print [sha256.Size]byte) (*record, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if rec, ok := o.records[key]; ok {
		return rec, false
	}
	if len(o.order) == o.limit {
		delete(o.records, o.order[0])
		o.order = slices.Delete(o.order, 0, 1)
	}
	rec := &record{print: print, done: make(chan struct{})}
	o.records[key] = rec
	o.order = append(o.order, key)
	return rec, true
}

func (o *once) perform(key string, rec *record, perform func() (outcome, error)) (outcome, error) {
	defer close(rec.done)
	defer func() {
		if !rec.ok { // also after a panic
			o.forget(key, rec)
		}
	}()
	result, err := perform()
	rec.outcome, rec.ok = result, err == nil
	return result, err
}

// forget drops a record unless it has made way for another.
func (o *once) forget(key string, rec *record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.records[key] != rec {
		return
	}
	delete(o.records, key)
	i := slices.Index(o.order, key)
	o.order = slices.Delete(o.order, i, i+1)
}

// performOnce answers a write, heeding its Idempotency-Key. With a key the
// work goes on when the client hangs up, because its repetition will ask for
// the outcome.
func (s *server) performOnce(w http.ResponseWriter, r *http.Request, body []byte, perform func(context.Context) (outcome, error)) {
	key, err := keyOf(r)
	switch {
	case err != nil:
		s.fail(w, r, err)
		return
	case key == "":
		result, err := perform(r.Context())
		s.finish(w, r, result, err)
		return
	}
	ctx := context.WithoutCancel(r.Context())
	result, replayed, err := s.once.do(r.Context(), key, fingerprint(r, body), func() (outcome, error) { return perform(ctx) })
	if replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	s.finish(w, r, result, err)
}

// performSmall is performOnce of a request with a small body, read into v; it may
// be left out.
func (s *server) performSmall(w http.ResponseWriter, r *http.Request, v any, perform func(context.Context) (outcome, error)) {
	body, err := s.readBody(w, r, smallBody)
	if err == nil && len(body) > 0 {
		err = decodeStrict(body, v)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.performOnce(w, r, body, perform)
}

// keyOf returns the idempotency key of a request, "" for none.
func keyOf(r *http.Request) (string, error) {
	keys := r.Header.Values("Idempotency-Key")
	if len(keys) == 0 {
		return "", nil
	}
	unfit := func(c rune) bool { return c <= ' ' || c > '~' }
	if len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxKey || slices.ContainsFunc([]rune(keys[0]), unfit) {
		return "", client.Errorf(client.CodeBadRequest, "Idempotency-Key: want one of 1 to %d visible ASCII characters", maxKey)
	}
	return keys[0], nil
}

// fingerprint tells requests apart that share a key.
func fingerprint(r *http.Request, body []byte) [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %d\n", r.Method, r.URL.EscapedPath(), len(body))
	h.Write(body)
	return [sha256.Size]byte(h.Sum(nil))
}
