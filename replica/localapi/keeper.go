package localapi

import (
	"context"
	"io"
	"net/http"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// withKeeper performs a change of the account.
func (s *server) withKeeper(w http.ResponseWriter, r *http.Request, perform func(context.Context, client.Keeper) (outcome, error)) {
	keeper, err := s.needKeeper()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.performSmall(w, r, &struct{}{}, func(ctx context.Context) (outcome, error) { return perform(ctx, keeper) })
}

func (s *server) needKeeper() (client.Keeper, error) {
	if s.Keeper == nil {
		return nil, client.Errorf(client.CodeUnreachable, "this daemon does not manage the account")
	}
	return s.Keeper, nil
}

func (s *server) removeDevice(w http.ResponseWriter, r *http.Request) {
	s.withKeeper(w, r, func(ctx context.Context, k client.Keeper) (outcome, error) {
		removal, err := k.RemoveDevice(ctx, r.PathValue("id"))
		if err != nil {
			return outcome{}, err
		}
		return outcomeOf(http.StatusOK, removal)
	})
}

func (s *server) readdDevice(w http.ResponseWriter, r *http.Request) {
	s.withKeeper(w, r, func(ctx context.Context, k client.Keeper) (outcome, error) {
		device, err := k.ReaddDevice(ctx, r.PathValue("id"))
		if err != nil {
			return outcome{}, err
		}
		return outcomeOf(http.StatusOK, client.DeviceOf(device))
	})
}

// removals is the answer that lists them.
type removals struct {
	Removals []model.Removal `json:"removals"`
}

func (s *server) listRemovals(w http.ResponseWriter, r *http.Request) {
	keeper, err := s.needKeeper()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	all, err := keeper.ListRemovals(r.Context())
	s.answer(w, r, removals{orEmpty(all)}, err)
}

// recover and words are not recorded under an idempotency key: the record
// would keep the words in memory.
func (s *server) recover(w http.ResponseWriter, r *http.Request) {
	s.withWords(w, r, func(k client.Keeper, given *client.Recovery) (any, error) {
		all, err := k.Recover(r.Context(), given.Words, given.Devices)
		return removals{orEmpty(all)}, err
	})
}

func (s *server) words(w http.ResponseWriter, r *http.Request) {
	s.withWords(w, r, func(k client.Keeper, given *client.Recovery) (any, error) {
		words, err := k.ReplaceWords(r.Context(), given.Words, given.NewWords)
		return list("words", words), err
	})
}

func (s *server) withWords(w http.ResponseWriter, r *http.Request, perform func(client.Keeper, *client.Recovery) (any, error)) {
	var given client.Recovery
	keeper, err := s.needKeeper()
	if err == nil {
		err = s.readJSON(w, r, smallBody, &given)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer, err := perform(keeper, &given)
	s.answer(w, r, answer, err)
}

func (s *server) rotate(w http.ResponseWriter, r *http.Request) {
	s.withKeeper(w, r, func(ctx context.Context, k client.Keeper) (outcome, error) {
		return outcome{status: http.StatusNoContent}, k.Rotate(ctx)
	})
}

// backup streams. A fault in the middle cuts the connection.
func (s *server) backup(w http.ResponseWriter, r *http.Request) {
	keeper, err := s.needKeeper()
	if err == nil {
		err = s.readJSON(w, r, smallBody, &struct{}{})
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	to := &lateHeader{s: s, w: w}
	switch err := keeper.Backup(r.Context(), to); {
	case err != nil && to.begun:
		s.Log.Error("local api: backup", "error", err)
		cut(w)
	case err != nil:
		s.fail(w, r, err)
	}
}

// lateHeader answers with success at the first byte, so that what fails before
// is still told as a problem.
type lateHeader struct {
	s     *server
	w     http.ResponseWriter
	begun bool
}

var _ io.Writer = (*lateHeader)(nil)

func (l *lateHeader) Write(p []byte) (int, error) {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "application/octet-stream")
		l.w.Header().Set("Cache-Control", "no-store")
	}
	return deadlineWriter{l.s, l.w}.Write(p)
}
