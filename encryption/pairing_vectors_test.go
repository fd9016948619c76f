package encryption

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/cryptotest"
	"time"
)

// A case of kind pairing has a role. "ticket" is the text alone. "joiner" runs
// the new device: its keys and nonce are given, it must make the hello, and gets
// the opening and the welcome. "inviter" runs the member: the ticket and what it
// commits to are given, and it gets hello, confirmation, digits and finish. What
// a side answers must equal the next frame of the file. Reading stops where the
// file does; expect names the error of the last step.

var errVectorDiffers = errors.New("made other bytes than the vector")

func pairingVectorErrors() map[string]error {
	return map[string]error{
		"ok": nil, "ErrTicketMalformed": ErrTicketMalformed, "ErrTicketVersion": ErrTicketVersion,
		"ErrTicketMistyped": ErrTicketMistyped, "ErrTicketExpired": ErrTicketExpired, "ErrDigits": ErrDigits,
		"ErrPairingMAC": ErrPairingMAC, "ErrMalformed": ErrMalformed, "ErrTooLarge": ErrTooLarge,
		"ErrUnsupported": ErrUnsupported, "ErrSignature": ErrSignature, "ErrWelcome": ErrWelcome,
	}
}

func TestPairingVectors(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(vectorDir, "pairing-*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	good, bad := 0, 0
	for _, path := range paths {
		v := readVector(t, path)
		want, known := pairingVectorErrors()[v.get("expect")]
		if !known {
			t.Errorf("%s expects the unknown %q", v.name, v.get("expect"))
		}
		if want == nil {
			good++
		} else {
			bad++
		}
		if err := tryPairing(t, v); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s (%s): got %v, want %s", v.name, v.get("comment"), err, v.get("expect"))
		}
	}
	if good < 4 || bad <= good {
		t.Errorf("%d positive and %d negative vectors: some are missing", good, bad)
	}
}

func TestPairingVectorsAreReproduced(t *testing.T) {
	compareFrozen(t, makePairingVectors(t))
}

func tryPairing(t *testing.T, v *vector) error {
	ticket, err := ParseTicket(v.get("ticket"))
	if err != nil {
		return err
	}
	now := time.Unix(int64(v.number(t, "now")), 0)
	switch v.get("role") {
	case "ticket":
		return tryPairingTicket(t, v, &ticket.body)
	case "joiner":
		return tryPairingJoiner(t, v, ticket, now)
	case "inviter":
		return tryPairingInviter(t, v, ticket, now)
	}
	return fmt.Errorf("role %q", v.get("role"))
}

func tryPairingTicket(t *testing.T, v *vector, b *ticketBody) error {
	secret := v.secret(t, "secret")
	addrs := []string{}
	for _, f := range v.fields {
		if f[0] == "address" {
			addrs = append(addrs, f[1])
		}
	}
	if !bytes.Equal(b.session[:], v.bytes(t, "session")) || !bytes.Equal(b.commitment[:], v.bytes(t, "commitment")) ||
		!b.secret.Equal(secret) || uint64(b.expires) != v.number(t, "expires") || !slices.Equal(b.addrs, addrs) {
		return errVectorDiffers
	}
	return nil
}

// same compares what a side made with a field; an absent field ends the case.
func (v *vector) same(t *testing.T, key string, made []byte) (more bool, err error) {
	want := v.bytes(t, key)
	if want == nil {
		return false, nil
	}
	if !bytes.Equal(want, made) {
		return false, fmt.Errorf("%w: %s", errVectorDiffers, key)
	}
	return true, nil
}

func tryPairingJoiner(t *testing.T, v *vector, ticket *Ticket, now time.Time) error {
	keys := must(keysFromSeeds(v.secret(t, "signing-seed"), v.secret(t, "hpke-seed")))
	j := &Joiner{name: v.get("name"), keys: keys, random: bytes.NewReader(append(v.bytes(t, "nonce"), make([]byte, 64)...))}
	s, err := j.NewSession(ticket, now, v.bytes(t, "joiner-peer"), v.bytes(t, "inviter-peer"))
	if err != nil {
		return err
	}
	hello, err := s.Next(now, nil)
	if err != nil {
		return err
	}
	if more, err := v.same(t, "hello", hello); !more {
		return err
	}
	confirm, err := s.Next(now, v.bytes(t, "opening"))
	if err != nil {
		return err
	}
	if more, err := v.same(t, "confirm", confirm); !more {
		return err
	}
	if s.Digits() != v.get("digits") || !bytes.Equal(s.joining.Transcript[:], v.bytes(t, "request-transcript")) ||
		!bytes.Equal(s.transcript[:], v.bytes(t, "transcript")) {
		return fmt.Errorf("%w: digits %s", errVectorDiffers, s.Digits())
	}
	finish, err := s.Next(now, v.bytes(t, "welcome"))
	if err != nil {
		return err
	}
	_, err = v.same(t, "finish", finish)
	return err
}

func tryPairingInviter(t *testing.T, v *vector, ticket *Ticket, now time.Time) error {
	inv := &Invite{
		ticket: ticket.body, opening: v.bytes(t, "committed"), secrets: newPairingSecrets(&ticket.body), codes: pairingCodes,
	}
	s, err := inv.NewSession(now, v.bytes(t, "inviter-peer"), v.bytes(t, "joiner-peer"))
	if err != nil {
		return err
	}
	opening, err := s.Next(now, v.bytes(t, "hello"))
	if err != nil {
		return err
	}
	if more, err := v.same(t, "opening", opening); !more {
		return err
	}
	if _, err := s.Next(now, v.bytes(t, "confirm")); err != nil {
		return err
	}
	if s.Request().Name != v.get("name") {
		return fmt.Errorf("%w: name %q", errVectorDiffers, s.Request().Name)
	}
	if err := s.Confirm(now, v.get("digits")); err != nil {
		return err
	}
	welcome, err := s.Welcome(v.bytes(t, "sealed"))
	if err != nil {
		return err
	}
	if more, err := v.same(t, "welcome", welcome); !more {
		return err
	}
	return s.Finish(v.bytes(t, "finish"))
}

// makePairingVectors builds every case from fixed random bytes.
func makePairingVectors(t *testing.T) []*vector {
	cryptotest.SetGlobalRandom(t, 2)
	p := newPairing(t, 0x31)
	p.joiner.random = seeded(0x33)
	p.untilFinish()
	if err := p.a.Finish(p.finish); err != nil {
		t.Fatal(err)
	}
	return slices.Concat(p.ticketVectors(), p.inviterVectors(), p.joinerVectors())
}

func (p *pairing) ticketVectors() []*vector {
	b := p.invite.ticket
	ticket := func(name, comment, expect, text string) *vector {
		return newVector("pairing-ticket-"+name, comment, expect).text("role", "ticket").text("ticket", text)
	}
	full := func(v *vector, addrs []string) *vector {
		v.hex("session", b.session[:]).hex("commitment", b.commitment[:]).hex("secret", b.secret.slice()).num("expires", uint64(b.expires))
		for _, a := range addrs {
			v.text("address", a)
		}
		return v
	}
	text := b.encode()
	wrong := 'a'
	if text[50] == 'a' {
		wrong = 'b'
	}
	bare := b
	bare.addrs = nil
	upper := bytes.ToUpper([]byte(text))
	raw := must(ticketBytes(text))
	long := b
	long.addrs = []string{string(bytes.Repeat([]byte{'a'}, MaxTicketAddr+1))}
	five := b
	five.addrs = []string{"a", "b", "c", "d", "e"}
	return []*vector{
		full(ticket("good", "a ticket with two addresses", "ok", text), b.addrs),
		full(ticket("upper", "the same in upper case with blanks inside", "ok", string(upper[:40])+" \t"+string(upper[40:])), b.addrs),
		full(ticket("bare", "a ticket without addresses", "ok", bare.encode()), nil),
		ticket("empty", "no text", "ErrTicketMalformed", ""),
		ticket("prefix", "another prefix", "ErrTicketMalformed", "sparrow1"+text[9:]),
		ticket("version", "a later version", "ErrTicketVersion", "starling2"+text[9:]),
		ticket("letter", "one letter changed", "ErrTicketMistyped", text[:50]+string(wrong)+text[51:]),
		ticket("cut", "the last letter missing", "ErrTicketMistyped", text[:len(text)-1]),
		ticket("digit", "a character outside the alphabet", "ErrTicketMistyped", text[:50]+"0"+text[51:]),
		ticket("short", "body cut, checksum right", "ErrTicketMalformed", reseal(raw[:len(raw)-1])),
		ticket("trailing", "a byte behind the addresses, checksum right", "ErrTicketMalformed", reseal(append(slices.Clone(raw), 0))),
		ticket("address", "an address of 257 bytes", "ErrTicketMalformed", long.encode()),
		ticket("addresses", "five addresses", "ErrTicketMalformed", five.encode()),
	}
}

// start is the part that all cases of a role share.
func (p *pairing) start(name, comment, expect, role string) *vector {
	return newVector("pairing-"+name, comment, expect).text("role", role).text("ticket", p.invite.Ticket()).
		num("now", uint64(p.now.Unix())).hex("joiner-peer", joinerPeer).hex("inviter-peer", inviterPeer)
}

func (p *pairing) inviterVectors() []*vector {
	begin := func(name, comment, expect string) *vector {
		return p.start("inviter-"+name, comment, expect, "inviter").hex("committed", p.invite.opening).text("name", "phone")
	}
	answered := func(name, comment, expect string) *vector {
		return begin(name, comment, expect).hex("hello", p.hello).hex("opening", p.opening)
	}
	digits := p.n.Digits()
	wrong := fmt.Sprintf("%06d", (must(strconv.Atoi(digits))+1)%pairingCodes)
	late := begin("expired", "the hello comes five minutes after the invite was opened", "ErrTicketExpired").hex("hello", p.hello)
	late.set("now", fmt.Sprint(p.invite.ticket.expires))
	peer := begin("peer", "the hello was made for another peer id of the member", "ErrPairingMAC").hex("hello", p.hello)
	peer.set("inviter-peer", fmt.Sprintf("%x", malloryPeer))
	return []*vector{
		answered("good", "the member's side of a whole pairing", "ok").hex("confirm", p.confirm).text("digits", digits).
			hex("sealed", p.sealed).hex("welcome", p.welcome).hex("finish", p.finish),
		late, peer,
		begin("hello-mac", "the last byte of the hello, in its code", "ErrPairingMAC").hex("hello", flipped(p.hello, len(p.hello)-1)),
		begin("hello-cut", "a hello without its last byte", "ErrMalformed").hex("hello", p.hello[:len(p.hello)-1]),
		begin("hello-version", "a hello of version 2", "ErrUnsupported").hex("hello", edited(p.hello, func(h *helloFrame) { h.Version = 2 })),
		begin("hello-kind", "a hello that says it is a confirmation", "ErrMalformed").hex("hello", edited(p.hello, func(h *helloFrame) { h.Kind = frameConfirm })),
		begin("hello-session", "a hello for another invite", "ErrPairingMAC").hex("hello", edited(p.hello, func(h *helloFrame) { h.Session[0] ^= 1 })),
		begin("hello-huge", "a hello over its limit", "ErrTooLarge").hex("hello", make([]byte, maxHelloFrame+1)),
		begin("hello-name", "another name under the right code: the self-signature does not cover it", "ErrSignature").
			hex("hello", p.recoded(func(h *helloFrame) { h.Name = "tablet" })),
		answered("confirm-mac", "the last byte of the confirmation", "ErrPairingMAC").hex("confirm", flipped(p.confirm, len(p.confirm)-1)),
		answered("confirm-hello", "the hello again in place of the confirmation", "ErrTooLarge").hex("confirm", p.hello),
		answered("digits", "the digits are one higher", "ErrDigits").hex("confirm", p.confirm).text("digits", wrong),
		answered("finish", "the last byte of the finish, in its signature", "ErrSignature").hex("confirm", p.confirm).text("digits", digits).
			hex("sealed", p.sealed).hex("welcome", p.welcome).hex("finish", flipped(p.finish, len(p.finish)-1)),
	}
}

func (p *pairing) joinerVectors() []*vector {
	n, nonce := p.n, must(helloOf(p.hello)).Nonce
	begin := func(name, comment, expect string) *vector {
		return p.start("joiner-"+name, comment, expect, "joiner").text("name", "phone").
			hex("signing-seed", p.joiner.keys.signingSeed.slice()).hex("hpke-seed", p.joiner.keys.hpkeSeed.slice()).
			hex("nonce", nonce[:]).hex("hello", p.hello)
	}
	asked := func(name, comment, expect string) *vector {
		return begin(name, comment, expect).hex("opening", p.opening).hex("confirm", p.confirm).text("digits", n.Digits()).
			hex("request-transcript", n.joining.Transcript[:]).hex("transcript", n.transcript[:])
	}
	other := newOpening(p.member, n.context.Session, [32]byte{1})
	sealed := p.stolenWelcome()
	return []*vector{
		asked("good", "the new device's side of a whole pairing", "ok").hex("welcome", p.welcome).hex("finish", p.finish),
		begin("opening-mac", "the last byte of the opening frame, in its code", "ErrPairingMAC").hex("opening", flipped(p.opening, len(p.opening)-1)),
		begin("opening-other", "an opening that the ticket did not commit to, with a right code", "ErrPairingMAC").
			hex("opening", p.openingWith(other)),
		begin("opening-cut", "an opening frame without its last byte", "ErrMalformed").hex("opening", p.opening[:len(p.opening)-1]),
		begin("opening-huge", "an opening frame over its limit", "ErrTooLarge").hex("opening", make([]byte, maxOpeningFrame+1)),
		begin("opening-suite", "an opening frame of suite 2", "ErrUnsupported").
			hex("opening", encode(&openingFrame{Version: 1, Suite: 2, Kind: frameOpening, Opening: p.invite.opening, MAC: make([]byte, 32)})),
		asked("welcome-mac", "the last byte of the welcome frame, in its code", "ErrPairingMAC").hex("welcome", flipped(p.welcome, len(p.welcome)-1)),
		asked("welcome-kind", "a welcome frame that says it is an opening", "ErrMalformed").
			hex("welcome", encode(&welcomeFrame{Version: 1, Suite: 1, Kind: frameOpening, Sealed: p.sealed, MAC: p.a.welcomeMAC})),
		asked("welcome-empty", "an empty welcome under a right code", "ErrWelcome").hex("welcome", p.welcomeWith(nil)),
		asked("welcome-stranger", "a welcome into another account under a right code", "ErrWelcome").hex("welcome", p.welcomeWith(sealed)),
	}
}

// stolenWelcome is what a stranger who knows the ticket seals.
func (p *pairing) stolenWelcome() []byte {
	return sealWelcome(p.tb, newFounder(p.tb, "stranger", 0x35), p.n.joining)
}

func (p *pairing) openingWith(opening []byte) []byte {
	transcript := p.n.context.transcript(p.hello, opening)
	return encode(&openingFrame{
		Version: 1, Suite: 1, Kind: frameOpening, Opening: opening, MAC: pairingMAC(p.invite.secrets.opening, transcript[:]),
	})
}

func (p *pairing) welcomeWith(sealed []byte) []byte {
	return encode(&welcomeFrame{
		Version: 1, Suite: 1, Kind: frameWelcome, Sealed: sealed,
		MAC: pairingMAC(p.invite.secrets.welcome, p.n.transcript[:], sealed),
	})
}

func helloOf(frame []byte) (*helloFrame, error) {
	h := new(helloFrame)
	return h, decode(frame, maxHelloFrame, h)
}

// edited changes a hello and leaves its code as it was.
func edited(frame []byte, change func(*helloFrame)) []byte {
	h := must(helloOf(frame))
	change(h)
	return encode(h)
}

// recoded changes a hello and makes its code anew.
func (p *pairing) recoded(change func(*helloFrame)) []byte {
	h := must(helloOf(p.hello))
	change(h)
	h.MAC = nil
	transcript := p.n.context.request(h.Nonce)
	h.MAC = pairingMAC(p.invite.secrets.hello, transcript[:], encode(h))
	return encode(h)
}

// set replaces a field that is there.
func (v *vector) set(key, value string) {
	for i := range v.fields {
		if v.fields[i][0] == key {
			v.fields[i][1] = value
		}
	}
}
