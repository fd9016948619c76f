package encryption

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/starling-sync/starling/crdt/vectortest"
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
	try := func(v *vectortest.Vector) error { return tryPairing(t, v) }
	if good, _ := vectortest.Try(t, vectortest.Read(t, "pairing"), pairingVectorErrors(), try); good["pairing"] < 4 {
		t.Error("vectors are missing: ", good)
	}
}

func TestPairingVectorsAreReproduced(t *testing.T) {
	compareFrozen(t, makePairingVectors(t))
}

func tryPairing(t *testing.T, v *vectortest.Vector) error {
	ticket, err := ParseTicket(v.Get("ticket"))
	if err != nil {
		return err
	}
	now := time.Unix(int64(v.Number(t, "now")), 0)
	switch v.Get("role") {
	case "ticket":
		return tryPairingTicket(t, v, &ticket.body)
	case "joiner":
		return tryPairingJoiner(t, v, ticket, now)
	case "inviter":
		return tryPairingInviter(t, v, ticket, now)
	}
	return fmt.Errorf("role %q", v.Get("role"))
}

func tryPairingTicket(t *testing.T, v *vectortest.Vector, b *ticketBody) error {
	secret := secretOf(t, v, "secret")
	addrs := []string{}
	for _, f := range v.Fields {
		if f[0] == "address" {
			addrs = append(addrs, f[1])
		}
	}
	if !bytes.Equal(b.session[:], v.Bytes(t, "session")) || !bytes.Equal(b.commitment[:], v.Bytes(t, "commitment")) ||
		!b.secret.Equal(secret) || uint64(b.expires) != v.Number(t, "expires") || !slices.Equal(b.addrs, addrs) {
		return errVectorDiffers
	}
	return nil
}

// same compares what a side made with a field; an absent field ends the case.
func sameField(t *testing.T, v *vectortest.Vector, key string, made []byte) (more bool, err error) {
	want := v.Bytes(t, key)
	if want == nil {
		return false, nil
	}
	if !bytes.Equal(want, made) {
		return false, fmt.Errorf("%w: %s", errVectorDiffers, key)
	}
	return true, nil
}

func tryPairingJoiner(t *testing.T, v *vectortest.Vector, ticket *Ticket, now time.Time) error {
	keys := must(keysFromSeeds(secretOf(t, v, "signing-seed"), secretOf(t, v, "hpke-seed")))
	j := &Joiner{name: v.Get("name"), keys: keys, random: bytes.NewReader(append(v.Bytes(t, "nonce"), make([]byte, 64)...))}
	s, err := j.NewSession(ticket, now, v.Bytes(t, "joiner-peer"), v.Bytes(t, "inviter-peer"))
	if err != nil {
		return err
	}
	hello, err := s.Next(now, nil)
	if err != nil {
		return err
	}
	if more, err := sameField(t, v, "hello", hello); !more {
		return err
	}
	confirm, err := s.Next(now, v.Bytes(t, "opening"))
	if err != nil {
		return err
	}
	if more, err := sameField(t, v, "confirm", confirm); !more {
		return err
	}
	if s.Digits() != v.Get("digits") || !bytes.Equal(s.joining.Transcript[:], v.Bytes(t, "request-transcript")) ||
		!bytes.Equal(s.transcript[:], v.Bytes(t, "transcript")) {
		return fmt.Errorf("%w: digits %s", errVectorDiffers, s.Digits())
	}
	finish, err := s.Next(now, v.Bytes(t, "welcome"))
	if err != nil {
		return err
	}
	_, err = sameField(t, v, "finish", finish)
	return err
}

func tryPairingInviter(t *testing.T, v *vectortest.Vector, ticket *Ticket, now time.Time) error {
	inv := &Invite{
		ticket: ticket.body, opening: v.Bytes(t, "committed"), secrets: newPairingSecrets(&ticket.body), codes: pairingCodes,
	}
	s, err := inv.NewSession(now, v.Bytes(t, "inviter-peer"), v.Bytes(t, "joiner-peer"))
	if err != nil {
		return err
	}
	opening, err := s.Next(now, v.Bytes(t, "hello"))
	if err != nil {
		return err
	}
	if more, err := sameField(t, v, "opening", opening); !more {
		return err
	}
	if _, err := s.Next(now, v.Bytes(t, "confirm")); err != nil {
		return err
	}
	if s.Request().Name != v.Get("name") {
		return fmt.Errorf("%w: name %q", errVectorDiffers, s.Request().Name)
	}
	if err := s.Confirm(now, v.Get("digits")); err != nil {
		return err
	}
	welcome, err := s.Welcome(v.Bytes(t, "sealed"))
	if err != nil {
		return err
	}
	if more, err := sameField(t, v, "welcome", welcome); !more {
		return err
	}
	return s.Finish(v.Bytes(t, "finish"))
}

// makePairingVectors builds every case from fixed random bytes.
func makePairingVectors(t *testing.T) []*vectortest.Vector {
	cryptotest.SetGlobalRandom(t, 2)
	p := newPairing(t, 0x31)
	p.joiner.random = seeded(0x33)
	p.untilFinish()
	if err := p.a.Finish(p.finish); err != nil {
		t.Fatal(err)
	}
	return slices.Concat(p.ticketVectors(), p.inviterVectors(), p.joinerVectors())
}

func (p *pairing) ticketVectors() []*vectortest.Vector {
	b := p.invite.ticket
	ticket := func(name, comment, expect, text string) *vectortest.Vector {
		return vectortest.New("pairing-ticket-"+name, comment, expect).Text("role", "ticket").Text("ticket", text)
	}
	full := func(v *vectortest.Vector, addrs []string) *vectortest.Vector {
		v.Hex("session", b.session[:]).Hex("commitment", b.commitment[:]).Hex("secret", b.secret.slice()).Num("expires", uint64(b.expires))
		for _, a := range addrs {
			v.Text("address", a)
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
	return []*vectortest.Vector{
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
func (p *pairing) start(name, comment, expect, role string) *vectortest.Vector {
	return vectortest.New("pairing-"+name, comment, expect).Text("role", role).Text("ticket", p.invite.Ticket()).
		Num("now", uint64(p.now.Unix())).Hex("joiner-peer", joinerPeer).Hex("inviter-peer", inviterPeer)
}

func (p *pairing) inviterVectors() []*vectortest.Vector {
	begin := func(name, comment, expect string) *vectortest.Vector {
		return p.start("inviter-"+name, comment, expect, "inviter").Hex("committed", p.invite.opening).Text("name", "phone")
	}
	answered := func(name, comment, expect string) *vectortest.Vector {
		return begin(name, comment, expect).Hex("hello", p.hello).Hex("opening", p.opening)
	}
	digits := p.n.Digits()
	wrong := fmt.Sprintf("%06d", (must(strconv.Atoi(digits))+1)%pairingCodes)
	late := begin("expired", "the hello comes five minutes after the invite was opened", "ErrTicketExpired").Hex("hello", p.hello)
	setField(late, "now", fmt.Sprint(p.invite.ticket.expires))
	peer := begin("peer", "the hello was made for another peer id of the member", "ErrPairingMAC").Hex("hello", p.hello)
	setField(peer, "inviter-peer", fmt.Sprintf("%x", malloryPeer))
	return []*vectortest.Vector{
		answered("good", "the member's side of a whole pairing", "ok").Hex("confirm", p.confirm).Text("digits", digits).
			Hex("sealed", p.sealed).Hex("welcome", p.welcome).Hex("finish", p.finish),
		late, peer,
		begin("hello-mac", "the last byte of the hello, in its code", "ErrPairingMAC").Hex("hello", flipped(p.hello, len(p.hello)-1)),
		begin("hello-cut", "a hello without its last byte", "ErrMalformed").Hex("hello", p.hello[:len(p.hello)-1]),
		begin("hello-version", "a hello of version 2", "ErrUnsupported").Hex("hello", edited(p.hello, func(h *helloFrame) { h.Version = 2 })),
		begin("hello-kind", "a hello that says it is a confirmation", "ErrMalformed").Hex("hello", edited(p.hello, func(h *helloFrame) { h.Kind = frameConfirm })),
		begin("hello-session", "a hello for another invite", "ErrPairingMAC").Hex("hello", edited(p.hello, func(h *helloFrame) { h.Session[0] ^= 1 })),
		begin("hello-huge", "a hello over its limit", "ErrTooLarge").Hex("hello", make([]byte, maxHelloFrame+1)),
		begin("hello-name", "another name under the right code: the self-signature does not cover it", "ErrSignature").
			Hex("hello", p.recoded(func(h *helloFrame) { h.Name = "tablet" })),
		answered("confirm-mac", "the last byte of the confirmation", "ErrPairingMAC").Hex("confirm", flipped(p.confirm, len(p.confirm)-1)),
		answered("confirm-hello", "the hello again in place of the confirmation", "ErrTooLarge").Hex("confirm", p.hello),
		answered("digits", "the digits are one higher", "ErrDigits").Hex("confirm", p.confirm).Text("digits", wrong),
		answered("finish", "the last byte of the finish, in its signature", "ErrSignature").Hex("confirm", p.confirm).Text("digits", digits).
			Hex("sealed", p.sealed).Hex("welcome", p.welcome).Hex("finish", flipped(p.finish, len(p.finish)-1)),
	}
}

func (p *pairing) joinerVectors() []*vectortest.Vector {
	n, nonce := p.n, must(helloOf(p.hello)).Nonce
	begin := func(name, comment, expect string) *vectortest.Vector {
		return p.start("joiner-"+name, comment, expect, "joiner").Text("name", "phone").
			Hex("signing-seed", p.joiner.keys.signingSeed.slice()).Hex("hpke-seed", p.joiner.keys.hpkeSeed.slice()).
			Hex("nonce", nonce[:]).Hex("hello", p.hello)
	}
	asked := func(name, comment, expect string) *vectortest.Vector {
		return begin(name, comment, expect).Hex("opening", p.opening).Hex("confirm", p.confirm).Text("digits", n.Digits()).
			Hex("request-transcript", n.joining.Transcript[:]).Hex("transcript", n.transcript[:])
	}
	other := newOpening(p.member, n.context.Session, [32]byte{1})
	sealed := p.stolenWelcome()
	return []*vectortest.Vector{
		asked("good", "the new device's side of a whole pairing", "ok").Hex("welcome", p.welcome).Hex("finish", p.finish),
		begin("opening-mac", "the last byte of the opening frame, in its code", "ErrPairingMAC").Hex("opening", flipped(p.opening, len(p.opening)-1)),
		begin("opening-other", "an opening that the ticket did not commit to, with a right code", "ErrPairingMAC").
			Hex("opening", p.openingWith(other)),
		begin("opening-cut", "an opening frame without its last byte", "ErrMalformed").Hex("opening", p.opening[:len(p.opening)-1]),
		begin("opening-huge", "an opening frame over its limit", "ErrTooLarge").Hex("opening", make([]byte, maxOpeningFrame+1)),
		begin("opening-suite", "an opening frame of suite 2", "ErrUnsupported").
			Hex("opening", encode(&openingFrame{Version: 1, Suite: 2, Kind: frameOpening, Opening: p.invite.opening, MAC: make([]byte, 32)})),
		asked("welcome-mac", "the last byte of the welcome frame, in its code", "ErrPairingMAC").Hex("welcome", flipped(p.welcome, len(p.welcome)-1)),
		asked("welcome-kind", "a welcome frame that says it is an opening", "ErrMalformed").
			Hex("welcome", encode(&welcomeFrame{Version: 1, Suite: 1, Kind: frameOpening, Sealed: p.sealed, MAC: p.a.welcomeMAC})),
		asked("welcome-empty", "an empty welcome under a right code", "ErrWelcome").Hex("welcome", p.welcomeWith(nil)),
		asked("welcome-stranger", "a welcome into another account under a right code", "ErrWelcome").Hex("welcome", p.welcomeWith(sealed)),
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
func setField(v *vectortest.Vector, key, value string) {
	for i := range v.Fields {
		if v.Fields[i][0] == key {
			v.Fields[i][1] = value
		}
	}
}
