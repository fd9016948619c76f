package localapi

import (
	"context"
	"net/http"
	"net/url"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// joining is the answer to waiting at an invite.
type joining struct {
	ID   string `json:"id"`
	Name string `json:"name"` // that the new device gave itself
}

// confirmation is the body that confirms an invite.
type confirmation struct {
	Digits string `json:"digits"`
}

// needLinker returns the linker, or says that there is none.
func (s *server) needLinker() (client.Linker, error) {
	if s.linker == nil {
		return nil, client.Errorf(client.CodeUnreachable, "invites: this daemon runs without a network")
	}
	return s.linker, nil
}

// withLinker performs a write of the linker, with a body into v. Linking waits for
// people and other devices, so unlike an edit it ends when its client hangs up or
// the daemon stops.
func (s *server) withLinker(w http.ResponseWriter, r *http.Request, v any, perform func(context.Context, client.Linker) (outcome, error)) {
	linker, err := s.needLinker()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.performSmall(w, r, v, func(context.Context) (outcome, error) {
		ctx, cancel := untilStopping(r.Context())
		defer cancel()
		return perform(ctx, linker)
	})
}

func (s *server) openInvite(w http.ResponseWriter, r *http.Request) {
	s.withLinker(w, r, &struct{}{}, func(ctx context.Context, linker client.Linker) (outcome, error) {
		invitation, err := linker.Invite(ctx)
		if err != nil {
			return outcome{}, err
		}
		o, err := outcomeOf(http.StatusCreated, invitation)
		o.location = "/v1/invites/" + url.PathEscape(invitation.ID)
		return o, err
	})
}

// awaitInvite is a long poll: it answers once a device waits for its digits to
// be typed, or the invite has ended.
func (s *server) awaitInvite(w http.ResponseWriter, r *http.Request) {
	linker, err := s.needLinker()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	ctx, cancel := untilStopping(r.Context())
	defer cancel()
	name, err := linker.Await(ctx, r.PathValue("id"))
	s.answer(w, r, joining{r.PathValue("id"), name}, err)
}

func (s *server) confirmInvite(w http.ResponseWriter, r *http.Request) {
	var c confirmation
	s.withLinker(w, r, &c, func(ctx context.Context, linker client.Linker) (outcome, error) {
		device, err := linker.Confirm(ctx, r.PathValue("id"), c.Digits)
		if err != nil {
			return outcome{}, err
		}
		return outcomeOf(http.StatusOK, client.DeviceOf(device))
	})
}

func (s *server) cancelInvite(w http.ResponseWriter, r *http.Request) {
	s.withLinker(w, r, &struct{}{}, func(ctx context.Context, linker client.Linker) (outcome, error) {
		if err := linker.Cancel(ctx, r.PathValue("id")); err != nil {
			return outcome{}, err
		}
		return outcomeOf(http.StatusNoContent, nil)
	})
}
