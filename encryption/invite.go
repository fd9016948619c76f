package encryption

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	inviteLifetime = 5 * time.Minute
	// maxMisses is how many wrong requests void an invite.
	maxMisses = 3
)

// InviteOptions are the choices for one invite.
type InviteOptions struct {
	Addrs   []string       // where this member listens; at most four of at most 256 bytes, hints only
	Now     time.Time      // current time; required
	Random  io.Reader      // source of the secrets; default crypto/rand
	Limiter *InviteLimiter // counts the invites of this identity; nil does not limit them
}

func (o *InviteOptions) validate() error {
	if o == nil || o.Now.IsZero() {
		return errors.New("no current time given")
	}
	return checkTicketAddrs(o.Addrs)
}

// Invite is a member's offer to link one new device within five minutes. It is
// safe for concurrent use. Its state is in memory only: a restart voids it.
type Invite struct {
	// Read-only after OpenInvite.
	ticket  ticketBody
	opening []byte // what the ticket commits to
	secrets *pairingSecrets
	codes   uint32 // how many codes the digits can show; tests make it small

	mu      sync.Mutex     // guards the fields below and all sessions of the invite
	latest  time.Time      // the latest time seen, so that a clock set back prolongs nothing
	lastTry time.Time      // when a hello for this invite last arrived
	misses  int            // hellos for this invite that its ticket did not make
	claimed *InviteSession // the one session that has been shown the opening
	burned  bool
}

// OpenInvite prepares an invite of this member. The error wraps
// ErrTooManyInvites when the limiter refuses; only an invite that was opened is
// counted.
func OpenInvite(id *Identity, o *InviteOptions) (*Invite, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("open invite: %w", err)
	}
	random := readerOr(o.Random)
	var nonce [32]byte
	inv := &Invite{codes: pairingCodes, latest: o.Now}
	inv.ticket.addrs = append([]string(nil), o.Addrs...)
	inv.ticket.expires = o.Now.Add(inviteLifetime).Unix()
	for _, b := range [][]byte{inv.ticket.session[:], nonce[:]} {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, fmt.Errorf("open invite: draw random bytes: %w", err)
		}
	}
	secret, err := newSecret(random)
	if err != nil {
		return nil, fmt.Errorf("open invite: %w", err)
	}
	inv.ticket.secret = secret
	inv.opening = newOpening(id, inv.ticket.session, nonce)
	inv.ticket.commitment = labelPairCommitment.hash(inv.opening)
	inv.secrets = newPairingSecrets(&inv.ticket)
	if o.Limiter != nil {
		if err := o.Limiter.Allow(o.Now); err != nil {
			return nil, err
		}
	}
	return inv, nil
}

func newOpening(id *Identity, session [sessionIDSize]byte, nonce [32]byte) []byte {
	self, _ := id.Member(id.Device())
	return encode(&opening{
		Version: formatVersion, Suite: suiteOne, Session: session, Nonce: nonce,
		Account: id.Account(), Device: id.Device(), SigningKey: self.SigningKey,
	})
}

// Ticket returns the text to show. It contains the invite's secret: show it to
// the person, log it nowhere. Letter case does not matter, and a QR code of the
// upper-case form is smaller, since it fits the alphanumeric mode.
func (inv *Invite) Ticket() string { return inv.ticket.encode() }

// Expires returns when the invite ends, to the second.
func (inv *Invite) Expires() time.Time { return time.Unix(inv.ticket.expires, 0) }

// Cancel voids the invite and every session of it.
func (inv *Invite) Cancel() {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.burned = true
}

// Check returns nil while a new session could succeed, otherwise
// ErrInviteBurned, ErrTicketUsed or ErrTicketExpired.
func (inv *Invite) Check(now time.Time) error {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	return inv.usable(now)
}

// Format prints a placeholder for every verb, because the invite holds its secret.
func (inv *Invite) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// alive reports whether steps before the consent may still be taken. It is
// called with mu held.
func (inv *Invite) alive(now time.Time) error {
	if now.After(inv.latest) {
		inv.latest = now
	}
	if inv.burned {
		return ErrInviteBurned
	}
	if !inv.latest.Before(inv.Expires()) {
		return ErrTicketExpired
	}
	return nil
}

// usable is alive for a session that has not claimed the invite.
func (inv *Invite) usable(now time.Time) error {
	if inv.claimed != nil && !inv.burned {
		return ErrTicketUsed
	}
	return inv.alive(now)
}

// try counts a hello that names this invite: one in ten seconds.
func (inv *Invite) try() error {
	if !inv.lastTry.IsZero() && inv.latest.Sub(inv.lastTry) < tryInterval {
		return ErrTooSoon
	}
	inv.lastTry = inv.latest
	return nil
}

// miss counts a hello that the ticket did not make.
func (inv *Invite) miss() {
	inv.misses++
	if inv.misses >= maxMisses {
		inv.burned = true
	}
}
