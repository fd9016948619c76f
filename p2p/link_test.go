package p2p_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/p2p/p2ptest"
)

// newDevice is the joining side of a test.
type newDevice struct {
	dir    string
	digits chan string // what it shows
	joined chan error  // what Join returned
	saved  *encryption.Identity
	book   p2p.AddressBook
	now    func() time.Time // nil: the real clock
	save   func() error     // before Joiner.Save; nil: nothing
}

func newNewDevice(t testing.TB) *newDevice {
	return &newDevice{dir: t.TempDir(), digits: make(chan string, 1), joined: make(chan error, 1), book: p2p.NewMemoryBook()}
}

// join runs Join in the background.
func (d *newDevice) join(ctx context.Context, t testing.TB, ticket string) {
	t.Helper()
	j, err := encryption.NewJoiner(&encryption.JoinOptions{Name: "new phone"})
	if err != nil {
		t.Fatal(err)
	}
	c := &p2p.JoinConfig{
		ShowDigits: func(s string) { d.digits <- s },
		Book:       d.book,
		Save: func() (id *encryption.Identity, err error) {
			if d.save != nil {
				if err := d.save(); err != nil {
					return nil, err
				}
			}
			d.saved, err = j.Save(d.dir, encryption.UnlockKey(make([]byte, 32)))
			return d.saved, err
		},
	}
	c.SetNow(d.now)
	go func() { d.joined <- p2p.Join(ctx, ticket, j, c) }()
}

func invite(t testing.TB, h *p2p.Host, id *encryption.Identity) *p2p.Invite {
	t.Helper()
	v, err := h.Invite(t.Context(), nil, approveBy(id))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Cancel)
	return v
}

func approveBy(id *encryption.Identity) p2p.Approve {
	return func(_ context.Context, r *encryption.JoinRequest) ([]byte, error) { return p2ptest.Approve(id, r) }
}

func TestLink(t *testing.T) {
	id := p2ptest.Account(t, 1)[0]
	a := p2ptest.Listen(t, id, nil)
	v := invite(t, a, id)
	d := newNewDevice(t)
	d.join(t.Context(), t, v.Ticket())
	name, err := v.Await(t.Context())
	if err != nil || name != "new phone" {
		t.Fatalf("await: %q, %v", name, err)
	}
	if _, err := v.Confirm(t.Context(), "12"); !errors.Is(err, encryption.ErrMalformed) {
		t.Errorf("two digits: %v", err)
	}
	request, err := v.Confirm(t.Context(), <-d.digits)
	if err != nil || request.Name != "new phone" {
		t.Fatalf("confirm: %+v, %v", request, err)
	}
	if err := <-d.joined; err != nil {
		t.Fatalf("join: %v", err)
	}
	if _, ok := id.Member(d.saved.Device()); !ok {
		t.Error("the new device is no member")
	}
	// It finds the member that invited it without discovery.
	b := p2ptest.Listen(t, d.saved, &p2p.Config{Book: d.book})
	atA, atB := p2ptest.Connect(t, a, b)
	p2ptest.Exchange(t, atA, atB)
	second := newNewDevice(t)
	second.join(t.Context(), t, v.Ticket())
	if err := <-second.joined; !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("second use of a ticket: %v", err)
	}
	if _, err := v.Confirm(t.Context(), "123456"); !errors.Is(err, p2p.ErrInviteClosed) {
		t.Errorf("second confirmation: %v", err)
	}
}

// TestWrongDigits voids the invite, and nobody is added.
func TestWrongDigits(t *testing.T) {
	id := p2ptest.Account(t, 1)[0]
	a := p2ptest.Listen(t, id, nil)
	v := invite(t, a, id)
	d := newNewDevice(t)
	d.join(t.Context(), t, v.Ticket())
	digits := []byte(<-d.digits)
	digits[0] = '0' + (digits[0]-'0'+1)%10
	if _, err := v.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := v.Confirm(t.Context(), string(digits)); !errors.Is(err, encryption.ErrDigits) || r != nil {
		t.Errorf("wrong digits: %v, %v", r, err)
	}
	if err := <-d.joined; !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("join: %v", err)
	}
	if n := len(id.Members()); n != 1 {
		t.Errorf("%d members", n)
	}
	if _, err := v.Await(t.Context()); !errors.Is(err, encryption.ErrDigits) {
		t.Errorf("await of a void invite: %v", err)
	}
}

// TestTicketsThatDoNotLink: what the new device is told in each case.
func TestTicketsThatDoNotLink(t *testing.T) {
	t.Parallel()
	id := p2ptest.Account(t, 1)[0]
	a := p2ptest.Listen(t, id, nil)
	cancelled := invite(t, a, id)
	replaced := invite(t, a, id)
	open := invite(t, a, id)
	cancelled.Cancel()
	gone := p2ptest.Listen(t, id, nil)
	unreachable := invite(t, gone, id)
	gone.Close()
	later := func() time.Time { return time.Now().Add(11 * time.Minute) }
	for _, c := range []struct {
		name, ticket string
		now          func() time.Time
		want         error
	}{
		{"no ticket", "hello", nil, encryption.ErrTicketMalformed},
		{"mistyped", strings.Replace(open.Ticket(), "starling1", "starling1aa", 1), nil, encryption.ErrTicketMistyped},
		{"another version", strings.Replace(open.Ticket(), "starling1", "starling9", 1), nil, encryption.ErrTicketVersion},
		{"expired here", open.Ticket(), later, encryption.ErrTicketExpired},
		{"cancelled", cancelled.Ticket(), nil, p2p.ErrRefused},
		{"replaced", replaced.Ticket(), nil, p2p.ErrRefused},
		{"host gone", unreachable.Ticket(), nil, p2p.ErrUnreachable},
	} {
		d := newNewDevice(t)
		d.now = c.now
		d.join(t.Context(), t, c.ticket)
		if err := <-d.joined; !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for name, v := range map[string]*p2p.Invite{"cancelled": cancelled, "replaced": replaced} {
		if _, err := v.Await(t.Context()); !errors.Is(err, p2p.ErrInviteClosed) {
			t.Errorf("await, %s: %v", name, err)
		}
	}
	if _, err := unreachable.Await(t.Context()); !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("await on a closed host: %v", err)
	}
}

// TestInviteExpires by the member's clock, even while a device waits for the
// person.
func TestInviteExpires(t *testing.T) {
	id := p2ptest.Account(t, 1)[0]
	expire := make(chan time.Time)
	waits := make(chan time.Duration, 1)
	var conf p2p.Config
	conf.SetClock(time.Now, func(d time.Duration) <-chan time.Time {
		waits <- d
		return expire
	})
	a := p2ptest.Listen(t, id, &conf)
	v := invite(t, a, id)
	if d := <-waits; d <= 4*time.Minute || d > 5*time.Minute {
		t.Errorf("expires in %v", d)
	}
	d := newNewDevice(t)
	d.join(t.Context(), t, v.Ticket())
	if _, err := v.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	expire <- time.Time{}
	if err := <-d.joined; !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("join: %v", err)
	}
	if _, err := v.Confirm(t.Context(), <-d.digits); !errors.Is(err, encryption.ErrTicketExpired) {
		t.Errorf("confirm: %v", err)
	}
}

// TestLinkOwnerRefuses: approve fails, so nobody is added and nobody told more.
func TestLinkOwnerRefuses(t *testing.T) {
	id := p2ptest.Account(t, 1)[0]
	a := p2ptest.Listen(t, id, nil)
	full := errors.New("disk full")
	v, err := a.Invite(t.Context(), nil, func(context.Context, *encryption.JoinRequest) ([]byte, error) { return nil, full })
	if err != nil {
		t.Fatal(err)
	}
	d := newNewDevice(t)
	d.join(t.Context(), t, v.Ticket())
	if _, err := v.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := v.Confirm(t.Context(), <-d.digits); !errors.Is(err, full) || r != nil {
		t.Errorf("confirm: %v, %v", r, err)
	}
	if err := <-d.joined; !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("join: %v", err)
	}
}

// TestNewDeviceCannotSave: the member is told that it was not confirmed.
func TestNewDeviceCannotSave(t *testing.T) {
	id := p2ptest.Account(t, 1)[0]
	a := p2ptest.Listen(t, id, nil)
	v := invite(t, a, id)
	d := newNewDevice(t)
	full := errors.New("disk full")
	d.save = func() error { return full }
	d.join(t.Context(), t, v.Ticket())
	if _, err := v.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := v.Confirm(t.Context(), <-d.digits)
	if !errors.Is(err, p2p.ErrUnconfirmed) || r == nil {
		t.Errorf("confirm: %v, %v", r, err)
	}
	if err := <-d.joined; !errors.Is(err, full) {
		t.Errorf("join: %v", err)
	}
}

// TestNewDeviceGivesUp: it goes away while the person should type.
func TestNewDeviceGivesUp(t *testing.T) {
	id := p2ptest.Account(t, 1)[0]
	a := p2ptest.Listen(t, id, nil)
	v := invite(t, a, id)
	d := newNewDevice(t)
	ctx, cancel := context.WithCancel(t.Context())
	d.join(ctx, t, v.Ticket())
	digits := <-d.digits
	if _, err := v.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-d.joined; !errors.Is(err, context.Canceled) {
		t.Errorf("join: %v", err)
	}
	<-v.Over()
	if _, err := v.Confirm(t.Context(), digits); !errors.Is(err, p2p.ErrInviteClosed) {
		t.Errorf("confirm: %v", err)
	}
}

// TestStrangerAtTheLinkWindow: an open invite answers a stranger as a closed
// one does, and neither noise nor silence uses it up.
func TestStrangerAtTheLinkWindow(t *testing.T) {
	id := p2ptest.Account(t, 1)[0]
	a := p2ptest.Listen(t, id, nil)
	v := invite(t, a, id)
	noise := strings.Repeat("x", 1500)
	for _, transport := range []string{"udp", "tcp"} {
		s := stranger(t)
		_, want := say(t, s, addrWith(t, a, transport), frames("/none", noise))
		for name, out := range map[string][]byte{
			"noise": frames(p2p.LinkProtocol, noise), "empty": frames(p2p.LinkProtocol, ""),
			"too long": frames(p2p.LinkProtocol, strings.Repeat("x", p2p.MaxLinkFrame+1)),
		} {
			got, err := say(t, s, addrWith(t, a, transport), out)
			if len(got) != 0 || ending(err) != ending(want) {
				t.Errorf("%s, %s: %q, %v, want %v", transport, name, got, err, want)
			}
		}
	}
	d := newNewDevice(t)
	d.join(t.Context(), t, v.Ticket())
	if _, err := v.Await(t.Context()); err != nil {
		t.Errorf("after strangers: %v", err)
	}
}

func TestTooManyInvites(t *testing.T) {
	id := p2ptest.Account(t, 1)[0]
	a := p2ptest.Listen(t, id, nil)
	limiter := encryption.NewInviteLimiter(nil)
	for range 5 {
		if _, err := a.Invite(t.Context(), limiter, approveBy(id)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Invite(t.Context(), limiter, approveBy(id)); !errors.Is(err, encryption.ErrTooManyInvites) {
		t.Errorf("sixth invite: %v", err)
	}
}

// TestTicketNamesNearAddresses pins how many and which addresses a ticket has.
func TestTicketNamesNearAddresses(t *testing.T) {
	id := p2ptest.Account(t, 1)[0]
	a := p2ptest.Listen(t, id, &p2p.Config{Listen: ":0"})
	ticket, err := encryption.ParseTicket(invite(t, a, id).Ticket())
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, s := range ticket.Addrs() {
		kinds[transportOf(s)]++
		if _, id, _ := cutID(s); id != a.PeerID() {
			t.Errorf("address %q without our id", s)
		}
	}
	if n := len(ticket.Addrs()); n > encryption.MaxTicketAddrs || kinds["udp"] == 0 || kinds["tcp"] != 1 {
		t.Errorf("addresses %q", ticket.Addrs())
	}
}
