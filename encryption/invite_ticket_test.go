package encryption

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func sampleTicket() *ticketBody {
	b := &ticketBody{expires: 1_800_000_000, addrs: []string{"/ip4/192.168.1.20/udp/41641/quic-v1", "/ip4/192.168.1.20/tcp/41641"}}
	var secret [32]byte
	for i := range 32 {
		b.commitment[i] = byte(0x40 + i)
		secret[i] = byte(0x80 + i)
		b.session[i%16] = byte(i)
	}
	b.secret = NewSecret(secret)
	return b
}

func sameTicket(a, b *ticketBody) bool {
	return a.session == b.session && a.commitment == b.commitment && a.secret.Equal(b.secret) &&
		a.expires == b.expires && strings.Join(a.addrs, "\x00") == strings.Join(b.addrs, "\x00")
}

func TestTicketRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &ticketBody{
			session:    [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "session")),
			commitment: Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "commitment")),
			secret:     NewSecret([32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "secret"))),
			expires:    rapid.Int64Range(1, 1<<62).Draw(t, "expires"),
			addrs:      rapid.SliceOfN(rapid.StringMatching(`[!-~]{1,256}`), 0, 4).Draw(t, "addrs"),
		}
		text := b.encode()
		if rapid.Bool().Draw(t, "upper case, as in a QR code") {
			text = strings.ToUpper(text)
		}
		at := rapid.IntRange(0, len(text)).Draw(t, "line break at")
		text = " " + text[:at] + "\r\n \u00a0" + text[at:] + "\n"
		got, err := decodeTicket(text)
		if err != nil || !sameTicket(got, b) {
			t.Fatalf("decode: %v", err)
		}
	})
}

// reseal gives raw bytes a valid checksum and the text form, to reach what lies behind the checksum.
func reseal(raw []byte) string {
	raw = append(append([]byte(nil), raw...), ticketSum(raw)...)
	return "starling1" + strings.ToLower(ticketEncoding.EncodeToString(raw))
}

func rawTicket(t *testing.T, b *ticketBody) []byte {
	raw, err := ticketBytes(b.encode())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestTicketRejects(t *testing.T) {
	good := sampleTicket().encode()
	raw := rawTicket(t, sampleTicket())
	const count = 16 + 32 + 32 + 8
	edited := func(change func([]byte) []byte) string { return reseal(change(append([]byte(nil), raw...))) }
	withAddrs := func(addrs ...string) string {
		b := sampleTicket()
		b.addrs = addrs
		return b.encode()
	}
	cases := []struct {
		name, text string
		want       error
	}{
		{"empty", "", ErrTicketMalformed},
		{"other text", "https://example.org", ErrTicketMalformed},
		{"prefix only", "starling", ErrTicketMalformed},
		{"too long", good + strings.Repeat(" ", maxTicketText), ErrTicketMalformed},
		{"later version", "starling2" + good[9:], ErrTicketVersion},
		{"nothing behind the version", "starling1", ErrTicketMistyped},
		{"digit outside the alphabet", good[:20] + "1" + good[21:], ErrTicketMistyped},
		{"last letter missing", good[:len(good)-1], ErrTicketMistyped},
		{"second half missing", good[:len(good)/2], ErrTicketMistyped},
		{"letter added", good + "a", ErrTicketMistyped},
		{"padding added", good + "=", ErrTicketMistyped},
		{"two letters swapped", good[:30] + good[31:32] + good[30:31] + good[32:], ErrTicketMistyped},
		{"empty body", reseal(nil), ErrTicketMalformed},
		{"body cut in the addresses", reseal(raw[:len(raw)-1]), ErrTicketMalformed},
		{"body cut before the count", reseal(raw[:count]), ErrTicketMalformed},
		{"bytes behind the addresses", reseal(append(raw[:len(raw):len(raw)], 0)), ErrTicketMalformed},
		{"count too high", edited(func(b []byte) []byte { b[count]++; return b }), ErrTicketMalformed},
		{"count too low", edited(func(b []byte) []byte { b[count]--; return b }), ErrTicketMalformed},
		{"negative expiry", edited(func(b []byte) []byte { b[count-8] = 0x80; return b }), ErrTicketMalformed},
		{"no expiry", edited(func(b []byte) []byte { copy(b[count-8:count], make([]byte, 8)); return b }), ErrTicketMalformed},
		{"five addresses", withAddrs("a", "b", "c", "d", "e"), ErrTicketMalformed},
		{"long address", withAddrs(strings.Repeat("a", 257)), ErrTicketMalformed},
		{"empty address", withAddrs("a", ""), ErrTicketMalformed},
		{"address with a line break", withAddrs("a\nb"), ErrTicketMalformed},
		{"address with an escape", withAddrs("a\x1b[2J"), ErrTicketMalformed},
		{"address that is not UTF-8", withAddrs("a\xff"), ErrTicketMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ParseTicket(c.text); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
	if _, err := ParseTicket(good); err != nil {
		t.Errorf("the unaltered ticket: %v", err)
	}
}

// Every single wrong letter is told apart from a wrong ticket.
func TestTicketNoticesEveryMistypedLetter(t *testing.T) {
	good := sampleTicket().encode()
	for i := len("starling1"); i < len(good); i++ {
		for _, letter := range "abcdefghijklmnopqrstuvwxyz234567" {
			if byte(letter) == good[i] {
				continue
			}
			if _, err := decodeTicket(good[:i] + string(letter) + good[i+1:]); !errors.Is(err, ErrTicketMistyped) {
				t.Fatalf("letter %d changed to %c: %v", i, letter, err)
			}
		}
	}
}

func TestTicketSecretStaysOutOfLogs(t *testing.T) {
	b := sampleTicket()
	text := b.encode()
	ticket, err := ParseTicket(text)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+"\n", ticket, struct{ t *Ticket }{ticket})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "ticket", ticket)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "ticket", ticket)
	for _, leak := range []string{"80818283", "128 129 130", "0x80, 0x81", text[20:40]} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("printed form contains %q:\n%s", leak, out.String())
		}
	}
}
