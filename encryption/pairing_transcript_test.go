package encryption

import (
	"encoding/binary"
	"strings"
	"testing"
)

func digitsOf(n uint32, codes uint32) string {
	var transcript Hash
	binary.BigEndian.PutUint32(transcript[:], n)
	return pairingDigits(NewSecret([32]byte{1}), transcript, codes)
}

// Each of ten codes is drawn about equally often, chi-square below the 0.1 %
// point for nine degrees of freedom. The inputs are fixed, so this cannot flicker.
func TestDigitsAreUniform(t *testing.T) {
	const draws, codes = 20_000, 10
	var counts [codes]float64
	for n := range uint32(draws) {
		counts[digitsOf(n, codes)[0]-'0']++
	}
	chi := 0.0
	for _, c := range counts {
		chi += (c - draws/codes) * (c - draws/codes) / (draws / codes)
	}
	if chi > 27.9 {
		t.Errorf("chi-square %.1f of %v", chi, counts)
	}
}

// With 2³¹+1 codes nearly half of all draws must be thrown away. A reduction
// that kept them would show codes in the lower half twice as often.
func TestDigitsThrowBiasedDrawsAway(t *testing.T) {
	const draws, codes = 4000, 1<<31 + 1
	low := 0
	for n := range uint32(draws) {
		if digitsOf(n, codes) < "1073741824" {
			low++
		}
	}
	// Half of the draws, four standard deviations of 32 either way.
	if low < draws/2-128 || low > draws/2+128 {
		t.Errorf("%d of %d codes in the lower half", low, draws)
	}
}

func TestDigitsKeepLeadingZeros(t *testing.T) {
	zeros := 0
	for n := range uint32(2000) {
		d := digitsOf(n, pairingCodes)
		if len(d) != 6 || strings.Trim(d, "0123456789") != "" {
			t.Fatalf("digits %q", d)
		}
		if d[0] == '0' {
			zeros++
		}
	}
	if zeros < 120 || zeros > 280 {
		t.Errorf("%d of 2000 codes begin with 0, expected about 200", zeros)
	}
}

// Everything in the transcript, and the boundaries between its parts, changes it.
func TestTranscriptCoversEverything(t *testing.T) {
	base := func() (pairingContext, []byte, []byte) {
		return pairingContext{
			Session: [16]byte{1}, Commitment: Hash{2}, Joiner: []byte("nn"), Inviter: []byte("aa"),
		}, []byte("hello"), []byte("opening")
	}
	changes := map[string]func(*pairingContext, *[]byte, *[]byte){
		"nothing":            func(*pairingContext, *[]byte, *[]byte) {},
		"session":            func(c *pairingContext, _, _ *[]byte) { c.Session[15]++ },
		"commitment":         func(c *pairingContext, _, _ *[]byte) { c.Commitment[31]++ },
		"joiner":             func(c *pairingContext, _, _ *[]byte) { c.Joiner = []byte("nm") },
		"inviter":            func(c *pairingContext, _, _ *[]byte) { c.Inviter = []byte("ab") },
		"peer ids swapped":   func(c *pairingContext, _, _ *[]byte) { c.Joiner, c.Inviter = c.Inviter, c.Joiner },
		"peer boundary":      func(c *pairingContext, _, _ *[]byte) { c.Joiner, c.Inviter = []byte("nna"), []byte("a") },
		"hello":              func(_ *pairingContext, h, _ *[]byte) { *h = []byte("hellp") },
		"opening":            func(_ *pairingContext, _, o *[]byte) { *o = []byte("openinh") },
		"boundary of frames": func(_ *pairingContext, h, o *[]byte) { *h, *o = []byte("helloo"), []byte("pening") },
	}
	seen := map[Hash]string{}
	for name, change := range changes {
		c, hello, opening := base()
		change(&c, &hello, &opening)
		for kind, hash := range map[string]Hash{"transcript": c.transcript(hello, opening), "request": c.request([32]byte{9})} {
			if kind == "request" && (name == "hello" || name == "opening" || name == "boundary of frames") {
				continue
			}
			if other, dup := seen[hash]; dup {
				t.Errorf("%s of %q equals %s", kind, name, other)
			}
			seen[hash] = kind + " of " + name
		}
	}
}
