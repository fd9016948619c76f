package encryption

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestReplayedFramesAreRefused(t *testing.T) {
	old := newPairing(t, 1).untilFinish()
	t.Run("hello on another connection", func(t *testing.T) {
		p := newPairing(t, 1)
		a, err := p.invite.NewSession(p.now, inviterPeer, malloryPeer)
		if err != nil {
			t.Fatal(err)
		}
		out, err := a.Next(p.now, old.hello)
		refused(t, out, err, ErrPairingMAC)
	})
	t.Run("hello to another invite", func(t *testing.T) {
		p := newPairing(t, 1)
		p.reopen(20)
		out, err := p.a.Next(p.now, old.hello)
		refused(t, out, err, ErrPairingMAC)
	})
	t.Run("opening to another try", func(t *testing.T) {
		p := newPairing(t, 1)
		p.step(p.n.Next(p.now, nil))
		p.now = p.now.Add(tryInterval)
		p.n = p.joinSession(p.ticket)
		p.step(p.n.Next(p.now, nil))
		out, err := p.n.Next(p.now, old.opening)
		refused(t, out, err, ErrPairingMAC)
		_, err = p.joiner.NewSession(p.ticket, p.now.Add(tryInterval), joinerPeer, inviterPeer)
		refused(t, nil, err, ErrTicketUsed)
	})
	t.Run("opening of another invite", func(t *testing.T) {
		p := newPairing(t, 1)
		p.reopen(20)
		out, err := p.untilOpening().n.Next(p.now, old.opening)
		refused(t, out, err, ErrPairingMAC)
	})
	t.Run("confirmation of another pairing", func(t *testing.T) {
		p := newPairing(t, 1)
		p.reopen(20)
		out, err := p.untilConfirm().a.Next(p.now, old.confirm)
		refused(t, out, err, ErrPairingMAC)
	})
	t.Run("finish of another pairing", func(t *testing.T) {
		p := newPairing(t, 1)
		p.reopen(20)
		refused(t, nil, p.untilFinish().a.Finish(old.finish), ErrSignature)
	})
}

func TestThreeWrongRequestsVoidTheInvite(t *testing.T) {
	p := newPairing(t, 1).untilHello()
	for i := range maxMisses {
		wantError(t, p.invite.Check(p.now), nil)
		a := p.inviteSession()
		out, err := a.Next(p.now, flipped(p.hello, len(p.hello)-1))
		refused(t, out, err, ErrPairingMAC)
		if i < maxMisses-1 {
			p.now = p.now.Add(tryInterval)
		}
	}
	wantError(t, p.invite.Check(p.now), ErrInviteBurned)
	out, err := p.a.Next(p.now.Add(tryInterval), p.hello)
	refused(t, out, err, ErrInviteBurned)
}

func TestTenSecondsBetweenTries(t *testing.T) {
	p := newPairing(t, 1).untilHello()
	bad := flipped(p.hello, len(p.hello)-1)
	out, err := p.inviteSession().Next(p.now, bad)
	refused(t, out, err, ErrPairingMAC)
	soon := p.inviteSession()
	out, err = soon.Next(p.now.Add(tryInterval-time.Nanosecond), p.hello)
	refused(t, out, err, ErrTooSoon)
	if out, err := p.a.Next(p.now.Add(tryInterval), p.hello); err != nil || out == nil {
		t.Errorf("the true device after ten seconds: %v", err)
	}
}

// Who does not know the ticket cannot use up the tries of who does.
func TestStrangersDoNotVoidTheInvite(t *testing.T) {
	p := newPairing(t, 1).untilHello()
	random := rand.New(rand.NewChaCha8([32]byte{5}))
	var h helloFrame
	if err := decode(p.hello, maxHelloFrame, &h); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		stranger := p.inviteSession()
		frame := slices.Clone(p.hello[:random.IntN(len(p.hello))])
		if i%2 == 0 {
			h.Session = [16]byte{byte(i)}
			frame = encode(&h)
		}
		out, err := stranger.Next(p.now, frame)
		refuseAny(t, out, err)
	}
	p.untilDigitsFrom(t)
}

// untilDigitsFrom goes on after the hello was made.
func (p *pairing) untilDigitsFrom(t *testing.T) {
	t.Helper()
	confirm := p.step(p.n.Next(p.now, p.step(p.a.Next(p.now, p.hello))))
	p.step(p.a.Next(p.now, confirm))
}

// The holder of a ticket who sends keys that are not his is counted as well.
func TestHelloWithForeignKeysIsRefused(t *testing.T) {
	p := newPairing(t, 1).untilHello()
	var h helloFrame
	if err := decode(p.hello, maxHelloFrame, &h); err != nil {
		t.Fatal(err)
	}
	other := newTestJoiner(t, "phone", 9)
	for name, change := range map[string]func(*helloFrame){
		"signing key":      func(h *helloFrame) { h.SigningKey = other.keys.signingPublic() },
		"hpke key":         func(h *helloFrame) { h.HPKEKey = other.keys.hpkePublic() },
		"name":             func(h *helloFrame) { h.Name = "laptop" },
		"nonce":            func(h *helloFrame) { h.Nonce[0]++ },
		"short hpke key":   func(h *helloFrame) { h.HPKEKey = h.HPKEKey[1:] },
		"name with escape": func(h *helloFrame) { h.Name = "\x1b[2J" },
		"no signature":     func(h *helloFrame) { h.SelfSignature = nil },
	} {
		t.Run(name, func(t *testing.T) {
			p.reopen(1)
			bad := h
			change(&bad)
			bad.MAC = nil
			transcript := p.a.context.request(bad.Nonce)
			bad.MAC = pairingMAC(p.invite.secrets.hello, transcript[:], encode(&bad))
			out, err := p.a.Next(p.now, encode(&bad))
			refuseAny(t, out, err)
			if p.invite.misses != 1 {
				t.Errorf("counted %d times", p.invite.misses)
			}
		})
	}
}

// A bit that changes anywhere in any frame ends the pairing without a link.
func TestFlippedBitsAreNoticed(t *testing.T) {
	good := newPairing(t, 1).untilFinish()
	flips := func(frame []byte, refuse func(bad []byte) ([]byte, error)) {
		t.Helper()
		for at := range frame {
			bad := slices.Clone(frame)
			bad[at] ^= 1 << (at % 8)
			if out, err := refuse(bad); err == nil || out != nil {
				t.Errorf("byte %d of %d: accepted", at, len(frame))
			}
		}
	}
	p := newPairing(t, 1)
	flips(good.hello, func(bad []byte) ([]byte, error) {
		p.reopen(1)
		return p.a.Next(p.now, bad)
	})
	p = newPairing(t, 1).untilOpening()
	if !bytes.Equal(p.opening, good.opening) {
		t.Fatal("the same seeds gave another opening")
	}
	waiting := *p.n
	flips(good.opening, func(bad []byte) ([]byte, error) {
		n := waiting
		return n.Next(p.now, bad)
	})
	p.untilConfirmFrom()
	flips(good.confirm, func(bad []byte) ([]byte, error) {
		p.a.step, p.invite.burned = awaitConfirm, false
		out, err := p.a.Next(p.now, bad)
		if p.a.Request() != nil || !p.invite.burned {
			t.Error("a wrong confirmation left the invite open")
		}
		return out, err
	})
	p = newPairing(t, 1).untilWelcome()
	awaiting := *p.n
	flips(p.welcome, func(bad []byte) ([]byte, error) {
		n := awaiting
		out, err := n.Next(p.now, bad)
		if n.Done() || p.joiner.stored != nil {
			t.Error("a wrong welcome was kept")
		}
		return out, err
	})
	finish := p.step(p.n.Next(p.now, p.welcome))
	flips(finish, func(bad []byte) ([]byte, error) {
		p.a.step = awaitFinish
		return nil, p.a.Finish(bad)
	})
}

func (p *pairing) untilConfirmFrom() {
	p.tb.Helper()
	p.confirm = p.step(p.n.Next(p.now, p.opening))
}

// Each peer id on each side is part of what both must agree on.
func TestWrongPeerIDsAreNoticed(t *testing.T) {
	for name, peers := range map[string][2][]byte{
		"new device sees another member":  {joinerPeer, malloryPeer},
		"new device is seen as another":   {malloryPeer, inviterPeer},
		"both":                            {malloryPeer, []byte("x")},
		"both swapped":                    {inviterPeer, joinerPeer},
		"boundary between the two shifts": {append(slices.Clone(joinerPeer), inviterPeer[0]), inviterPeer[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPairing(t, 1)
			n, err := p.joiner.NewSession(p.ticket, p.now, peers[0], peers[1])
			if err != nil {
				t.Fatal(err)
			}
			out, err := p.a.Next(p.now, p.step(n.Next(p.now, nil)))
			refused(t, out, err, ErrPairingMAC)
		})
	}
}

// Whatever is done to one frame of an otherwise honest pairing, nobody ends up
// linked by it, and no step but Confirm with the right digits lets a welcome out.
func TestAlteredFramesNeverLink(t *testing.T) {
	good := newPairing(t, 1).untilFinish()
	frames := [][]byte{good.hello, good.opening, good.confirm, good.welcome, good.finish}
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.IntRange(0, 4).Draw(rt, "frame")
		alter := rapid.SampledFrom([]func([]byte) []byte{
			func(b []byte) []byte { return b[:rapid.IntRange(0, len(b)-1).Draw(rt, "cut at")] },
			func(b []byte) []byte { return append(b, rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(rt, "added")...) },
			func(b []byte) []byte {
				b[rapid.IntRange(0, len(b)-1).Draw(rt, "at")] ^= rapid.ByteRange(1, 255).Draw(rt, "by")
				return b
			},
			func([]byte) []byte { return slices.Clone(frames[(at+rapid.IntRange(1, 4).Draw(rt, "other"))%5]) },
			func([]byte) []byte { return rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(rt, "noise") },
		}).Draw(rt, "how")
		p := newPairing(t, 1)
		answer, err := p.runAltered(at, alter)
		if !errors.Is(err, ErrPairing) || answer != nil || p.joiner.stored != nil && at < 4 {
			rt.Fatalf("answer of %d bytes, error %v", len(answer), err)
		}
	})
}

// runAltered runs a pairing in which frame number at is replaced on its way, and
// returns what its receiver made of it.
func (p *pairing) runAltered(at int, alter func([]byte) []byte) (answer []byte, err error) {
	steps := []func(in []byte) ([]byte, error){
		func(in []byte) ([]byte, error) { return p.a.Next(p.now, in) },
		func(in []byte) ([]byte, error) { return p.n.Next(p.now, in) },
		func(in []byte) ([]byte, error) {
			if out, err := p.a.Next(p.now, in); err != nil {
				return out, err
			}
			if err := p.a.Confirm(p.now, p.n.Digits()); err != nil {
				return nil, err
			}
			return p.a.Welcome(sealWelcome(p.tb, p.member, p.a.Request()))
		},
		func(in []byte) ([]byte, error) { return p.n.Next(p.now, in) },
		func(in []byte) ([]byte, error) { return nil, p.a.Finish(in) },
	}
	frame := p.step(p.n.Next(p.now, nil))
	for _, step := range steps[:at] {
		frame = p.step(step(frame))
	}
	return steps[at](alter(slices.Clone(frame)))
}
