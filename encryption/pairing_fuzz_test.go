package encryption

import (
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

// FuzzPairingFrames gives arbitrary bytes, starting from the frames of another
// pairing, to every step of both sides. None may pass.
func FuzzPairingFrames(f *testing.F) {
	other := newPairing(f, 2).untilFinish()
	frames := [][]byte{other.hello, other.opening, other.confirm, other.welcome, other.finish}
	for step, frame := range frames {
		f.Add(uint8(step), frame)
		f.Add(uint8(step), frame[:len(frame)-1])
	}
	f.Fuzz(func(t *testing.T, at uint8, frame []byte) {
		step := int(at) % len(frames)
		out, err := newPairing(t, 1).runAltered(step, func([]byte) []byte { return frame })
		if !errors.Is(err, ErrPairing) || out != nil {
			t.Fatalf("step %d: answer of %d bytes, error %v", step, len(out), err)
		}
	})
}
