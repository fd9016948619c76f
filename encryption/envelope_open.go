package encryption

import (
	"bytes"
	"crypto/sha256"
	"fmt"
)

// Unverified is the plain text of an envelope that somebody with the epoch's key
// sealed, well-formed and no more: nothing in it may be acted upon, except to ask
// which chain Verify needs.
type Unverified struct {
	Writer   WriterID
	Seq      uint64
	Deps     []Dep
	Announce bool     // Device and Nonce are given: with sequence 1
	Device   DeviceID // zero unless announced
	Nonce    [16]byte // zero unless announced

	id        Hash
	tag       EpochTag
	signature []byte
	body      []byte
	batch     []byte
	members   []byte // empty: that of the previous envelope
}

// Members returns the membership digest that the envelope names, false if it is
// that of the one before it.
func (u *Unverified) Members() (Hash, bool) {
	if len(u.members) == 0 {
		return Hash{}, false
	}
	return Hash(u.members), true
}

// ID is the hash of the received bytes.
func (u *Unverified) ID() Hash { return u.id }

// OpenEnvelope checks, cheap things first: size, version, epoch tag, encryption,
// canonical form. It keeps no reference to raw. Errors wrap ErrTooLarge,
// ErrMalformed, ErrUnsupported, ErrUnknownEpoch (which a record that is still on
// its way may end) or ErrDecrypt.
func (id *Identity) OpenEnvelope(raw []byte) (*Unverified, error) {
	u, err := id.openEnvelope(raw)
	if err != nil {
		return nil, fmt.Errorf("open envelope: %w", err)
	}
	return u, nil
}

// EpochOf returns the epoch that an envelope says it is sealed in, zero for what is too
// short to be one.
func EpochOf(raw []byte) EpochTag {
	if len(raw) < envelopeFront {
		return EpochTag{}
	}
	return EpochTag(raw[1:17])
}

func (id *Identity) openEnvelope(raw []byte) (*Unverified, error) {
	switch {
	case len(raw) > MaxEnvelope:
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(raw))
	case envelopeSize(len(raw)) != len(raw):
		return nil, fmt.Errorf("%w: %d bytes is not the size of a bucket", ErrMalformed, len(raw))
	case raw[0] != envelopeVersion:
		return nil, fmt.Errorf("%w: envelope version %d", ErrUnsupported, raw[0])
	}
	tag := EpochOf(raw)
	e := id.epochOf(tag)
	if e == nil {
		return nil, ErrUnknownEpoch
	}
	nonce := raw[17:envelopeFront]
	plain, err := aead(e.data).Open(nil, nonce, raw[envelopeFront:], envelopeContext(id.account, tag))
	if err != nil {
		return nil, ErrDecrypt
	}
	u := &Unverified{id: sha256.Sum256(raw), tag: tag, signature: plain[:signatureSize]}
	return u, u.parse(plain[signatureSize:])
}

func (u *Unverified) parse(padded []byte) error {
	var b envelopeBody
	used, err := unpadded(padded, MaxEnvelope, &b)
	if err != nil {
		return err
	}
	// There was no smaller bucket than 256 once, and what is logged stays.
	size, full := len(padded)+envelopeOverhead, used+envelopeOverhead
	if size != envelopeSize(full) && size != paddedSize(full) {
		return errPadding
	}
	if err := b.check(); err != nil {
		return err
	}
	u.Writer, u.Seq, u.Deps, u.batch, u.members = b.Writer, b.Seq, b.Deps, b.Batch, b.Members
	if b.Seq == 1 {
		u.Announce, u.Device, u.Nonce = true, DeviceID(b.Device), [16]byte(b.Nonce)
	}
	u.body = padded[:used]
	return nil
}

func (b *envelopeBody) check() error {
	announced := 0
	if b.Seq == 1 {
		announced = 16
	}
	switch {
	case b.Seq == 0:
		return fmt.Errorf("%w: sequence 0", ErrMalformed)
	case len(b.Device) != announced || len(b.Nonce) != announced:
		return fmt.Errorf("%w: device and nonce belong to sequence 1 alone", ErrMalformed)
	case len(b.Members) != 32 && (len(b.Members) != 0 || b.Seq == 1):
		return fmt.Errorf("%w: membership digest of %d bytes", ErrMalformed, len(b.Members))
	}
	return checkDeps(b.Writer, b.Deps)
}

// Verify checks that the envelope is the next one of its writer after chain, nil
// for the first, and signed by the member that the writer belongs to. It returns
// the content, which the caller owns, and the envelope's id.
//
// When the device is known but not a member any more, the content and the id come
// with an error that wraps ErrRemoved: everything else holds, and a caller that
// has a reason to keep the envelope, such as Identity.Vouched, goes on with them.
//
// All other errors come alone and wrap ErrGap, ErrDuplicate (which the caller
// compares with what it has: same id or a fork), ErrWriter, ErrUnknownDevice,
// ErrMalformed, or ErrSignature. The previous hash is signed but not sent, so an
// envelope that continues another chain than the given one shows as ErrSignature.
func (u *Unverified) Verify(id *Identity, chain *Chain) (*Content, Hash, error) {
	c, err := u.verify(id, chain)
	if err != nil {
		err = fmt.Errorf("verify envelope %d of writer %v: %w", u.Seq, u.Writer, err)
	}
	if c == nil {
		return nil, Hash{}, err
	}
	return c, u.id, err
}

func (u *Unverified) verify(id *Identity, chain *Chain) (*Content, error) {
	c := &Content{Writer: u.Writer, Seq: u.Seq, Device: u.Device, Nonce: u.Nonce, Deps: u.Deps, Batch: u.batch}
	if chain == nil {
		chain = &Chain{}
	}
	if err := u.follow(chain, c); err != nil {
		return nil, err
	}
	device, ok := id.KnownDevice(c.Device)
	if !ok {
		return nil, fmt.Errorf("%w: %v", ErrUnknownDevice, c.Device)
	}
	if !labelEnvelopeSign.verify(device.SigningKey, statement(id.account, u.tag, c, u.body), u.signature) {
		return nil, ErrSignature
	}
	if _, member := id.Member(c.Device); !member {
		return c, fmt.Errorf("%w: %v", ErrRemoved, c.Device)
	}
	id.noteEpoch(c.Device, u.tag)
	return c, nil
}

// follow fills in what the chain knows.
func (u *Unverified) follow(chain *Chain, c *Content) error {
	switch {
	case u.Seq <= chain.Seq:
		return ErrDuplicate
	case u.Seq != chain.Seq+1:
		return fmt.Errorf("%w: have %d", ErrGap, chain.Seq)
	case u.Announce && u.Writer != WriterFor(u.Device, u.Nonce):
		return ErrWriter
	}
	if !u.Announce {
		c.Device = chain.Device
	}
	c.Previous, c.Members = chain.Head, chain.Members
	if len(u.members) == 0 {
		return nil
	}
	if bytes.Equal(u.members, chain.Members[:]) {
		return fmt.Errorf("%w: membership digest sent though unchanged", ErrMalformed)
	}
	c.Members = Hash(u.members)
	return nil
}
