package encryption

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzTicket: whatever parses has one text form, and every refusal is typed.
func FuzzTicket(f *testing.F) {
	good := sampleTicket().encode()
	f.Add(good)
	f.Add("starling2" + good[9:])
	f.Add(good[:40] + " \n" + good[40:])
	f.Fuzz(func(t *testing.T, text string) {
		body, err := decodeTicket(text)
		if err != nil {
			if !errors.Is(err, ErrTicketMalformed) && !errors.Is(err, ErrTicketVersion) && !errors.Is(err, ErrTicketMistyped) {
				t.Fatalf("untyped error: %v", err)
			}
			return
		}
		again, err := decodeTicket(body.encode())
		if err != nil || !sameTicket(body, again) {
			t.Fatalf("encoded anew: %v", err)
		}
	})
}

// FuzzTicketBody gives arbitrary bytes a right checksum.
func FuzzTicketBody(f *testing.F) {
	raw, err := ticketBytes(sampleTicket().encode())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		body, err := decodeTicket(reseal(raw))
		if err != nil {
			wantError(t, err, ErrTicketMalformed)
			return
		}
		if body.encode() != reseal(raw) {
			t.Fatal("two byte forms of one ticket")
		}
	})
}

// FuzzPairingFrames gives arbitrary bytes to every step of both sides. Only the
// honest frame of a step may pass.
func FuzzPairingFrames(f *testing.F) {
	p := newPairing(f, 1).untilFinish()
	frames := [][]byte{p.hello, p.opening, p.confirm, p.welcome, p.finish}
	for step, frame := range frames {
		f.Add(uint8(step), frame)
		f.Add(uint8(step), frame[:len(frame)-1])
	}
	f.Fuzz(func(t *testing.T, at uint8, frame []byte) {
		step := int(at) % len(frames)
		// The same seeds give the same pairing, so its own frames are right here;
		// only the welcome differs by HPKE's randomness.
		if bytes.Equal(frame, frames[step]) {
			t.Skip("the honest frame")
		}
		out, err := newPairing(t, 1).runAltered(step, func([]byte) []byte { return frame })
		if !errors.Is(err, ErrPairing) || out != nil {
			t.Fatalf("step %d: answer of %d bytes, error %v", step, len(out), err)
		}
	})
}
