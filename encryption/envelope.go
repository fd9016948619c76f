package encryption

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
)

// An envelope is
//
//	version (1 byte) ‖ epoch tag (16) ‖ nonce (24) ‖ ciphertext
//
// and the plain text is
//
//	signature (64 bytes) ‖ body ‖ zeros up to the bucket
//
// Here the version byte stands for the suite as well: an envelope of one short
// change would not fit the smallest bucket otherwise. That is smaller than those of
// other things, so that the change and its frame take less than 256 bytes.
const (
	envelopeVersion  = 1
	envelopeFront    = 1 + 16 + nonceSize
	signatureSize    = 64
	envelopeOverhead = envelopeFront + signatureSize + aeadSize // bytes around the body
	minEnvelope      = 240
	maxDeps          = 4096
)

// envelopeBody is the part of an envelope that is signed and sent. Absent fields
// are left out, so that they cost nothing.
type envelopeBody struct {
	Writer  WriterID `cbor:"1,keyasint"`
	Seq     uint64   `cbor:"2,keyasint"`
	Deps    []Dep    `cbor:"3,keyasint,omitempty"`
	Batch   []byte   `cbor:"4,keyasint,omitempty"`
	Device  []byte   `cbor:"5,keyasint,omitempty"` // with sequence 1 only
	Nonce   []byte   `cbor:"6,keyasint,omitempty"` // with sequence 1 only
	Members []byte   `cbor:"7,keyasint,omitempty"` // when it is not that of the previous envelope
}

// envelopeStatement is what the signature covers: the body as sent, and what the
// receiver knows already.
type envelopeStatement struct {
	_        struct{} `cbor:",toarray"`
	Version  uint64
	Suite    uint64
	Account  AccountID
	Tag      EpochTag
	Device   DeviceID
	Previous Hash
	Members  Hash
	Body     []byte
}

func envelopeContext(account AccountID, tag EpochTag) []byte {
	return labelEnvelopeSeal.message(encode(contextTag{Version: formatVersion, Suite: suiteOne, Account: account, Tag: tag}))
}

func statement(account AccountID, tag EpochTag, c *Content, body []byte) []byte {
	return encode(envelopeStatement{
		Version: formatVersion, Suite: suiteOne, Account: account, Tag: tag,
		Device: c.Device, Previous: c.Previous, Members: c.Members, Body: body,
	})
}

// SealEnvelope signs and encrypts c. It fills in c.Device, and c.Members when that
// is zero. PrevMembers is what the previous envelope of the writer had, zero for
// the first. The id is what the next envelope has as Previous. Random nil is the
// system's source. Errors: ErrNeedsEpoch, to be answered with PrepareEpoch;
// ErrTooLarge; ErrMalformed and ErrWriter for contents that no receiver would
// accept.
//
// One number of one writer must never be sealed with two contents, not even
// across a crash: the caller makes the result durable before it is sent.
func (id *Identity) SealEnvelope(random io.Reader, c *Content, prevMembers Hash) (raw []byte, hash Hash, err error) {
	if c.Device.IsZero() {
		c.Device = id.Device()
	}
	if c.Members.IsZero() {
		c.Members = id.MembershipDigest()
	}
	if err := id.checkContent(c); err != nil {
		return nil, Hash{}, fmt.Errorf("seal envelope %d of writer %v: %w", c.Seq, c.Writer, err)
	}
	raw, err = id.seal(readerOr(random), c, bodyOf(c, prevMembers))
	if err != nil {
		return nil, Hash{}, fmt.Errorf("seal envelope %d of writer %v: %w", c.Seq, c.Writer, err)
	}
	return raw, sha256.Sum256(raw), nil
}

func (id *Identity) checkContent(c *Content) error {
	announced := c.Nonce != [16]byte{}
	switch {
	case c.Device != id.Device():
		return fmt.Errorf("%w: device %v is not this one", ErrWriter, c.Device)
	case (announced || c.Seq == 1) && c.Writer != WriterFor(c.Device, c.Nonce):
		return ErrWriter
	case c.Seq == 0:
		return fmt.Errorf("%w: sequence 0", ErrMalformed)
	case c.Seq == 1 != c.Previous.IsZero():
		return fmt.Errorf("%w: previous envelope of the first, or none", ErrMalformed)
	}
	return checkDeps(c.Writer, c.Deps)
}

// bodyOf leaves out what the receiver knows.
func bodyOf(c *Content, prevMembers Hash) []byte {
	b := envelopeBody{Writer: c.Writer, Seq: c.Seq, Deps: c.Deps, Batch: c.Batch}
	if c.Seq == 1 {
		b.Device, b.Nonce = c.Device[:], c.Nonce[:]
	}
	if c.Seq == 1 || c.Members != prevMembers {
		b.Members = c.Members[:]
	}
	return encode(b)
}

func (id *Identity) seal(random io.Reader, c *Content, body []byte) ([]byte, error) {
	size := envelopeSize(len(body) + envelopeOverhead)
	if size > MaxEnvelope {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, size)
	}
	nonce, err := newNonce(random)
	if err != nil {
		return nil, err
	}
	e, err := id.sealingEpoch()
	if err != nil {
		return nil, err
	}
	plain := make([]byte, 0, size-envelopeFront)
	plain = append(plain, labelEnvelopeSign.sign(id.keys.signing, statement(id.account, e.tag, c, body))...)
	plain = append(plain, body...)
	plain = plain[:size-envelopeFront-aeadSize] // the rest is zeros
	raw := make([]byte, 0, size)
	raw = append(raw, envelopeVersion)
	raw = append(raw, e.tag[:]...)
	raw = append(raw, nonce...)
	return aead(e.data).Seal(raw, nonce, plain, envelopeContext(id.account, e.tag)), nil
}

// checkDeps wants each writer once, in ascending order, and not the envelope's own.
func checkDeps(writer WriterID, deps []Dep) error {
	if len(deps) > maxDeps {
		return fmt.Errorf("%w: %d dependencies", ErrTooLarge, len(deps))
	}
	for i, d := range deps {
		if d.Writer == writer || d.Seq == 0 {
			return fmt.Errorf("%w: dependency %d", ErrMalformed, i)
		}
		if i > 0 && bytes.Compare(deps[i-1].Writer[:], d.Writer[:]) >= 0 {
			return fmt.Errorf("%w: dependencies not in ascending order", ErrMalformed)
		}
	}
	return nil
}
