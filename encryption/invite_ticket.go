package encryption

import (
	"bytes"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of a ticket.
const (
	// MaxTicketAddrs is how many addresses a ticket can carry.
	MaxTicketAddrs = 4
	// MaxTicketAddr is the length of one address in bytes.
	MaxTicketAddr = 256

	maxTicketText    = 4096
	ticketPrefix     = "starling"
	ticketVersion    = "1"
	ticketSumSize    = 4
	sessionIDSize    = 16
	commitmentSize   = 32
	inviteSecretSize = 32
)

// Errors of ParseTicket and of the sessions made from a ticket.
var (
	// ErrTicketMalformed means that the text is not a ticket, or breaks a limit.
	ErrTicketMalformed = errors.New("not a linking ticket")
	// ErrTicketVersion means that the ticket comes from a version of the program that this one does not know.
	ErrTicketVersion = errors.New("linking ticket of an unknown version")
	// ErrTicketMistyped means that the text looks like a ticket but its checksum is wrong: a letter is wrong or
	// missing.
	ErrTicketMistyped = errors.New("linking ticket is mistyped or incomplete")
	// ErrTicketExpired means that the ticket's five minutes are over.
	ErrTicketExpired = errors.New("linking ticket has expired")
	// ErrTicketUsed means that the ticket has done its one linking, or failed to too often.
	ErrTicketUsed = errors.New("linking ticket was already used")
)

// ticketEncoding is RFC 4648 base32 without padding. The lower-case form is shown; parsing ignores case, so that
// an upper-case copy fits the QR code's alphanumeric mode, which makes it smaller than base64 would be.
var ticketEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// ticketBody is what an invite tells the new device, laid out as PAIRING.md section 2 defines.
type ticketBody struct {
	session    [sessionIDSize]byte
	commitment Hash
	secret     Secret
	expires    int64 // unix seconds
	addrs      []string
}

// encode returns the text form. The addresses must have passed checkTicketAddrs.
func (b *ticketBody) encode() string {
	raw := append([]byte(nil), b.session[:]...)
	raw = append(raw, b.commitment[:]...)
	raw = append(raw, b.secret.slice()...)
	raw = binary.BigEndian.AppendUint64(raw, uint64(b.expires))
	raw = append(raw, byte(len(b.addrs)))
	for _, addr := range b.addrs {
		raw = binary.BigEndian.AppendUint16(raw, uint16(len(addr)))
		raw = append(raw, addr...)
	}
	raw = append(raw, ticketSum(raw)...)
	return ticketPrefix + ticketVersion + strings.ToLower(ticketEncoding.EncodeToString(raw))
}

func ticketSum(raw []byte) []byte {
	sum := labelTicketChecksum.hash(raw)
	return sum[:ticketSumSize]
}

func checkTicketAddrs(addrs []string) error {
	if len(addrs) > MaxTicketAddrs {
		return fmt.Errorf("%d addresses, at most %d fit", len(addrs), MaxTicketAddrs)
	}
	for i, addr := range addrs {
		if len(addr) == 0 || len(addr) > MaxTicketAddr || !utf8.ValidString(addr) ||
			strings.ContainsFunc(addr, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) }) {
			return fmt.Errorf("address %d is empty, over %d bytes, or not plain text", i+1, MaxTicketAddr)
		}
	}
	return nil
}

// decodeTicket is the inverse of encode. Blanks anywhere and letter case do not matter.
func decodeTicket(text string) (*ticketBody, error) {
	raw, err := ticketBytes(text)
	if err != nil {
		return nil, err
	}
	body, ok := readTicketBody(raw)
	if !ok {
		return nil, fmt.Errorf("%w: wrong layout", ErrTicketMalformed)
	}
	if err := checkTicketAddrs(body.addrs); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrTicketMalformed, err)
	}
	return body, nil
}

// ticketBytes undoes the text form and checks the checksum.
func ticketBytes(text string) ([]byte, error) {
	if len(text) > maxTicketText {
		return nil, fmt.Errorf("%w: over %d bytes", ErrTicketMalformed, maxTicketText)
	}
	letters := strings.ToUpper(strings.Join(strings.Fields(text), ""))
	letters, ok := strings.CutPrefix(letters, strings.ToUpper(ticketPrefix))
	if !ok || letters == "" {
		return nil, ErrTicketMalformed
	}
	letters, ok = strings.CutPrefix(letters, ticketVersion)
	if !ok {
		return nil, ErrTicketVersion
	}
	raw, err := ticketEncoding.DecodeString(letters)
	if err != nil || len(raw) < ticketSumSize || ticketEncoding.EncodeToString(raw) != letters {
		return nil, ErrTicketMistyped
	}
	raw, sum := raw[:len(raw)-ticketSumSize], raw[len(raw)-ticketSumSize:]
	if !bytes.Equal(sum, ticketSum(raw)) {
		return nil, ErrTicketMistyped
	}
	return raw, nil
}

// readTicketBody cuts the fixed fields off and then the addresses.
func readTicketBody(raw []byte) (*ticketBody, bool) {
	const fixed = sessionIDSize + commitmentSize + inviteSecretSize + 8 + 1
	if len(raw) < fixed {
		return nil, false
	}
	cut := func(n int) []byte {
		field := raw[:n]
		raw = raw[n:]
		return field
	}
	b := &ticketBody{
		session:    [sessionIDSize]byte(cut(sessionIDSize)),
		commitment: Hash(cut(commitmentSize)),
		secret:     NewSecret([inviteSecretSize]byte(cut(inviteSecretSize))),
		expires:    int64(binary.BigEndian.Uint64(cut(8))),
	}
	count := cut(1)[0]
	for range count {
		if len(raw) < 2 || len(raw)-2 < int(binary.BigEndian.Uint16(raw)) {
			return nil, false
		}
		length := binary.BigEndian.Uint16(cut(2))
		b.addrs = append(b.addrs, string(cut(int(length))))
	}
	return b, len(raw) == 0 && b.expires > 0
}

const (
	// maxTries is how many sessions a new device starts with one ticket. Each
	// gives somebody in the middle who knows the ticket one guess at the digits.
	maxTries = 3
	// tryInterval lies between two tries, on both sides.
	tryInterval = 10 * time.Second
	// clockSkew is how late by its own clock a new device still tries a ticket.
	// The member's clock decides; the check here only saves a useless attempt.
	clockSkew = 5 * time.Minute
)

// ErrTooSoon means that less than ten seconds have passed since the last try.
var ErrTooSoon = errors.New("wait ten seconds between two tries")

// Ticket is an invite as the new device has read it. It is safe for concurrent
// use and prints redacted, since it contains the invite's secret.
type Ticket struct {
	body ticketBody // read-only

	mu    sync.Mutex
	tries int       // guarded by mu
	last  time.Time // of the last try; guarded by mu
	used  bool      // the member has opened its commitment; guarded by mu
}

// ParseTicket reads a ticket's text, regardless of letter case, blanks and line
// breaks. The errors are ErrTicketMalformed, ErrTicketVersion and
// ErrTicketMistyped. A ticket that parses may still be expired, used, or belong
// to somebody else.
func ParseTicket(text string) (*Ticket, error) {
	body, err := decodeTicket(text)
	if err != nil {
		return nil, fmt.Errorf("read ticket: %w", err)
	}
	return &Ticket{body: *body}, nil
}

// Addrs returns where the member can be reached: at most four strings of at most
// 256 bytes of printable text, in the transport's own form. They are hints that
// nothing vouches for. The caller owns the slice.
func (t *Ticket) Addrs() []string { return slices.Clone(t.body.addrs) }

// Expires returns when the member stops accepting the ticket, by its own clock.
func (t *Ticket) Expires() time.Time { return time.Unix(t.body.expires, 0) }

// Format prints a placeholder for every verb.
func (t *Ticket) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue keeps the ticket out of log/slog.
func (t *Ticket) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the ticket out of the encoders.
func (t *Ticket) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// check says why there must not be a try now.
func (t *Ticket) check(now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready(now)
}

// begin counts a try, or says why there must not be one.
func (t *Ticket) begin(now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.ready(now); err != nil {
		return err
	}
	t.tries++
	t.last = now
	return nil
}

func (t *Ticket) ready(now time.Time) error {
	switch {
	case t.used || t.tries >= maxTries:
		return ErrTicketUsed
	case now.After(t.Expires().Add(clockSkew)):
		return ErrTicketExpired
	case t.tries > 0 && now.Sub(t.last).Abs() < tryInterval:
		return ErrTooSoon
	}
	return nil
}

// spend marks that the member's commitment is open: from now on the digits could
// be steered, so no further session may use the ticket.
func (t *Ticket) spend() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used = true
}
