package encryption

import (
	"errors"
	"testing"
	"time"
)

var (
	inviterPeer = []byte("peer id of the member")
	joinerPeer  = []byte("peer id of the new device")
	malloryPeer = []byte("peer id of somebody in the middle")
)

// pairing is both sides of one attempt to link, and a clock.
type pairing struct {
	tb      testing.TB
	now     time.Time
	member  *Identity
	invite  *Invite
	ticket  *Ticket
	joiner  *Joiner
	a       *InviteSession
	n       *JoinSession
	codes   uint32
	sealed  []byte
	hello   []byte
	opening []byte
	confirm []byte
	welcome []byte
	finish  []byte
}

// newPairing opens an invite and starts both sessions. The same seed gives the
// same keys and the same bytes up to the welcome.
func newPairing(tb testing.TB, seed byte) *pairing {
	tb.Helper()
	p := &pairing{tb: tb, now: testTime, codes: pairingCodes}
	p.member = newFounder(tb, "laptop", seed)
	p.joiner = newTestJoiner(tb, "phone", seed+1)
	p.reopen(seed)
	return p
}

// reopen replaces invite and sessions, and keeps member and joiner.
func (p *pairing) reopen(seed byte) {
	p.tb.Helper()
	p.invite = openTestInvite(p.tb, p.member, p.now, seed)
	p.invite.codes = p.codes
	p.ticket = parseTestTicket(p.tb, p.invite)
	p.a = p.inviteSession()
	p.n = p.joinSession(p.ticket)
}

func openTestInvite(tb testing.TB, member *Identity, now time.Time, seed byte) *Invite {
	tb.Helper()
	inv, err := OpenInvite(member, &InviteOptions{
		Addrs: []string{"/ip4/192.168.1.20/udp/41641/quic-v1", "/ip4/192.168.1.20/tcp/41641"},
		Now:   now, Random: seeded(seed ^ 0xa5),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return inv
}

func parseTestTicket(tb testing.TB, inv *Invite) *Ticket {
	tb.Helper()
	ticket, err := ParseTicket(inv.Ticket())
	if err != nil {
		tb.Fatal(err)
	}
	return ticket
}

func (p *pairing) inviteSession() *InviteSession {
	p.tb.Helper()
	a, err := p.invite.NewSession(p.now, inviterPeer, joinerPeer)
	if err != nil {
		p.tb.Fatal(err)
	}
	return a
}

func (p *pairing) joinSession(t *Ticket) *JoinSession {
	p.tb.Helper()
	n, err := p.joiner.NewSession(t, p.now, joinerPeer, inviterPeer)
	if err != nil {
		p.tb.Fatal(err)
	}
	n.codes = p.codes
	return n
}

// untilHello, and the others of its kind, take the honest steps up to the point
// where the named frame was made and not yet delivered.
func (p *pairing) untilHello() *pairing {
	p.tb.Helper()
	p.hello = p.step(p.n.Next(p.now, nil))
	return p
}

func (p *pairing) untilOpening() *pairing {
	p.tb.Helper()
	p.untilHello().opening = p.step(p.a.Next(p.now, p.hello))
	return p
}

func (p *pairing) untilConfirm() *pairing {
	p.tb.Helper()
	p.untilOpening().confirm = p.step(p.n.Next(p.now, p.opening))
	return p
}

// untilDigits delivers the confirmation: the person can type.
func (p *pairing) untilDigits() *pairing {
	p.tb.Helper()
	p.untilConfirm().step(p.a.Next(p.now, p.confirm))
	return p
}

func (p *pairing) untilWelcome() *pairing {
	p.tb.Helper()
	p.untilDigits()
	if err := p.a.Confirm(p.now, p.n.Digits()); err != nil {
		p.tb.Fatal(err)
	}
	p.sealed = sealWelcome(p.tb, p.member, p.a.Request())
	p.welcome = p.step(p.a.Welcome(p.sealed))
	return p
}

func (p *pairing) untilFinish() *pairing {
	p.tb.Helper()
	p.untilWelcome().finish = p.step(p.n.Next(p.now, p.welcome))
	return p
}

func sealWelcome(tb testing.TB, member *Identity, r *JoinRequest) []byte {
	tb.Helper()
	add(tb, member, r)
	sealed, err := member.Welcome(r)
	if err != nil {
		tb.Fatal(err)
	}
	return sealed
}

func (p *pairing) step(out []byte, err error) []byte {
	p.tb.Helper()
	if err != nil {
		p.tb.Fatal(err)
	}
	return out
}

// refused checks that a step failed as ErrPairing and for the reason, and that
// it gave nothing to send.
func refused(tb testing.TB, out []byte, err, reason error) {
	tb.Helper()
	if !errors.Is(err, ErrPairing) || !errors.Is(err, reason) {
		tb.Errorf("error %v, want %v because of %v", err, ErrPairing, reason)
	}
	if out != nil {
		tb.Errorf("%d bytes to send beside the error %v", len(out), err)
	}
}

// refuseAny is refused where the reason may vary.
func refuseAny(tb testing.TB, out []byte, err error) { tb.Helper(); refused(tb, out, err, ErrPairing) }
