package encryption

import (
	"bytes"
	"fmt"
	"io"
	"time"
)

// JoinSession is the new device's side of one attempt to link. It is not safe
// for concurrent use. Any error ends it.
type JoinSession struct {
	joiner  *Joiner
	ticket  *Ticket
	context pairingContext
	secrets *pairingSecrets
	codes   uint32 // how many codes the digits can show; tests make it small

	step       pairingStep
	hello      []byte // the frame as sent
	joining    *JoinRequest
	inviter    opening
	transcript Hash
}

// NewSession starts the new device's side on a connection between these two
// transport peer ids (1 to 128 bytes). A ticket allows three tries, ten seconds
// apart, and none once the member has opened its commitment; a session counts
// as a try when it makes its first frame.
func (j *Joiner) NewSession(t *Ticket, now time.Time, localPeer, remotePeer []byte) (*JoinSession, error) {
	if err := t.check(now); err != nil {
		return nil, pairingError(err)
	}
	context, err := newPairingContext(&t.body, localPeer, remotePeer)
	if err != nil {
		return nil, pairingError(err)
	}
	return &JoinSession{
		joiner: j, ticket: t, context: context, secrets: newPairingSecrets(&t.body),
		codes: pairingCodes, step: awaitHello,
	}, nil
}

// Limit returns the size in bytes that the next frame from the member may have;
// zero means that it must not send now.
func (s *JoinSession) Limit() int {
	if s.step == awaitHello {
		return 0
	}
	return s.step.frameLimit()
}

// Next with nil makes the hello. It then takes the opening and makes the
// confirmation, after which Digits is set; then takes the welcome and makes the
// finish, which must not be sent before the joiner was saved.
func (s *JoinSession) Next(now time.Time, in []byte) (out []byte, err error) {
	switch s.step {
	case awaitHello:
		out, err = s.makeHello(now, in)
	case awaitOpening:
		out, err = s.takeOpening(in)
	case awaitWelcome:
		out, err = s.takeWelcome(in)
	default:
		err = ErrPairingOrder
	}
	if err != nil {
		s.step = pairingFailed
		return nil, pairingError(err)
	}
	return out, nil
}

// Digits returns the six digits to show to the person, who types them into the
// member that showed the ticket; empty before the opening was verified and after
// a failure.
func (s *JoinSession) Digits() string {
	if s.step != awaitWelcome && s.step != pairingDone {
		return ""
	}
	return pairingDigits(s.secrets.digits, s.transcript, s.codes)
}

// Done reports whether the welcome was verified: the joiner can be saved.
func (s *JoinSession) Done() bool { return s.step == pairingDone }

func (s *JoinSession) makeHello(now time.Time, in []byte) ([]byte, error) {
	if len(in) != 0 {
		return nil, ErrPairingOrder
	}
	h := helloFrame{Version: formatVersion, Suite: suiteOne, Kind: frameHello, Session: s.context.Session}
	if _, err := io.ReadFull(s.joiner.random, h.Nonce[:]); err != nil {
		return nil, fmt.Errorf("draw random bytes: %w", err)
	}
	if err := s.ticket.begin(now); err != nil {
		return nil, err
	}
	transcript := s.context.request(h.Nonce)
	s.joining = s.joiner.Request(transcript)
	h.SigningKey, h.HPKEKey = s.joining.SigningKey, s.joining.HPKEKey
	h.Name, h.SelfSignature = s.joining.Name, s.joining.SelfSignature
	h.MAC = pairingMAC(s.secrets.hello, transcript[:], encode(&h))
	s.hello = encode(&h)
	s.step = awaitOpening
	return s.hello, nil
}

func (s *JoinSession) takeOpening(in []byte) ([]byte, error) {
	var f openingFrame
	if err := decodeFrame(in, maxOpeningFrame, &f, &f.Kind, frameOpening); err != nil {
		return nil, err
	}
	if labelPairCommitment.hash(f.Opening) != s.context.Commitment {
		return nil, fmt.Errorf("%w: not what the ticket committed to", ErrPairingMAC)
	}
	s.ticket.spend()
	transcript := s.context.transcript(s.hello, f.Opening)
	if !sameMAC(s.secrets.opening, f.MAC, transcript[:]) {
		return nil, ErrPairingMAC
	}
	if err := decodeVersioned(f.Opening, maxOpeningFrame, &s.inviter); err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	if s.inviter.Session != s.context.Session {
		return nil, fmt.Errorf("%w: opening of another invite", ErrMalformed)
	}
	s.transcript = transcript
	s.step = awaitWelcome
	return encode(&confirmFrame{
		Version: formatVersion, Suite: suiteOne, Kind: frameConfirm,
		MAC: pairingMAC(s.secrets.confirm, transcript[:]),
	}), nil
}

func (s *JoinSession) takeWelcome(in []byte) ([]byte, error) {
	var f welcomeFrame
	if err := decodeFrame(in, maxWelcomeFrame, &f, &f.Kind, frameWelcome); err != nil {
		return nil, err
	}
	if !sameMAC(s.secrets.welcome, f.MAC, s.transcript[:], f.Sealed) {
		return nil, ErrPairingMAC
	}
	if err := s.joiner.OpenWelcome(s.joining.Transcript, f.Sealed); err != nil {
		return nil, err
	}
	if err := s.checkSponsor(); err != nil {
		s.joiner.stored = nil
		return nil, err
	}
	s.step = pairingDone
	return encode(&finishFrame{
		Version: formatVersion, Suite: suiteOne, Kind: frameFinish,
		Signature: labelPairFinish.sign(s.joiner.keys.signing, finishBytes(s.transcript, f.MAC)),
	}), nil
}

// checkSponsor verifies that the welcome comes from the member that the ticket
// committed to: a welcome proves only that somebody's account has added this
// device.
func (s *JoinSession) checkSponsor() error {
	id, err := newIdentity(s.joiner.stored)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWelcome, err)
	}
	if id.Account() != s.inviter.Account {
		return fmt.Errorf("%w: %w", ErrWelcome, ErrOtherAccount)
	}
	sponsor, ok := id.Member(s.inviter.Device)
	if !ok || !bytes.Equal(sponsor.SigningKey, s.inviter.SigningKey) {
		return fmt.Errorf("%w: sponsor is not the member that showed the ticket", ErrWelcome)
	}
	add := id.log.addOf(s.joining, s.inviter.Device)
	if add == nil || add.member.ID != id.Device() {
		return fmt.Errorf("%w: not added in this pairing by the member that showed the ticket", ErrWelcome)
	}
	return nil
}
