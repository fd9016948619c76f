package p2p

import (
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/starling-sync/starling/encryption"
)

// account is the identity as this package uses it.
type account struct{ id *encryption.Identity }

func (a account) device() encryption.DeviceID { return a.id.Device() }

// greet begins a hello in an epoch that the other end probably knows.
func (a account) greet(tag encryption.EpochTag, local, remote []byte, now time.Time, random io.Reader) (handshake, error) {
	return a.id.NewHelloIn(tag, local, remote, now, random)
}

// answer takes a hello in whatever epoch it comes.
func (a account) answer(local, remote []byte, now time.Time, random io.Reader) handshake {
	return a.id.NewHello(false, local, remote, now, random)
}

// hostOf is the peer id that a device's host has on a day, if an epoch is the
// one that it serves first.
func (a account) hostOf(d encryption.DeviceID, tag encryption.EpochTag, day uint32) (peer.ID, error) {
	keys, err := a.id.DayKeys(tag, day)
	if err != nil {
		return "", err
	}
	return hostID(keys.HostSeed(d))
}

// standing says whether this device is out, and whether another one may bring it
// back: with the recovery words in a freeze, or because it was added in vain.
func (a account) standing() (out, waits bool) {
	s := a.id.Standing()
	return s.State != encryption.StandingMember, s.Frozen || s.State == encryption.StandingOrphaned
}

// wanted reports whether a device is looked for: a member, and while there are
// none, whoever may have become one.
func (a account) wanted(d encryption.DeviceID) bool {
	if a.member(d) {
		return true
	}
	_, known := a.id.KnownDevice(d)
	return known && a.id.Standing().Frozen
}

func (a account) member(d encryption.DeviceID) bool {
	_, ok := a.id.Member(d)
	return ok
}
