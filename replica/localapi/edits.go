package localapi

import (
	"bytes"
	"context"
	"net/http"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// applied is the answer to edits.
type applied struct {
	Applied int `json:"applied"` // how many were given; one that was in effect already counts
}

// edits applies one edit or an array of them, all or none.
func (s *server) edits(w http.ResponseWriter, r *http.Request) {
	release, err := s.admitBulk(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer release()
	body, err := s.readBody(w, r, client.MaxEditsBody)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.performOnce(w, r, body, func(ctx context.Context) (outcome, error) {
		edits, err := decodeEdits(body)
		if err != nil {
			return outcome{}, err
		}
		if err := s.api.Apply(ctx, edits); err != nil {
			return outcome{}, err
		}
		return outcomeOf(http.StatusOK, applied{len(edits)})
	})
}

// admitBulk bounds the memory that large bodies take together.
func (s *server) admitBulk(r *http.Request) (release func(), err error) {
	if 0 <= r.ContentLength && r.ContentLength <= largeBody {
		return func() {}, nil
	}
	select {
	case s.bulk <- struct{}{}:
		return func() { <-s.bulk }, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-stopping(r.Context()):
		return nil, errStopping
	}
}

// decodeEdits reads the body of a request: an array of edits, or one.
func decodeEdits(body []byte) ([]model.Edit, error) {
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		edits := make([]model.Edit, 1)
		return edits, decodeStrict(body, &edits[0])
	}
	var edits []model.Edit
	if err := decodeStrict(body, &edits); err != nil {
		return nil, err
	}
	if edits == nil {
		return nil, client.Errorf(client.CodeBadRequest, "body: want an edit or an array of edits, got null")
	}
	return edits, nil
}
