package encryption

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base32"
)

type dayInput struct {
	_      struct{} `cbor:",toarray"`
	Device DeviceID // zero where the value belongs to the whole account
	Day    uint32
}

// deriveDay derives 32 bytes for one day and device from the discovery key.
func (id *Identity) deriveDay(l label, d DeviceID, day uint32) [32]byte {
	info := l.message(encode(dayInput{Device: d, Day: day}))
	return [32]byte(must(hkdf.Key(sha256.New, id.epoch.discovery.slice(), id.account[:], string(info), 32)))
}

// HostSeed returns the seed of this device's transport key for a day, counted in
// UTC days since 1970. The key proves nothing: every member can compute it.
func (id *Identity) HostSeed(day uint32) [32]byte { return id.PeerHostSeed(id.device, day) }

// PeerHostSeed is HostSeed of another device, from which its transport address
// is computed.
func (id *Identity) PeerHostSeed(d DeviceID, day uint32) [32]byte {
	return id.deriveDay(labelHostSeed, d, day)
}

// ServiceName returns the name under which the account's devices announce
// themselves on the local network on a day: 15 characters a–z and 2–7 that mean
// nothing to anybody else.
func (id *Identity) ServiceName(day uint32) string {
	sum := id.deriveDay(labelServiceName, DeviceID{}, day)
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").EncodeToString(sum[:])[:15]
}
