package encryption

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

const (
	// pairingCodes is how many codes the digits can show: 000000 to 999999.
	pairingCodes = 1_000_000
	// maxPeerID bounds a transport peer id, in bytes.
	maxPeerID = 128
)

// pairingContext is what both sides know before the first frame. Every message
// authentication code covers it.
type pairingContext struct {
	_          struct{} `cbor:",toarray"`
	Session    [sessionIDSize]byte
	Commitment Hash
	Joiner     []byte // the joiner's transport peer id, as its own side and the inviter's see it
	Inviter    []byte // the inviter's transport peer id, likewise
}

func newPairingContext(t *ticketBody, joiner, inviter []byte) (pairingContext, error) {
	for _, peer := range [][]byte{joiner, inviter} {
		if len(peer) == 0 || len(peer) > maxPeerID {
			return pairingContext{}, fmt.Errorf("peer id of %d bytes, want 1 to %d", len(peer), maxPeerID)
		}
	}
	if string(joiner) == string(inviter) {
		return pairingContext{}, fmt.Errorf("both ends have the same peer id")
	}
	return pairingContext{
		Session: t.session, Commitment: t.commitment,
		Joiner: append([]byte(nil), joiner...), Inviter: append([]byte(nil), inviter...),
	}, nil
}

// pairingMAC is HMAC-SHA256 over the concatenation of body. All parts but the
// last have a fixed length in every use.
func pairingMAC(key Secret, body ...[]byte) []byte {
	mac := hmac.New(sha256.New, key.slice())
	for _, part := range body {
		mac.Write(part)
	}
	return mac.Sum(nil)
}

// request is the hash of what the new device's self-signature is bound to.
func (c *pairingContext) request(nonce [32]byte) Hash {
	return labelPairRequest.hash(encode(struct {
		_       struct{} `cbor:",toarray"`
		Context *pairingContext
		Nonce   [32]byte
	}{Context: c, Nonce: nonce}))
}

// transcript is the hash of everything that both sides have said and seen when
// the digits are shown: the context, the first frame as sent, the opening as
// committed to.
func (c *pairingContext) transcript(hello, opening []byte) Hash {
	return labelPairTranscript.hash(encode(struct {
		_              struct{} `cbor:",toarray"`
		Context        *pairingContext
		Hello, Opening []byte
	}{Context: c, Hello: hello, Opening: opening}))
}

// pairingDigits reduces the transcript to a number below codes, printed with as
// many digits as codes-1 has. Draws that would favour small numbers are thrown
// away, so every code is equally likely.
func pairingDigits(key Secret, transcript Hash, codes uint32) string {
	limit := uint64(1<<32) / uint64(codes) * uint64(codes)
	for draw := uint32(0); ; draw++ {
		block := pairingMAC(key, transcript[:], binary.BigEndian.AppendUint32(nil, draw))
		if n := binary.BigEndian.Uint32(block); uint64(n) < limit {
			width := len(fmt.Sprint(codes - 1))
			return fmt.Sprintf("%0*d", width, n%codes)
		}
	}
}
