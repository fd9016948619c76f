package encryption

// This file says how a new device is linked; PAIRING.md fixes the bytes.
//
// A member, A, opens an Invite and shows its ticket as a QR code or text. The
// new device, N, parses it into a Ticket, connects to one of its addresses, and
// both sides run a session over that connection. The caller moves frames and
// knows both transport peer ids; sessions do no I/O and read no clock. The steps,
// in the order in which the callers take them:
//
//	  A (InviteSession)                       N (JoinSession)
//	1 inv.NewSession                          j.NewSession
//	2                                 hello ← Next(nil)
//	3 Next(hello) → opening
//	4                               confirm ← Next(opening)
//	5 Next(confirm); Request is set           show Digits to the person
//	6 ask for consent, let the person type the digits: Confirm
//	7 Identity.PrepareAdd, persist the operation, Identity.Admit,
//	  Identity.Welcome
//	8 Welcome → welcome
//	9                                finish ← Next(welcome)
//	10                                        Joiner.Save, and only then send finish
//	11 Finish(finish)
//
// Whoever gets an error sends nothing and closes the connection: to the other
// side every failure looks the same. Errors are for the own person and log.
//
// Why it holds: A's opening is fixed, but unknown, when N's keys arrive, and
// N's hello is fixed before the opening is known, so nobody in the middle can
// choose messages that make the digits of two different transcripts agree. That
// is why an invite opens its commitment once, and a second session is refused
// whatever became of the first.

import (
	"errors"
	"fmt"
)

// Errors of both sides of the pairing. Every error of a session wraps ErrPairing
// and says why only to the own side.
var (
	// ErrPairing: the session failed and is over; close the connection.
	ErrPairing = errors.New("linking failed")
	// ErrInviteBurned: the invite was cancelled, met wrong digits, or three
	// requests that did not come from its ticket.
	ErrInviteBurned = errors.New("invite is void")
	// ErrDigits: the digits typed are not those of the new device, so somebody
	// may stand between the two. The invite is void.
	ErrDigits = errors.New("digits do not match")
	// ErrPairingMAC: a code that was not made with the ticket's secret, or over
	// another transcript.
	ErrPairingMAC = errors.New("message authentication code is wrong")
	// ErrPairingOrder: a call or frame that does not belong to this step.
	ErrPairingOrder = errors.New("out of order")
)

// pairingStep is how far a session is: what it waits for.
type pairingStep uint8

const (
	awaitHello pairingStep = iota
	awaitOpening
	awaitConfirm
	awaitDigits
	awaitWelcome
	awaitFinish
	pairingDone
	pairingFailed
)

// frameLimit is the size in bytes that the next frame may have, zero when none
// is expected.
func (s pairingStep) frameLimit() int {
	switch s {
	case awaitHello:
		return maxHelloFrame
	case awaitOpening:
		return maxOpeningFrame
	case awaitConfirm:
		return maxConfirmFrame
	case awaitWelcome:
		return maxWelcomeFrame
	case awaitFinish:
		return maxFinishFrame
	}
	return 0
}

func pairingError(reason error) error { return fmt.Errorf("%w: %w", ErrPairing, reason) }
