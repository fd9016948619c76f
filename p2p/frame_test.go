package p2p

import (
	"bytes"
	"io"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func TestFrameLimits(t *testing.T) {
	for _, c := range []struct {
		name  string
		in    string
		limit int
		ok    bool
	}{
		{"empty", "\x00\x00\x00\x00", 0, true},
		{"at the limit", "\x00\x00\x00\x02ab", 2, true},
		{"over the limit", "\x00\x00\x00\x03abc", 2, false},
		{"4 GiB", "\xff\xff\xff\xff", 1 << 20, false},
		{"cut head", "\x00\x00\x00", 9, false},
		{"cut body", "\x00\x00\x00\x03ab", 9, false},
		{"nothing", "", 9, false},
	} {
		if _, err := readFrame(strings.NewReader(c.in), c.limit); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	var b bytes.Buffer
	if err := writeFrame(&b, []byte("text")); err != nil {
		t.Fatal(err)
	}
	if got, err := readFrame(&b, 4); string(got) != "text" || err != nil || b.Len() != 0 {
		t.Errorf("read back %q, %v", got, err)
	}
}

// TestFrameMemory: a length is no reason to allocate.
func TestFrameMemory(t *testing.T) {
	promise := &largest{Reader: strings.NewReader("\x00\x10\x00\x00x")}
	if _, err := readFrame(promise, 1<<20); err == nil {
		t.Error("a cut frame was read")
	}
	if promise.n > 4096 {
		t.Errorf("a buffer of %d bytes for a promise of 1 MiB", promise.n)
	}
}

// largest notes the largest buffer it was asked to fill.
type largest struct {
	io.Reader
	n int
}

func (l *largest) Read(b []byte) (int, error) {
	l.n = max(l.n, len(b))
	return l.Reader.Read(b)
}

func sampleCard() card {
	return card{holds: true, at: stamp{run: 7, n: 9}, addrs: []ma.Multiaddr{
		ma.StringCast("/ip4/192.168.1.2/udp/4001/quic-v1"), ma.StringCast("/ip6/fd00::1/tcp/4001"),
	}}
}

// TestCardVector pins the bytes of SPEC.md.
func TestCardVector(t *testing.T) {
	want := "\x01\x01" + "\x00\x00\x00\x00\x00\x00\x00\x07" + "\x00\x00\x00\x00\x00\x00\x00\x09" + "\x02" +
		"\x0b\x04\xc0\xa8\x01\x02\x91\x02\x0f\xa1\xcd\x03" +
		"\x14\x29\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x06\x0f\xa1"
	got := sampleCard().encode()
	if string(got) != want {
		t.Errorf("card is %q, want %q", got, want)
	}
	c, err := parseCard(got)
	if err != nil || !c.holds || c.at != (stamp{7, 9}) || len(c.addrs) != 2 {
		t.Errorf("read back %+v, %v", c, err)
	}
}

func TestCardRefuses(t *testing.T) {
	good := sampleCard().encode()
	for n := range good {
		if _, err := parseCard(good[:n]); err == nil {
			t.Errorf("cut at %d was taken", n)
		}
	}
	edit := func(i int, b byte) []byte {
		out := bytes.Clone(good)
		out[i] = b
		return out
	}
	for name, b := range map[string][]byte{
		"another version": edit(0, 2), "more addresses than allowed": edit(18, 17),
		"a byte too many": append(bytes.Clone(good), 0), "an address too long": edit(19, 255),
	} {
		if _, err := parseCard(b); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for name, b := range map[string][]byte{"an unknown flag": edit(1, 0x81), "an address of an unknown kind": edit(20, 0x7f)} {
		if _, err := parseCard(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCardTellsLoopbackOnlyLocally pins which addresses go into a card.
func TestCardTellsLoopbackOnlyLocally(t *testing.T) {
	all := []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/1"), ma.StringCast("/ip4/10.0.0.1/tcp/1")}
	if got := cardFor(all, ma.StringCast("/ip4/10.0.0.2/tcp/9")); len(got) != 1 || got[0].String() != "/ip4/10.0.0.1/tcp/1" {
		t.Errorf("to the network: %v", got)
	}
	if got := cardFor(all, ma.StringCast("/ip4/127.0.0.1/tcp/9")); len(got) != 2 {
		t.Errorf("to this machine: %v", got)
	}
	var many []ma.Multiaddr
	for range 100 {
		many = append(many, all[1])
	}
	if c, err := parseCard(card{addrs: cardFor(many, all[0])}.encode()); err != nil || len(c.addrs) != maxCardAddrs {
		t.Errorf("100 addresses: %d, %v", len(c.addrs), err)
	}
}

func FuzzCard(f *testing.F) {
	f.Add(sampleCard().encode())
	f.Add(card{}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCard(b)
		if err != nil {
			return
		}
		again, err := parseCard(c.encode())
		if err != nil || again.holds != c.holds || again.at != c.at || len(again.addrs) != len(c.addrs) {
			t.Errorf("%+v became %+v, %v", c, again, err)
		}
		for _, a := range c.addrs {
			if !dialable(a) {
				t.Errorf("took %v", a)
			}
		}
	})
}

func FuzzAnnouncement(f *testing.F) {
	f.Add("dnsaddr=/ip4/127.0.0.1/tcp/1/p2p/12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x")
	f.Fuzz(func(t *testing.T, s string) {
		a, _, err := parsePeer(s)
		if err == nil && !dialable(a) {
			t.Errorf("took %v", a)
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01x"), uint16(4))
	f.Fuzz(func(t *testing.T, b []byte, limit uint16) {
		got, err := readFrame(bytes.NewReader(b), int(limit))
		if err == nil && (len(got) > int(limit) || len(got) > len(b)-4) {
			t.Errorf("%d bytes from %d, limit %d", len(got), len(b), limit)
		}
	})
}
