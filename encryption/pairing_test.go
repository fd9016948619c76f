package encryption

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestPairingLinks(t *testing.T) {
	p := newPairing(t, 1).untilDigits()
	r := p.a.Request()
	if r == nil || r.Name != "phone" || !bytes.Equal(r.SigningKey, p.joiner.keys.signingPublic()) {
		t.Fatalf("request %+v", r)
	}
	digits := p.n.Digits()
	if len(digits) != 6 || strings.Trim(digits, "0123456789") != "" {
		t.Fatalf("digits %q", digits)
	}
	if err := p.a.Confirm(p.now, " "+digits[:3]+"-"+digits[3:]+"\n"); err != nil {
		t.Fatal(err)
	}
	welcome := p.step(p.a.Welcome(sealWelcome(t, p.member, r)))
	finish := p.step(p.n.Next(p.now, welcome))
	if !p.n.Done() {
		t.Fatal("not done after a good welcome")
	}
	linked, err := p.joiner.Save(t.TempDir(), testKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.a.Finish(finish); err != nil {
		t.Fatal(err)
	}
	if linked.Account() != p.member.Account() || len(linked.Members()) != 2 ||
		linked.MembershipDigest() != p.member.MembershipDigest() {
		t.Errorf("linked to account %v with members %v", linked.Account(), linked.Members())
	}
	wantError(t, p.invite.Check(p.now), ErrTicketUsed)
}

func TestPairingLimitsFollowTheSteps(t *testing.T) {
	p := newPairing(t, 1)
	check := func(at string, a, n int) {
		t.Helper()
		if p.a.Limit() != a || p.n.Limit() != n {
			t.Errorf("%s: limits %d and %d, want %d and %d", at, p.a.Limit(), p.n.Limit(), a, n)
		}
	}
	check("start", maxHelloFrame, 0)
	p.untilHello()
	check("hello made", maxHelloFrame, maxOpeningFrame)
	p.opening = p.step(p.a.Next(p.now, p.hello))
	check("opening made", maxConfirmFrame, maxOpeningFrame)
	p.confirm = p.step(p.n.Next(p.now, p.opening))
	check("confirm made", maxConfirmFrame, maxWelcomeFrame)
	p.step(p.a.Next(p.now, p.confirm))
	check("digits awaited", 0, maxWelcomeFrame)
}

// Before the other side has proven anything, neither side reads more than 8 KiB,
// and the frames that honest devices make fit.
func TestPairingSizes(t *testing.T) {
	if maxHelloFrame+maxConfirmFrame > maxUnauthenticated || maxOpeningFrame > maxUnauthenticated {
		t.Error("frames before authentication exceed 8 KiB")
	}
	p := newPairing(t, 1)
	p.joiner = newTestJoiner(t, strings.Repeat("n", MaxName), 2)
	p.n = p.joinSession(p.ticket)
	p.untilFinish()
	for _, f := range []struct {
		name  string
		frame []byte
		limit int
	}{
		{"hello", p.hello, maxHelloFrame}, {"opening", p.opening, maxOpeningFrame}, {"confirm", p.confirm, maxConfirmFrame},
		{"welcome", p.welcome, maxWelcomeFrame}, {"finish", p.finish, maxFinishFrame},
	} {
		if len(f.frame) > f.limit {
			t.Errorf("%s has %d bytes, limit %d", f.name, len(f.frame), f.limit)
		}
		t.Logf("%s: %d bytes, limit %d", f.name, len(f.frame), f.limit)
	}
	t.Logf("ticket: %d characters", len(p.invite.Ticket()))
}

func TestPairingRefusesOversizeFrames(t *testing.T) {
	p := newPairing(t, 1).untilHello()
	out, err := p.a.Next(p.now, append(slices.Clone(p.hello), make([]byte, maxHelloFrame)...))
	refused(t, out, err, ErrTooLarge)

	p = newPairing(t, 1).untilOpening()
	out, err = p.n.Next(p.now, append(slices.Clone(p.opening), make([]byte, maxOpeningFrame)...))
	refused(t, out, err, ErrTooLarge)

	p = newPairing(t, 1).untilConfirm()
	out, err = p.a.Next(p.now, append(slices.Clone(p.confirm), make([]byte, maxConfirmFrame)...))
	refused(t, out, err, ErrTooLarge)

	p = newPairing(t, 1).untilWelcome()
	out, err = p.n.Next(p.now, append(slices.Clone(p.welcome), make([]byte, maxWelcomeFrame)...))
	refused(t, out, err, ErrTooLarge)

	p = newPairing(t, 1).untilFinish()
	refused(t, nil, p.a.Finish(append(slices.Clone(p.finish), make([]byte, maxFinishFrame)...)), ErrTooLarge)

	p = newPairing(t, 1).untilDigits()
	if err := p.a.Confirm(p.now, p.n.Digits()); err != nil {
		t.Fatal(err)
	}
	out, err = p.a.Welcome(make([]byte, MaxWelcome+1))
	refused(t, out, err, ErrTooLarge)
}

// Every frame at every step but its own is refused, also the other side's and
// repeated ones, and the session does not recover.
func TestPairingRefusesFramesOutOfOrder(t *testing.T) {
	done := newPairing(t, 1).untilFinish()
	frames := map[string][]byte{
		"hello": done.hello, "opening": done.opening, "confirm": done.confirm,
		"welcome": done.welcome, "finish": done.finish, "nothing": nil,
	}
	for name, frame := range frames {
		for step, until := range map[string]func(*pairing) *pairing{
			"hello": (*pairing).untilHello, "confirm": (*pairing).untilConfirm, "digits": (*pairing).untilDigits,
			"finish": (*pairing).untilFinish,
		} {
			if name == step {
				continue
			}
			t.Run(fmt.Sprintf("member awaits %s gets %s", step, name), func(t *testing.T) {
				p := until(newPairing(t, 1))
				out, err := p.a.Next(p.now, frame)
				refuseAny(t, out, err)
				if p.a.Request() != nil || p.a.Limit() != 0 {
					t.Error("session goes on after a failure")
				}
			})
		}
		for step, until := range map[string]func(*pairing) *pairing{
			"opening": (*pairing).untilOpening, "welcome": (*pairing).untilWelcome,
		} {
			if name == step {
				continue
			}
			t.Run(fmt.Sprintf("new device awaits %s gets %s", step, name), func(t *testing.T) {
				p := until(newPairing(t, 1))
				out, err := p.n.Next(p.now, frame)
				refuseAny(t, out, err)
				if p.n.Digits() != "" || p.n.Done() || p.n.Limit() != 0 {
					t.Error("session goes on after a failure")
				}
			})
		}
	}
	out, err := newPairing(t, 1).n.Next(testTime, frames["opening"])
	refused(t, out, err, ErrPairingOrder)
}

func TestPairingCallsOutOfOrder(t *testing.T) {
	p := newPairing(t, 1).untilOpening()
	if p.a.Request() != nil {
		t.Error("request shown before the new device confirmed")
	}
	refused(t, nil, p.a.Confirm(p.now, "000000"), ErrPairingOrder)

	p = newPairing(t, 1).untilDigits()
	out, err := p.a.Welcome([]byte("sealed"))
	refused(t, out, err, ErrPairingOrder)
	refused(t, nil, p.a.Confirm(p.now, p.n.Digits()), ErrPairingOrder)

	p = newPairing(t, 1).untilDigits()
	refused(t, nil, p.a.Finish(nil), ErrPairingOrder)

	p = newPairing(t, 1).untilFinish()
	if err := p.a.Finish(p.finish); err != nil {
		t.Fatal(err)
	}
	refused(t, nil, p.a.Finish(p.finish), ErrPairingOrder)
	out, err = p.n.Next(p.now, p.welcome)
	refused(t, out, err, ErrPairingOrder)
	wantError(t, p.invite.Check(p.now), ErrTicketUsed)
}

func TestWrongDigitsVoidTheInvite(t *testing.T) {
	p := newPairing(t, 1).untilDigits()
	right := p.n.Digits()
	for _, malformed := range []string{"", "12345", "1234567", "12345x", "１２３４５６", "+12345", strings.Repeat("1 ", 40), "\xff12345"} {
		err := p.a.Confirm(p.now, malformed)
		if !errors.Is(err, ErrMalformed) || errors.Is(err, ErrPairing) {
			t.Errorf("digits %q: %v", malformed, err)
		}
	}
	wrong := []byte(right)
	wrong[5] = '0' + (wrong[5]-'0'+1)%10
	refused(t, nil, p.a.Confirm(p.now, string(wrong)), ErrDigits)
	refused(t, nil, p.a.Confirm(p.now, right), ErrPairingOrder)
	wantError(t, p.invite.Check(p.now), ErrInviteBurned)
	if p.a.Request() != nil {
		t.Error("request is still there after wrong digits")
	}
	_, err := p.invite.NewSession(p.now.Add(time.Minute), inviterPeer, joinerPeer)
	refused(t, nil, err, ErrInviteBurned)
}

// A ticket serves one new device, whether it was linked or not: the opening may
// be shown once.
func TestTicketServesOnce(t *testing.T) {
	t.Run("second device at the same time", func(t *testing.T) {
		p := newPairing(t, 1).untilHello()
		late := p.inviteSession()
		p.step(p.a.Next(p.now, p.hello))
		other := newTestJoiner(t, "other", 9)
		n, err := other.NewSession(parseTestTicket(t, p.invite), p.now, joinerPeer, inviterPeer)
		if err != nil {
			t.Fatal(err)
		}
		out, err := late.Next(p.now, p.step(n.Next(p.now, nil)))
		refused(t, out, err, ErrTicketUsed)
	})
	t.Run("after a connection that broke", func(t *testing.T) {
		p := newPairing(t, 1).untilOpening()
		_, err := p.invite.NewSession(p.now.Add(time.Minute), inviterPeer, joinerPeer)
		refused(t, nil, err, ErrTicketUsed)
		p.step(p.n.Next(p.now, p.opening))
		_, err = p.joiner.NewSession(p.ticket, p.now.Add(time.Minute), joinerPeer, inviterPeer)
		refused(t, nil, err, ErrTicketUsed)
	})
	t.Run("after success", func(t *testing.T) {
		p := newPairing(t, 1).untilFinish()
		_, err := p.invite.NewSession(p.now.Add(time.Minute), inviterPeer, joinerPeer)
		refused(t, nil, err, ErrTicketUsed)
	})
}

func TestInviteExpires(t *testing.T) {
	end := func(p *pairing) time.Time { return p.invite.Expires() }
	t.Run("lives five minutes", func(t *testing.T) {
		p := newPairing(t, 1)
		if got := end(p).Sub(p.now); got != 5*time.Minute {
			t.Errorf("lifetime %v", got)
		}
		if !p.ticket.Expires().Equal(end(p)) {
			t.Errorf("ticket says %v, invite %v", p.ticket.Expires(), end(p))
		}
		if err := p.invite.Check(end(p).Add(-time.Nanosecond)); err != nil {
			t.Error(err)
		}
		wantError(t, p.invite.Check(end(p)), ErrTicketExpired)
	})
	t.Run("new session", func(t *testing.T) {
		p := newPairing(t, 1)
		_, err := p.invite.NewSession(end(p), inviterPeer, joinerPeer)
		refused(t, nil, err, ErrTicketExpired)
	})
	t.Run("hello", func(t *testing.T) {
		p := newPairing(t, 1).untilHello()
		out, err := p.a.Next(end(p), p.hello)
		refused(t, out, err, ErrTicketExpired)
	})
	t.Run("confirmation", func(t *testing.T) {
		p := newPairing(t, 1).untilConfirm()
		out, err := p.a.Next(end(p), p.confirm)
		refused(t, out, err, ErrTicketExpired)
	})
	t.Run("digits", func(t *testing.T) {
		p := newPairing(t, 1).untilDigits()
		refused(t, nil, p.a.Confirm(end(p), p.n.Digits()), ErrTicketExpired)
	})
	t.Run("a clock set back prolongs nothing", func(t *testing.T) {
		p := newPairing(t, 1)
		wantError(t, p.invite.Check(end(p)), ErrTicketExpired)
		wantError(t, p.invite.Check(p.now), ErrTicketExpired)
	})
	t.Run("new device", func(t *testing.T) {
		p := newPairing(t, 1)
		late := end(p).Add(clockSkew)
		if _, err := p.joiner.NewSession(p.ticket, late, joinerPeer, inviterPeer); err != nil {
			t.Errorf("within the slack for other clocks: %v", err)
		}
		_, err := p.joiner.NewSession(p.ticket, late.Add(time.Second), joinerPeer, inviterPeer)
		refused(t, nil, err, ErrTicketExpired)
		out, err := p.n.Next(late.Add(time.Second), nil)
		refused(t, out, err, ErrTicketExpired)
	})
}

func TestCancelVoidsTheInviteAndItsSessions(t *testing.T) {
	p := newPairing(t, 1).untilDigits()
	p.invite.Cancel()
	refused(t, nil, p.a.Confirm(p.now, p.n.Digits()), ErrInviteBurned)
	_, err := p.invite.NewSession(p.now, inviterPeer, joinerPeer)
	refused(t, nil, err, ErrInviteBurned)

	p = newPairing(t, 1).untilDigits()
	if err := p.a.Confirm(p.now, p.n.Digits()); err != nil {
		t.Fatal(err)
	}
	p.invite.Cancel()
	out, err := p.a.Welcome([]byte("sealed"))
	refuseAny(t, out, err)
}

// Sessions that start at the same time race for the invite: one wins.
func TestConcurrentSessionsClaimOnce(t *testing.T) {
	p := newPairing(t, 1).untilHello()
	sessions := []*InviteSession{p.a}
	for range 15 {
		sessions = append(sessions, p.inviteSession())
	}
	var opened atomic.Int32
	var wg sync.WaitGroup
	for _, s := range sessions {
		wg.Go(func() {
			if out, err := s.Next(p.now, p.hello); err == nil && out != nil {
				opened.Add(1)
			}
		})
	}
	wg.Wait()
	if opened.Load() != 1 {
		t.Errorf("the opening was shown %d times", opened.Load())
	}
}

func TestOpenInviteRefuses(t *testing.T) {
	id := newFounder(t, "laptop", 1)
	limiter := NewInviteLimiter(nil)
	for name, o := range map[string]*InviteOptions{
		"nothing":         nil,
		"no time":         {Limiter: limiter},
		"five addresses":  {Now: noon, Limiter: limiter, Addrs: []string{"a", "b", "c", "d", "e"}},
		"long address":    {Now: noon, Limiter: limiter, Addrs: []string{strings.Repeat("a", MaxTicketAddr+1)}},
		"blank address":   {Now: noon, Limiter: limiter, Addrs: []string{"a b"}},
		"short of random": {Now: noon, Limiter: limiter, Random: bytes.NewReader(make([]byte, 79))},
	} {
		if _, err := OpenInvite(id, o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if n := len(limiter.Times()); n != 0 {
		t.Errorf("%d refused invites were counted", n)
	}
	for range maxInvites {
		if _, err := OpenInvite(id, &InviteOptions{Now: noon, Limiter: limiter}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := OpenInvite(id, &InviteOptions{Now: noon, Limiter: limiter})
	wantError(t, err, ErrTooManyInvites)
}

func TestPairingRefusesPeerIDs(t *testing.T) {
	p := newPairing(t, 1)
	for name, peers := range map[string][2][]byte{
		"none": {nil, joinerPeer}, "no remote": {inviterPeer, {}}, "same": {inviterPeer, inviterPeer},
		"long": {inviterPeer, make([]byte, maxPeerID+1)},
	} {
		if _, err := p.invite.NewSession(p.now, peers[0], peers[1]); !errors.Is(err, ErrPairing) {
			t.Errorf("member, %s: %v", name, err)
		}
		if _, err := p.joiner.NewSession(p.ticket, p.now, peers[0], peers[1]); !errors.Is(err, ErrPairing) {
			t.Errorf("new device, %s: %v", name, err)
		}
	}
}

func TestInviteStaysOutOfLogs(t *testing.T) {
	p := newPairing(t, 1).untilDigits()
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", p.invite, p.a, p.n)
	}
	secret := p.invite.ticket.secret.Reveal()
	for _, leak := range []string{
		fmt.Sprintf("%x", secret[:8]), strings.Trim(fmt.Sprint(secret[:8]), "[]"), p.invite.Ticket()[60:100], p.n.Digits(),
	} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("printed form contains %q:\n%s", leak, out.String())
		}
	}
}
