package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/starling-sync/starling/encryption"
)

const (
	// openingTime is how long the member may take to answer the hello.
	openingTime = 10 * time.Second
	// consentTime is how long the person may take to type the digits. It is
	// longer than an invite lives; the member's clock decides.
	consentTime = 10 * time.Minute
)

// JoinConfig says how the new device takes part in its linking.
type JoinConfig struct {
	// ShowDigits shows the six digits to the person, who types them into the
	// device that showed the ticket. Required. It must not wait for that.
	ShowDigits func(digits string)
	// Save stores the identity, normally with Joiner.Save. It is called once,
	// after the welcome was verified and before the member is told of success.
	// Required.
	Save func() (*encryption.Identity, error)
	// Book gets the addresses of the member that invited, so that it is found
	// again without discovery. Nil: they are dropped.
	Book AddressBook

	now func() time.Time // injected by tests; nil: time.Now
}

// Join links this new device by a ticket, over a host with a random key that
// exists for the call only. Errors: those of encryption.ParseTicket;
// encryption.ErrTicketExpired and encryption.ErrTicketUsed by this device's
// own knowledge; ErrUnreachable; ErrRefused when the other end closes without
// a word, which it does whatever the cause; encryption.ErrPairing when what it
// says does not hold; what Save returned; that of ctx.
func Join(ctx context.Context, ticket string, j *encryption.Joiner, c *JoinConfig) error {
	if c == nil || c.ShowDigits == nil || c.Save == nil {
		return fmt.Errorf("%w: Join needs ShowDigits and Save", errConfig)
	}
	t, err := encryption.ParseTicket(ticket)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	id, addrs, err := inviter(t.Addrs())
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	var seed [32]byte
	rand.Read(seed[:]) // never fails, see crypto/rand
	end, err := newEndpoint(seed, nil)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	defer end.close()
	n := &newcomer{c: c, now: c.now}
	if n.now == nil {
		n.now = time.Now
	}
	if n.session, err = j.NewSession(t, n.now(), []byte(end.id()), []byte(id)); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	if err := n.dial(ctx, end, id, addrs); err != nil {
		return fmt.Errorf("join: %w", cause(ctx, err))
	}
	defer n.conn.Close()
	if err := n.link(ctx); err != nil {
		return fmt.Errorf("join: %w", cause(ctx, err))
	}
	return n.remember(addrs)
}

// cause prefers the caller's own reason to end over its consequences.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// inviter reads the addresses of a ticket, which all name one host.
func inviter(texts []string) (peer.ID, []ma.Multiaddr, error) {
	var id peer.ID
	var addrs []ma.Multiaddr
	for _, s := range texts {
		a, who, err := parsePeer(s)
		if err != nil || who == "" || id != "" && who != id {
			continue // of a newer kind, or not of this host
		}
		id, addrs = who, append(addrs, a)
	}
	if id == "" {
		return "", nil, fmt.Errorf("%w: the ticket names none", ErrUnreachable)
	}
	return id, addrs, nil
}

// newcomer is the new device during Join.
type newcomer struct {
	c       *JoinConfig
	now     func() time.Time
	session *encryption.JoinSession
	conn    transport.CapableConn
	stream  network.MuxedStream
	saved   *encryption.Identity
}

func (n *newcomer) dial(ctx context.Context, end *endpoint, id peer.ID, addrs []ma.Multiaddr) error {
	conn, _, err := end.dial(ctx, id, addrs, dialTime)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if n.stream, err = conn.OpenStream(ctx); err != nil {
		conn.Close()
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	n.conn = conn
	return nil
}

// link takes the steps of the pairing in the order that
// encryption/PAIRING.md gives.
func (n *newcomer) link(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { n.conn.Close() })
	defer stop()
	if err := writeFrame(n.stream, []byte(linkProtocol)); err != nil {
		return refused(err)
	}
	hello, err := n.session.Next(n.now(), nil)
	if err != nil {
		return err
	}
	confirm, err := n.exchange(hello, openingTime)
	if err != nil {
		return err
	}
	n.c.ShowDigits(n.session.Digits())
	finish, err := n.exchange(confirm, consentTime)
	if err != nil {
		return err
	}
	if n.saved, err = n.c.Save(); err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	return n.finish(finish)
}

// exchange sends a frame and gives the answer to the session.
func (n *newcomer) exchange(out []byte, wait time.Duration) (next []byte, err error) {
	if err := n.stream.SetDeadline(time.Now().Add(wait)); err != nil {
		return nil, refused(err)
	}
	if err := writeFrame(n.stream, out); err != nil {
		return nil, refused(err)
	}
	in, err := readFrame(n.stream, n.session.Limit())
	if err != nil {
		return nil, refused(err)
	}
	return n.session.Next(n.now(), in)
}

func refused(err error) error { return fmt.Errorf("%w (%w)", ErrRefused, err) }

// finish tells the member, and waits until it has closed. The identity is
// saved, so whatever fails here this device is linked.
func (n *newcomer) finish(frame []byte) error {
	if writeFrame(n.stream, frame) != nil {
		return nil
	}
	_ = n.stream.CloseWrite()
	_ = n.stream.SetReadDeadline(time.Now().Add(openingTime))
	_, _ = io.Copy(io.Discard, io.LimitReader(n.stream, maxName))
	return nil
}

// remember notes where the inviting member listens.
func (n *newcomer) remember(addrs []ma.Multiaddr) error {
	if n.c.Book == nil || n.saved == nil {
		return nil
	}
	self, ok := n.saved.Member(n.saved.Device())
	if !ok {
		return nil
	}
	e := Entry{Device: self.AddedBy, LastSeen: n.now()}
	remote := n.conn.RemoteMultiaddr()
	for _, a := range append([]ma.Multiaddr{remote}, addrs...) {
		if !slices.Contains(e.Addrs, a.String()) {
			e.Addrs = append(e.Addrs, a.String())
		}
	}
	if err := n.c.Book.Save(e); err != nil {
		return errors.Join(errors.New("linked, but the address of the other device was not stored"), err)
	}
	return nil
}
