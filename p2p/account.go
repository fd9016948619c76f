package p2p

import (
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/starling-sync/starling/encryption"
)

// hostDay is the day from which host keys and service names derive. They do
// not rotate yet: it is the same for all days, and a parameter wherever it
// matters.
const hostDay uint32 = 0

// account is the identity as this package uses it.
type account struct{ id *encryption.Identity }

func (a account) device() encryption.DeviceID { return a.id.Device() }

func (a account) hello(initiator bool, local, remote []byte, now time.Time, random io.Reader) handshake {
	return a.id.NewHello(initiator, local, remote, now, random)
}

// hostOf is the peer id of a device's host.
func (a account) hostOf(d encryption.DeviceID) (peer.ID, error) {
	return hostID(a.id.PeerHostSeed(d, hostDay))
}

// hosts are the peer ids of all other members.
func (a account) hosts() map[peer.ID]encryption.DeviceID {
	out := map[peer.ID]encryption.DeviceID{}
	for _, m := range a.id.Members() {
		if m.ID == a.device() {
			continue
		}
		if id, err := a.hostOf(m.ID); err == nil {
			out[id] = m.ID
		}
	}
	return out
}

func (a account) member(d encryption.DeviceID) bool {
	_, ok := a.id.Member(d)
	return ok
}
