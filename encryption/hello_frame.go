package encryption

import "fmt"

// maxHelloHeads bounds how many heads a side names. They only tell the other
// side what need not be sent.
const maxHelloHeads = 16

// helloSizes are the sizes in bytes that a frame can have.
var helloSizes = [...]int{1 << 10, 4 << 10, 16 << 10, MaxHelloFrame}

const helloOverhead = nonceSize + aeadSize

// greeting is the first frame, and the start of the second.
type greeting struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Suite   uint64
	Nonce   helloNonce
	Device  DeviceID
	Clock   int64  // unix milliseconds
	Heads   []Hash // of the sender's membership log, ascending, the first 16
}

type greetingProof struct {
	_          struct{} `cbor:",toarray"`
	Greeting   greeting
	Operations [][]byte // that the receiver seems to lack
}

// lastProof is the third frame.
type lastProof struct {
	_          struct{} `cbor:",toarray"`
	Version    uint64
	Suite      uint64
	Operations [][]byte
}

// signedHello is what the second and third frames hold.
type signedHello struct {
	_         struct{} `cbor:",toarray"`
	Body      []byte
	Signature []byte
}

// helloStatement is what a side signs.
type helloStatement struct {
	_          struct{} `cbor:",toarray"`
	Version    uint64
	Suite      uint64
	Account    AccountID
	Role       uint64 // of the signer: 1 initiator, 2 responder
	Device     DeviceID
	Initiator  []byte // transport ids
	Responder  []byte
	Nonces     [2]helloNonce
	Transcript Hash // of the frames before this one
	Body       []byte
}

// helloContext is the associated data of a frame.
type helloContext struct {
	_          struct{} `cbor:",toarray"`
	Version    uint64
	Suite      uint64
	Account    AccountID
	Frame      uint64
	Initiator  []byte
	Responder  []byte
	Transcript Hash
}

type transcriptInput struct {
	_      struct{} `cbor:",toarray"`
	Before Hash
	Frame  []byte
}

// absorb makes a frame part of the transcript.
func (h *Hello) absorb(frame []byte) {
	h.transcript = labelHelloTranscript.hash(encode(transcriptInput{Before: h.transcript, Frame: frame}))
}

// ends returns the transport ids by role.
func (h *Hello) ends() (initiator, responder []byte) {
	if h.initiator {
		return h.local, h.remote
	}
	return h.remote, h.local
}

func (h *Hello) context(frame uint64) []byte {
	initiator, responder := h.ends()
	return labelHelloSeal.message(encode(helloContext{
		Version: formatVersion, Suite: suiteOne, Account: h.id.account, Frame: frame,
		Initiator: initiator, Responder: responder, Transcript: h.transcript,
	}))
}

func (h *Hello) introduce(n helloNonce) *greeting {
	heads := h.log.sortedHeads()
	return &greeting{
		Version: formatVersion, Suite: suiteOne, Nonce: n, Device: h.self,
		Clock: h.now, Heads: heads[:min(len(heads), maxHelloHeads)],
	}
}

// seal pads, encrypts and absorbs a frame.
func (h *Hello) seal(number uint64, plain []byte) ([]byte, error) {
	size, err := helloSize(len(plain) + helloOverhead)
	if err != nil {
		return nil, err
	}
	nonce, err := newNonce(h.random)
	if err != nil {
		return nil, err
	}
	padded := make([]byte, size-helloOverhead)
	copy(padded, plain)
	frame := aead(h.epoch.hello).Seal(nonce, nonce, padded, h.context(number))
	h.absorb(frame)
	return frame, nil
}

func helloSize(n int) (int, error) {
	for _, size := range helloSizes {
		if n <= size {
			return size, nil
		}
	}
	return 0, fmt.Errorf("%w: hello of %d bytes", ErrTooLarge, n)
}

// recognize finds the epoch that the first frame is sealed in. It tries them all,
// so that the time it takes tells a stranger nothing, not even how near a guess
// was, and tells a device that was removed nothing but how many epochs there are.
func (h *Hello) recognize(frame []byte) error {
	if size, err := helloSize(len(frame)); err != nil || size != len(frame) {
		return fmt.Errorf("%w: frame of %d bytes", ErrMalformed, len(frame))
	}
	context := h.context(1)
	for _, e := range h.epochs {
		if _, err := aead(e.hello).Open(nil, frame[:nonceSize], frame[nonceSize:], context); err == nil {
			h.epoch = e
		}
	}
	if h.epochs = nil; h.epoch == nil {
		return ErrDecrypt
	}
	return nil
}

// open decrypts a frame into v and, unless a signature has yet to be checked over
// the transcript before it, absorbs it.
func (h *Hello) open(number uint64, frame []byte, v any) error {
	if size, err := helloSize(len(frame)); err != nil || size != len(frame) {
		return fmt.Errorf("%w: frame of %d bytes", ErrMalformed, len(frame))
	}
	plain, err := aead(h.epoch.hello).Open(nil, frame[:nonceSize], frame[nonceSize:], h.context(number))
	if err != nil {
		return ErrDecrypt
	}
	rest, err := decodeFirst(plain, MaxHelloFrame, v)
	if err != nil {
		return err
	}
	for _, b := range rest {
		if b != 0 {
			return fmt.Errorf("%w: padding is not zero", ErrMalformed)
		}
	}
	if size, err := helloSize(len(plain) - len(rest) + helloOverhead); err != nil || size != len(frame) {
		return fmt.Errorf("%w: padding of another length", ErrMalformed)
	}
	if number == 1 {
		h.absorb(frame)
	}
	return nil
}

func (h *Hello) statement(device DeviceID, byInitiator bool, body []byte) []byte {
	initiator, responder := h.ends()
	role := uint64(2)
	if byInitiator {
		role = 1
	}
	return encode(helloStatement{
		Version: formatVersion, Suite: suiteOne, Account: h.id.account, Role: role, Device: device,
		Initiator: initiator, Responder: responder, Nonces: h.nonces, Transcript: h.transcript, Body: body,
	})
}

// sign wraps a body with this side's signature.
func (h *Hello) sign(body []byte) []byte {
	return encode(signedHello{
		Body:      body,
		Signature: labelHelloSign.sign(h.id.keys.signing, h.statement(h.self, h.initiator, body)),
	})
}

// verify admits the other side's operations to the copy of the log, and then
// checks that the other side is a device of the account and signed the body, and
// whether both sides are members. Operations that do not hold are left out: who
// is a member is decided by those that do.
func (h *Hello) verify(s *signedHello, operations [][]byte) error {
	added, err := h.log.admit(operations)
	h.refused = err
	device, ok := h.log.device(h.peer)
	if !ok {
		return fmt.Errorf("%w: %v", ErrUnknownDevice, h.peer)
	}
	if !labelHelloSign.verify(device.SigningKey, h.statement(h.peer, !h.initiator, s.Body), s.Signature) {
		return ErrSignature
	}
	h.learned = rawOperations(added)
	for _, d := range []DeviceID{h.self, h.peer} {
		if _, member := h.log.member(d); !member {
			h.removed = d
			break
		}
	}
	return nil
}

// proof returns the operations that a device of the account which knows these
// heads lacks: first those that the sender's own membership rests on, which must
// all fit a frame; then, as far as they fit, what has become of the other side;
// and then, if all are wanted, the others.
func (l *membershipLog) proof(device, peer DeviceID, heads []Hash, all bool) ([][]byte, error) {
	var known bitset
	known.add(0) // the genesis, which every device holds
	for _, h := range heads {
		if op := l.byHash[h]; op != nil {
			known.union(op.past)
		}
	}
	own := l.ops[l.adds[device]].past
	wanted := []bitset{own, l.newsOf(peer)}
	if all {
		wanted = append(wanted, firstOf(len(l.ops)))
	}
	room := MaxHelloFrame - helloOverhead - 1024 // the greeting and the signature take less
	var out [][]byte
	for step, set := range wanted {
		for _, op := range l.within(set) {
			if known.has(op.index) {
				continue
			}
			if room -= len(op.raw) + 3; room < 0 && step == 0 {
				return nil, errHelloProof
			} else if room < 0 {
				return out, nil
			}
			known.add(op.index)
			out = append(out, op.raw)
		}
	}
	return out, nil
}

// newsOf returns the operations from which a device that is not a member learns
// so: its removal, or the one that voided it, and the adds that made members of
// its keys, with the past of each. None for a member.
func (l *membershipLog) newsOf(d DeviceID) (news bitset) {
	add, known := l.adds[d]
	if !known || l.resolved.find(d) != nil {
		return nil
	}
	reasons := append(l.membersWith(l.ops[add].member.SigningKey), l.voidedBy(add))
	for _, r := range l.resolved.removals { // all, as one by the recovery key may end a freeze
		if r.target == add {
			reasons = append(reasons, r)
		}
	}
	for _, op := range reasons {
		if op != nil {
			news.union(op.past)
		}
	}
	return news
}
