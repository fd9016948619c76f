package p2p

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/starling-sync/starling/encryption"
)

// finishTime is how long the new device may take to check and store the
// welcome, which includes stretching a passphrase.
const finishTime = 30 * time.Second

// Approve makes the add of a new device durable and returns the welcome that
// was sealed for it. It is called once per invite, after the digits matched;
// when it returns, the device is a member whatever happens afterwards.
type Approve func(ctx context.Context, r *encryption.JoinRequest) (welcome []byte, err error)

// window is the invite that is open, if any. While there is none, the linking
// protocol answers like any unknown one.
type window struct {
	mu   sync.Mutex
	open *Invite // guarded by mu
}

func (w *window) current() *Invite {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open
}

// set returns the invite that was open before.
func (w *window) set(v *Invite) (before *Invite) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, w.open = w.open, v
	return before
}

func (w *window) clear(v *Invite) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == v {
		w.open = nil
	}
}

// An Invite is an offer to link one new device, open for five minutes. Its
// methods are safe for concurrent use. In order: show Ticket to the person;
// Await the new device; Confirm with the digits it shows.
type Invite struct {
	h       *Host
	inner   *encryption.Invite
	approve Approve
	joined  chan struct{} // closed once guest is set
	over    chan struct{} // closed once err is set

	confirm sync.Mutex // held during Confirm

	mu       sync.Mutex
	guest    *guest // guarded by mu
	deciding bool   // guarded by mu; the digits matched, so the expiry no longer applies
	ended    bool   // guarded by mu
	err      error  // guarded by mu; nil after success
}

// guest is the new device's connection, from the moment it has shown that it
// holds the ticket.
type guest struct {
	conn    transport.CapableConn
	stream  network.MuxedStream
	session *encryption.InviteSession
	gone    chan struct{} // closed when the connection is
}

// Invite opens the linking window and closes the one that was open. limiter
// counts invites across restarts, nil does not limit them; approve must not be
// nil. The ticket names up to four addresses of this host. Errors wrap
// encryption.ErrTooManyInvites or ErrClosed.
func (h *Host) Invite(ctx context.Context, limiter *encryption.InviteLimiter, approve Approve) (*Invite, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("invite: %w", err)
	}
	inner, err := encryption.OpenInvite(h.account.id, &encryption.InviteOptions{
		Addrs: ticketAddrs(h.Addrs()), Now: h.clock.now(), Limiter: limiter,
	})
	if err != nil {
		return nil, err
	}
	v := &Invite{h: h, inner: inner, approve: approve, joined: make(chan struct{}), over: make(chan struct{})}
	if !h.spawn(v.expire) {
		return nil, fmt.Errorf("invite: %w", ErrClosed)
	}
	if before := h.window.set(v); before != nil {
		before.end(ErrInviteClosed)
	}
	return v, nil
}

// ticketAddrs takes the nearest addresses, one of them TCP for networks that
// drop UDP.
func ticketAddrs(all []string) []string {
	var quic, tcp []string
	for _, s := range all {
		if len(s) > encryption.MaxTicketAddr {
			continue
		}
		if a, _, err := parsePeer(s); err == nil && isTCP(a) {
			tcp = append(tcp, s)
		} else if err == nil {
			quic = append(quic, s)
		}
	}
	tcp = tcp[:min(len(tcp), 1)]
	return append(quic[:min(len(quic), encryption.MaxTicketAddrs-len(tcp))], tcp...)
}

// Ticket returns the text that the new device needs. It holds a secret.
func (v *Invite) Ticket() string { return v.inner.Ticket() }

// Expires returns when the invite ends by itself.
func (v *Invite) Expires() time.Time { return v.inner.Expires() }

// Await returns the name that the new device gave itself, once that device has
// shown that it holds the ticket. It now shows digits to its owner. Errors wrap
// ErrInviteClosed, encryption.ErrTicketExpired, encryption.ErrInviteBurned,
// ErrClosed, or that of ctx.
func (v *Invite) Await(ctx context.Context) (name string, err error) {
	select {
	case <-v.over:
		return "", v.reason("await the new device")
	case <-v.joined:
		if r := v.guestNow().session.Request(); r != nil {
			return r.Name, nil
		}
		return "", v.reason("await the new device")
	case <-ctx.Done():
		return "", fmt.Errorf("await the new device: %w", ctx.Err())
	}
}

func (v *Invite) guestNow() *guest {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.guest
}

// ErrUnconfirmed: the device was added, but did not say that it has stored
// what it got. It may have, and lost only the connection.
var ErrUnconfirmed = errors.New("added, but the new device did not confirm")

// Confirm checks the digits that the person read on the new device, has the
// add approved and hands over the welcome. It returns the request if the
// device was added, which with ErrUnconfirmed it was too. Digits that are not
// six digits are encryption.ErrMalformed and may be corrected; wrong ones are
// encryption.ErrDigits and close the invite, as does every other error.
func (v *Invite) Confirm(ctx context.Context, digits string) (*encryption.JoinRequest, error) {
	v.confirm.Lock()
	defer v.confirm.Unlock()
	g := v.guestNow()
	if g == nil || v.isOver() {
		return nil, fmt.Errorf("confirm: %w", errors.Join(ErrInviteClosed, v.reason("no device to confirm")))
	}
	request := g.session.Request()
	if err := g.session.Confirm(v.h.clock.now(), digits); err != nil {
		if errors.Is(err, encryption.ErrPairing) {
			v.end(err)
		}
		return nil, err
	}
	if !v.decide() {
		return nil, v.reason("confirm")
	}
	welcome, err := v.approve(ctx, request)
	if err != nil {
		v.end(err)
		return nil, fmt.Errorf("approve %q: %w", request.Name, err)
	}
	err = g.handOver(ctx, welcome)
	v.end(err)
	if err != nil {
		return request, fmt.Errorf("link %q: %w: %w", request.Name, ErrUnconfirmed, err)
	}
	return request, nil
}

// decide keeps the expiry from ending what the person has confirmed.
func (v *Invite) decide() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.deciding = true
	return !v.ended
}

func (g *guest) handOver(ctx context.Context, welcome []byte) error {
	stop := context.AfterFunc(ctx, func() { g.conn.Close() })
	defer stop()
	frame, err := g.session.Welcome(welcome)
	if err != nil {
		return err
	}
	if err := g.stream.SetDeadline(time.Now().Add(finishTime)); err != nil {
		return fmt.Errorf("send welcome: %w", err)
	}
	if err := writeFrame(g.stream, frame); err != nil {
		return err
	}
	finish, err := readFrame(g.stream, g.session.Limit())
	if err != nil {
		return err
	}
	return g.session.Finish(finish)
}

// Cancel closes the invite; the ticket is void.
func (v *Invite) Cancel() { v.end(ErrInviteClosed) }

// end closes the window, once. A nil reason means that the device was linked.
func (v *Invite) end(reason error) {
	v.mu.Lock()
	if v.ended {
		v.mu.Unlock()
		return
	}
	v.ended, v.err = true, reason
	g := v.guest
	v.mu.Unlock()
	v.inner.Cancel()
	v.h.window.clear(v)
	close(v.over)
	if g != nil {
		v.h.drop(g.conn)
	}
}

func (v *Invite) isOver() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ended
}

// reason wraps why the invite is over.
func (v *Invite) reason(op string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		return fmt.Errorf("%s: %w", op, v.err)
	}
	return fmt.Errorf("%s: %w", op, ErrInviteClosed)
}

// expire ends the invite in time, or with the host.
func (v *Invite) expire() {
	select {
	case <-v.h.clock.after(v.Expires().Sub(v.h.clock.now())):
		v.mu.Lock()
		deciding := v.deciding
		v.mu.Unlock()
		if !deciding {
			v.end(encryption.ErrTicketExpired)
		}
	case <-v.h.ctx.Done():
		v.end(ErrClosed)
	case <-v.over:
	}
}

// serveLink is the member's side of a linking connection. Without an open
// invite it reads as much, and fails like every other stranger's stream.
// authenticated is called when the other end has shown that it holds the
// ticket and may keep the connection.
func (h *Host) serveLink(conn transport.CapableConn, stream network.MuxedStream, authenticated func()) error {
	frame, err := readFrame(stream, maxLinkFrame)
	if err != nil {
		return err
	}
	v := h.window.current()
	if v == nil {
		return errProtocol
	}
	g, err := v.admit(conn, stream, frame)
	if err != nil {
		if err := v.inner.Check(h.clock.now()); errors.Is(err, encryption.ErrInviteBurned) {
			v.end(err)
		}
		return err
	}
	authenticated()
	return v.host(g)
}

// admit runs the pairing up to the point where the person is asked.
func (v *Invite) admit(conn transport.CapableConn, stream network.MuxedStream, hello []byte) (*guest, error) {
	session, err := v.inner.NewSession(v.h.clock.now(), []byte(conn.LocalPeer()), []byte(conn.RemotePeer()))
	if err != nil {
		return nil, err
	}
	opening, err := session.Next(v.h.clock.now(), hello)
	if err != nil {
		return nil, err
	}
	g := &guest{conn: conn, stream: stream, session: session, gone: make(chan struct{})}
	if err := v.reveal(g, opening); err != nil {
		v.end(err) // the ticket is used up: a second opening would defeat the digits
		return nil, err
	}
	return g, stream.SetDeadline(time.Time{})
}

func (v *Invite) reveal(g *guest, opening []byte) error {
	if err := writeFrame(g.stream, opening); err != nil {
		return err
	}
	confirm, err := readFrame(g.stream, g.session.Limit())
	if err != nil {
		return err
	}
	_, err = g.session.Next(v.h.clock.now(), confirm)
	return err
}

// host keeps the connection until the invite is over.
func (v *Invite) host(g *guest) error {
	if !v.h.spawn(func() { g.watch() }) {
		return ErrClosed
	}
	v.mu.Lock()
	if v.ended {
		v.mu.Unlock()
		return ErrInviteClosed
	}
	v.guest = g
	v.mu.Unlock()
	close(v.joined)
	select {
	case <-g.gone:
		v.confirm.Lock() // a Confirm under way knows better why it ends
		v.end(fmt.Errorf("the new device has gone: %w", ErrInviteClosed))
		v.confirm.Unlock()
	case <-v.over:
	}
	return nil
}

func (g *guest) watch() {
	defer close(g.gone)
	for {
		extra, err := g.conn.AcceptStream()
		if err != nil {
			return
		}
		_ = extra.Reset()
	}
}
