package encryption

import (
	"crypto/subtle"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// InviteSession is the member's side of one attempt to link. It is safe for
// concurrent use. Any error but those that say so ends it.
type InviteSession struct {
	invite  *Invite
	context pairingContext

	// Guarded by invite.mu.
	step       pairingStep
	joining    *JoinRequest
	transcript Hash
	welcomeMAC []byte
}

// NewSession starts the member's side on a connection between these two
// transport peer ids (1 to 128 bytes). The error wraps ErrInviteBurned,
// ErrTicketUsed or ErrTicketExpired when the invite is over; a session that
// never gets a hello costs the invite nothing.
func (inv *Invite) NewSession(now time.Time, localPeer, remotePeer []byte) (*InviteSession, error) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if err := inv.usable(now); err != nil {
		return nil, pairingError(err)
	}
	context, err := newPairingContext(&inv.ticket, remotePeer, localPeer)
	if err != nil {
		return nil, pairingError(err)
	}
	return &InviteSession{invite: inv, context: context, step: awaitHello}, nil
}

// Limit returns the size in bytes that the next frame from the new device may
// have; zero means that it must not send now.
func (s *InviteSession) Limit() int {
	s.invite.mu.Lock()
	defer s.invite.mu.Unlock()
	return s.step.frameLimit()
}

// Next takes a hello and returns the opening, then takes the confirmation and
// returns nothing: from then on Request is set and the person may type digits.
func (s *InviteSession) Next(now time.Time, in []byte) (out []byte, err error) {
	s.invite.mu.Lock()
	defer s.invite.mu.Unlock()
	switch s.step {
	case awaitHello:
		out, err = s.takeHello(now, in)
	case awaitConfirm:
		err = s.takeConfirm(now, in)
	default:
		err = ErrPairingOrder
	}
	if err != nil {
		return nil, s.fail(err)
	}
	return out, nil
}

// Request returns what the new device asks for, to show to the person and to
// prepare the add from; nil before the device has proven that it holds the
// ticket. It does not say that the device is the right one: only Confirm does.
func (s *InviteSession) Request() *JoinRequest {
	s.invite.mu.Lock()
	defer s.invite.mu.Unlock()
	if s.step < awaitDigits || s.step == pairingFailed {
		return nil
	}
	return s.joining
}

// Confirm compares the digits that the person read on the new device. Blanks and
// hyphens are ignored; anything else that is not as many digits as expected is
// ErrMalformed, which is no attempt and can be corrected. Wrong digits are
// ErrDigits and void the invite.
func (s *InviteSession) Confirm(now time.Time, digits string) error {
	s.invite.mu.Lock()
	defer s.invite.mu.Unlock()
	if s.step != awaitDigits {
		return s.fail(ErrPairingOrder)
	}
	if err := s.invite.alive(now); err != nil {
		return s.fail(err)
	}
	want := pairingDigits(s.invite.secrets.digits, s.transcript, s.invite.codes)
	typed, err := cleanDigits(digits, len(want))
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(typed), []byte(want)) != 1 {
		return s.fail(ErrDigits)
	}
	s.step = awaitWelcome
	return nil
}

// Welcome frames the welcome that was sealed for the confirmed request. The add
// operation must be durable before the frame is sent.
func (s *InviteSession) Welcome(sealed []byte) (out []byte, err error) {
	s.invite.mu.Lock()
	defer s.invite.mu.Unlock()
	if s.step != awaitWelcome || s.invite.burned {
		return nil, s.fail(ErrPairingOrder)
	}
	if len(sealed) > MaxWelcome {
		return nil, s.fail(fmt.Errorf("%w: welcome of %d bytes", ErrTooLarge, len(sealed)))
	}
	s.welcomeMAC = pairingMAC(s.invite.secrets.welcome, s.transcript[:], sealed)
	s.step = awaitFinish
	return encode(&welcomeFrame{
		Version: formatVersion, Suite: suiteOne, Kind: frameWelcome, Sealed: sealed, MAC: s.welcomeMAC,
	}), nil
}

// Finish takes the new device's last frame. Nil means that the device has
// verified and kept the welcome. After an error the device is a member all the
// same, since the add is admitted: it may have finished and lost only the frame.
func (s *InviteSession) Finish(in []byte) error {
	s.invite.mu.Lock()
	defer s.invite.mu.Unlock()
	if s.step != awaitFinish {
		return s.fail(ErrPairingOrder)
	}
	var f finishFrame
	if err := decodeFrame(in, maxFinishFrame, &f, &f.Kind, frameFinish); err != nil {
		return s.fail(err)
	}
	statement := finishBytes(s.transcript, s.welcomeMAC)
	if !labelPairFinish.verify(s.joining.SigningKey, statement, f.Signature) {
		return s.fail(fmt.Errorf("finish: %w", ErrSignature))
	}
	s.step = pairingDone
	return nil
}

// fail ends the session, unless it is complete, and, when it had claimed the
// invite, the invite.
func (s *InviteSession) fail(reason error) error {
	if s.step == pairingDone {
		return pairingError(reason)
	}
	s.step = pairingFailed
	if s.invite.claimed == s {
		s.invite.burned = true
	}
	return pairingError(reason)
}

// takeHello checks cheap things first. Only a hello that names the session is a
// try, so that a stranger on the network cannot use up the tries.
func (s *InviteSession) takeHello(now time.Time, in []byte) ([]byte, error) {
	inv := s.invite
	if err := inv.usable(now); err != nil {
		return nil, err
	}
	var h helloFrame
	if err := decodeFrame(in, maxHelloFrame, &h, &h.Kind, frameHello); err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(h.Session[:], inv.ticket.session[:]) != 1 {
		return nil, fmt.Errorf("%w: hello for another invite", ErrPairingMAC)
	}
	if err := inv.try(); err != nil {
		return nil, err
	}
	transcript := s.context.request(h.Nonce)
	if err := inv.verifyHello(&h, transcript); err != nil {
		inv.miss()
		return nil, err
	}
	inv.claimed = s
	s.joining = h.request(transcript)
	s.transcript = s.context.transcript(in, inv.opening)
	s.step = awaitConfirm
	return encode(&openingFrame{
		Version: formatVersion, Suite: suiteOne, Kind: frameOpening, Opening: inv.opening,
		MAC: pairingMAC(inv.secrets.opening, s.transcript[:]),
	}), nil
}

// verifyHello checks that the ticket's holder made the hello and that the keys in
// it are the sender's.
func (inv *Invite) verifyHello(h *helloFrame, transcript Hash) error {
	unsigned := *h
	unsigned.MAC = nil
	if !sameMAC(inv.secrets.hello, h.MAC, transcript[:], encode(&unsigned)) {
		return ErrPairingMAC
	}
	return h.request(transcript).Verify()
}

func (s *InviteSession) takeConfirm(now time.Time, in []byte) error {
	if err := s.invite.alive(now); err != nil {
		return err
	}
	var f confirmFrame
	if err := decodeFrame(in, maxConfirmFrame, &f, &f.Kind, frameConfirm); err != nil {
		return err
	}
	if !sameMAC(s.invite.secrets.confirm, f.MAC, s.transcript[:]) {
		return ErrPairingMAC
	}
	s.step = awaitDigits
	return nil
}

// cleanDigits drops the blanks and hyphens that people type and checks that n
// ASCII digits remain.
func cleanDigits(typed string, n int) (string, error) {
	if len(typed) > 64 || !utf8.ValidString(typed) {
		return "", fmt.Errorf("%w: %d digits expected", ErrMalformed, n)
	}
	digits := strings.ReplaceAll(strings.Join(strings.Fields(typed), ""), "-", "")
	if len(digits) != n || strings.Trim(digits, "0123456789") != "" {
		return "", fmt.Errorf("%w: %d digits expected", ErrMalformed, n)
	}
	return digits, nil
}

// finishBytes is what the new device signs at the end.
func finishBytes(transcript Hash, welcomeMAC []byte) []byte {
	return encode(&finishStatement{
		Version: formatVersion, Suite: suiteOne, Transcript: transcript, WelcomeMAC: welcomeMAC,
	})
}
