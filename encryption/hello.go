package encryption

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Hello is one side of the mutual authentication of two members on a stream,
// as a state machine without I/O. Each side proves that it is a member, to
// nobody but a member, bound to both transport ids; and each sends the other the
// membership operations it seems to lack, so that a device learns of members
// that it had not heard of.
//
// The dialing side is the initiator; its first Next takes nil. Every other Next
// takes one received frame. Frames are at most MaxHelloFrame bytes; the caller
// delimits them, and sets a deadline. Not safe for concurrent use.
type Hello struct {
	id        *Identity
	self      DeviceID
	initiator bool
	local     []byte // transport ids
	remote    []byte
	now       int64
	random    io.Reader
	log       *membershipLog // a copy, to which the other side's operations are admitted

	step       helloStep
	epochs     []*epoch      // whose keys a responder tries; none once the key is chosen
	epoch      *epoch        // whose key the frames are under; nil until chosen
	nonces     [2]helloNonce // initiator's, responder's
	transcript Hash          // of all frames so far
	peer       DeviceID
	peerClock  int64
	learned    [][]byte
	refused    error
	removed    DeviceID // the side that turned out to be no member; zero if both are
}

type helloStep int

const (
	helloStart helloStep = iota
	helloAnswered
	helloDone
	helloFailed
)

type helloNonce [32]byte

// helloError hides what went wrong from everything but errors.Unwrap.
type helloError struct{ cause error }

func (e *helloError) Error() string        { return ErrHello.Error() }
func (e *helloError) Is(target error) bool { return target == ErrHello }
func (e *helloError) Unwrap() error        { return e.cause }

var (
	errHelloOrder = errors.New("frame out of order")
	errHelloPeers = errors.New("transport ids must be two different ones of 1 to 128 bytes")
	errHelloSelf  = errors.New("the other side has this device's own id: a copy of its identity, or a reflection")
	errHelloProof = errors.New("more operations than a frame holds are needed to prove membership")
)

// NewHello starts the hello on a stream between two transport ids, as the
// transport has authenticated them. Now is this device's clock, which is
// reported to the other side. Random nil is the system's source.
//
// The frames are under the key of one epoch, which the initiator chooses: here
// the first of DiscoveryEpochs. A responder that does not know it yet closes the
// stream as it does to a stranger; then the initiator tries NewHelloIn with the
// next epoch, on a new stream. A responder knows by the first frame which epoch
// it is, if it is one of its own DiscoveryEpochs.
func (id *Identity) NewHello(initiator bool, local, remote []byte, now time.Time, random io.Reader) *Hello {
	id.mu.RLock()
	defer id.mu.RUnlock()
	h := &Hello{
		id: id, self: id.device, initiator: initiator, local: local, remote: remote, now: now.UnixMilli(),
		random: readerOr(random), log: id.log.clone(),
	}
	if epochs := id.discoveryEpochs(); initiator {
		h.epoch = epochs[0]
	} else {
		h.epochs = epochs
	}
	return h
}

// NewHelloIn starts the hello as an initiator under the key of an epoch that the
// other side is likelier to know than the newest. Errors: ErrUnknownEpoch.
func (id *Identity) NewHelloIn(tag EpochTag, local, remote []byte, now time.Time, random io.Reader) (*Hello, error) {
	e := id.epochOf(tag)
	if e == nil {
		return nil, fmt.Errorf("hello in epoch %v: %w", tag, ErrUnknownEpoch)
	}
	h := id.NewHello(true, local, remote, now, random)
	h.epoch = e
	return h, nil
}

// Epoch returns the epoch that the hello was held in, which the other side knows
// too. Zero before the hello is done.
func (h *Hello) Epoch() EpochTag {
	if h.step != helloDone {
		return EpochTag{}
	}
	return h.epoch.tag
}

// Next takes a received frame and returns the one to send, if any. When done is
// true, out is to be sent if it is not nil, and the other side is authenticated.
// Any failure is one opaque error that is ErrHello, and ends the hello; the
// caller closes the stream without an answer.
//
// When both sides have proved who they are, and one of them is not a member any
// more, the error is also ErrRemoved, and errors.As finds a *RemovedError in it.
// Then out is sent before the stream is closed, if it is not nil: it tells the
// device that is out why, and nothing else.
func (h *Hello) Next(in []byte) (out []byte, done bool, err error) {
	out, err = h.next(in)
	if err == nil && h.step == helloDone && !h.removed.IsZero() {
		h.step = helloFailed
		return out, false, &helloError{cause: &RemovedError{Device: h.removed, Peer: h.peer, Ops: h.learned}}
	}
	if err != nil {
		h.step = helloFailed
		return nil, false, &helloError{cause: err}
	}
	if h.step == helloDone {
		h.id.noteEpoch(h.peer, h.epoch.tag)
	}
	return out, h.step == helloDone, nil
}

// RemovedError ends a hello between two devices of the account of which one is
// not a member any more. It is ErrRemoved.
type RemovedError struct {
	Device DeviceID // the one that is not a member: this device, if it is neither
	Peer   DeviceID // the other side, whose signature holds
	Ops    [][]byte // operations that this side had not heard of, in causal order, for Admit
}

func (e *RemovedError) Error() string        { return fmt.Sprintf("%v: %v", ErrRemoved, e.Device) }
func (e *RemovedError) Is(target error) bool { return target == ErrRemoved }

// Peer returns the authenticated device and the operations that this side had
// not heard of, in causal order, for Admit. Zero before the hello is done.
func (h *Hello) Peer() (device DeviceID, newOps [][]byte) {
	if h.step != helloDone {
		return DeviceID{}, nil
	}
	return h.peer, h.learned
}

// Skew returns how far the other side's clock is ahead of this one, give or take
// the time the hello took; zero before the hello is done.
func (h *Hello) Skew() time.Duration {
	if h.step != helloDone {
		return 0
	}
	return time.UnixMilli(h.peerClock).Sub(time.UnixMilli(h.now))
}

// Refused returns why operations of the other side were not admitted, nil if all
// were: typically ErrUnsupported, for operations of a newer version.
func (h *Hello) Refused() error { return h.refused }

func (h *Hello) next(in []byte) ([]byte, error) {
	if err := h.checkPeers(); err != nil {
		return nil, err
	}
	switch {
	case h.step == helloStart && h.initiator && len(in) == 0:
		return h.greet()
	case h.step == helloStart && !h.initiator:
		return h.answer(in)
	case h.step == helloAnswered && h.initiator:
		return h.confirm(in)
	case h.step == helloAnswered:
		return nil, h.conclude(in)
	}
	return nil, errHelloOrder
}

func (h *Hello) checkPeers() error {
	for _, p := range [][]byte{h.local, h.remote} {
		if len(p) == 0 || len(p) > 128 {
			return errHelloPeers
		}
	}
	if string(h.local) == string(h.remote) {
		return errHelloPeers
	}
	return nil
}

// greet makes the first frame.
func (h *Hello) greet() ([]byte, error) {
	if err := h.draw(&h.nonces[0]); err != nil {
		return nil, err
	}
	h.step = helloAnswered
	return h.seal(1, encode(h.introduce(h.nonces[0])))
}

// answer takes the first frame and makes the second.
func (h *Hello) answer(in []byte) ([]byte, error) {
	var g greeting
	if err := h.recognize(in); err != nil {
		return nil, err
	}
	if err := h.open(1, in, &g); err != nil {
		return nil, err
	}
	if err := h.meet(&g); err != nil {
		return nil, err
	}
	h.nonces[0] = g.Nonce
	if err := h.draw(&h.nonces[1]); err != nil {
		return nil, err
	}
	// Whoever knows the hello key can claim an id. Until the other side has signed,
	// it gets no operations but those that it takes to believe this side, and what
	// concerns the membership of the device that it claims to be.
	ops, err := h.log.proof(h.self, h.peer, g.Heads, false)
	if err != nil {
		return nil, err
	}
	h.step = helloAnswered
	return h.seal(2, h.sign(encode(greetingProof{Greeting: *h.introduce(h.nonces[1]), Operations: ops})))
}

// confirm takes the second frame and makes the third.
func (h *Hello) confirm(in []byte) ([]byte, error) {
	var s signedHello
	if err := h.open(2, in, &s); err != nil {
		return nil, err
	}
	var p greetingProof
	if err := decode(s.Body, MaxHelloFrame, &p); err != nil {
		return nil, err
	}
	if err := h.meet(&p.Greeting); err != nil {
		return nil, err
	}
	h.nonces[1] = p.Greeting.Nonce
	if err := h.verify(&s, p.Operations); err != nil {
		return nil, err
	}
	h.absorb(in)
	_, member := h.log.member(h.peer)
	ops, err := h.log.proof(h.self, h.peer, p.Greeting.Heads, member)
	if err != nil {
		return nil, err
	}
	out, err := h.seal(3, h.sign(encode(lastProof{Version: formatVersion, Suite: suiteOne, Operations: ops})))
	h.step = helloDone
	return out, err
}

// conclude takes the third frame.
func (h *Hello) conclude(in []byte) error {
	var s signedHello
	if err := h.open(3, in, &s); err != nil {
		return err
	}
	var p lastProof
	if err := decodeVersioned(s.Body, MaxHelloFrame, &p); err != nil {
		return err
	}
	if err := h.verify(&s, p.Operations); err != nil {
		return err
	}
	h.step = helloDone
	return nil
}

func (h *Hello) draw(n *helloNonce) error {
	if _, err := io.ReadFull(h.random, n[:]); err != nil {
		return fmt.Errorf("draw a nonce: %w", err)
	}
	return nil
}

// meet takes what the other side says about itself, on trust until verify.
func (h *Hello) meet(g *greeting) error {
	if g.Version != formatVersion || g.Suite != suiteOne {
		return fmt.Errorf("%w: hello version %d, suite %d", ErrUnsupported, g.Version, g.Suite)
	}
	if g.Device == h.self {
		return errHelloSelf
	}
	if len(g.Heads) > maxHelloHeads {
		return fmt.Errorf("%w: %d heads", ErrTooLarge, len(g.Heads))
	}
	h.peer, h.peerClock = g.Device, g.Clock
	return nil
}
