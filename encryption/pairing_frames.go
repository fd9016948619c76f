package encryption

import (
	"crypto/hmac"
	"fmt"
)

// frameKind is the third element of every frame of the pairing.
type frameKind uint64

const (
	frameHello   frameKind = 1 // new device: keys, name, self-signature, code under the invite's secret
	frameOpening frameKind = 2 // member: what the ticket committed to, code over the transcript
	frameConfirm frameKind = 3 // new device: code over the transcript
	frameWelcome frameKind = 4 // member: the sealed welcome, code over it
	frameFinish  frameKind = 5 // new device: signature over transcript and welcome
)

// Sizes in bytes that a side accepts for its next frame. What either side reads
// before the other is authenticated stays below maxUnauthenticated in sum.
const (
	maxHelloFrame      = 2048
	maxOpeningFrame    = 512
	maxConfirmFrame    = 128
	maxWelcomeFrame    = MaxWelcome + 128
	maxFinishFrame     = 128
	maxUnauthenticated = 8 << 10
)

type helloFrame struct {
	_             struct{} `cbor:",toarray"`
	Version       uint64
	Suite         uint64
	Kind          frameKind
	Session       [sessionIDSize]byte
	Nonce         [32]byte
	SigningKey    []byte
	HPKEKey       []byte
	Name          string
	SelfSignature []byte
	MAC           []byte // over the request transcript and this frame with MAC empty
}

type openingFrame struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Suite   uint64
	Kind    frameKind
	Opening []byte // an opening, as committed to
	MAC     []byte // over the transcript
}

// opening is the member's first message, fixed when the invite is made. The
// nonce hides it until it is sent; the rest names who will sign the add.
type opening struct {
	_          struct{} `cbor:",toarray"`
	Version    uint64
	Suite      uint64
	Session    [sessionIDSize]byte
	Nonce      [32]byte
	Account    AccountID
	Device     DeviceID
	SigningKey []byte
}

type confirmFrame struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Suite   uint64
	Kind    frameKind
	MAC     []byte // over the transcript
}

type welcomeFrame struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Suite   uint64
	Kind    frameKind
	Sealed  []byte
	MAC     []byte // over the transcript and Sealed
}

type finishFrame struct {
	_         struct{} `cbor:",toarray"`
	Version   uint64
	Suite     uint64
	Kind      frameKind
	Signature []byte // by the new device over a finishStatement
}

// finishStatement is what the new device signs when it has accepted the welcome.
type finishStatement struct {
	_          struct{} `cbor:",toarray"`
	Version    uint64
	Suite      uint64
	Transcript Hash
	WelcomeMAC []byte
}

// decodeFrame reads a frame of one kind. The kind is looked at by the caller's
// type: check compares it after the canonical form held.
func decodeFrame(raw []byte, limit int, v any, got *frameKind, want frameKind) error {
	if err := decodeVersioned(raw, limit, v); err != nil {
		return fmt.Errorf("frame: %w", err)
	}
	if *got != want {
		return fmt.Errorf("%w: frame of kind %d, want %d", ErrMalformed, *got, want)
	}
	return nil
}

// pairingSecrets are the keys of one invite, one per use.
type pairingSecrets struct {
	hello, opening, confirm, digits, welcome Secret
}

func newPairingSecrets(t *ticketBody) *pairingSecrets {
	key := func(use label) Secret { return use.derive(t.secret, t.session[:]) }
	return &pairingSecrets{
		hello:   key(labelPairMACHello),
		opening: key(labelPairMACInviter),
		confirm: key(labelPairMACJoiner),
		digits:  key(labelPairDigits),
		welcome: key(labelPairMACWelcome),
	}
}

func sameMAC(key Secret, got []byte, body ...[]byte) bool {
	return hmac.Equal(got, pairingMAC(key, body...))
}

// request is what the frame asks for, in this pairing.
func (h *helloFrame) request(transcript Hash) *JoinRequest {
	return &JoinRequest{
		SigningKey: h.SigningKey, HPKEKey: h.HPKEKey, Name: h.Name,
		SelfSignature: h.SelfSignature, Transcript: transcript,
	}
}
