package p2p

import (
	"encoding/binary"
	"errors"
	"fmt"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	cardVersion  = 1
	cardHolds    = 1 << 0
	maxCardAddrs = 16
)

// A card is what two devices tell each other once the hello has succeeded:
// where they listen, and whether they still hold an earlier stream.
type card struct {
	holds bool           // the sender has another stream with the receiver, or is about to
	at    stamp          // when the sender wrote it
	addrs []ma.Multiaddr // where the sender can be dialled, without /p2p
}

// encode is the frame of SPEC.md, "Card".
func (c card) encode() []byte {
	flags := byte(0)
	if c.holds {
		flags |= cardHolds
	}
	addrs := c.addrs[:min(len(c.addrs), maxCardAddrs)]
	out := c.at.append([]byte{cardVersion, flags})
	out = append(out, byte(len(addrs)))
	for _, a := range addrs {
		b := a.Bytes()
		out = append(append(out, byte(len(b))), b...)
	}
	return out
}

const stampSize = 16

func (a stamp) append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, a.run), a.n)
}

// parseStamp needs stampSize bytes.
func parseStamp(b []byte) stamp {
	return stamp{run: binary.BigEndian.Uint64(b), n: binary.BigEndian.Uint64(b[8:])}
}

var errCard = errors.New("malformed card")

// parseCard accepts unknown flags and refuses unknown versions. Addresses
// that this version cannot dial are dropped, so later versions may add kinds.
func parseCard(b []byte) (card, error) {
	const fixed = 2 + stampSize
	if len(b) <= fixed || b[0] != cardVersion || b[fixed] > maxCardAddrs {
		return card{}, errCard
	}
	c := card{holds: b[1]&cardHolds != 0, at: parseStamp(b[2:])}
	rest := b[fixed+1:]
	for range b[fixed] {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return card{}, errCard
		}
		raw := rest[1 : 1+rest[0]]
		rest = rest[1+rest[0]:]
		if a, err := ma.NewMultiaddrBytes(raw); err == nil && dialable(a) {
			c.addrs = append(c.addrs, a)
		}
	}
	if len(rest) != 0 {
		return card{}, fmt.Errorf("%w: %d bytes too many", errCard, len(rest))
	}
	return c, nil
}

// cardFor selects the addresses worth telling to a peer at remote: loopback
// only to a peer on this machine.
func cardFor(all []ma.Multiaddr, remote ma.Multiaddr) []ma.Multiaddr {
	var out []ma.Multiaddr
	local := manet.IsIPLoopback(remote)
	for _, a := range all {
		if len(a.Bytes()) < 256 && (local || !manet.IsIPLoopback(a)) && len(out) < maxCardAddrs {
			out = append(out, a)
		}
	}
	return out
}
