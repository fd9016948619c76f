package encryption

import (
	"bytes"
	"slices"
	"time"
)

// MaxKeyAge is how long a device keeps one HPKE key.
const MaxKeyAge = 90 * 24 * time.Hour

// NeedsRekey reports whether this device should replace its HPKE key, which it
// made when it was added or with its last rekey: because it is old, or because it
// is not here, as after an older state of the device was put back. False for a
// device that is not a member.
func (id *Identity) NeedsRekey(now time.Time) bool {
	id.mu.RLock()
	defer id.mu.RUnlock()
	add := id.log.resolved.find(id.device)
	if add == nil {
		return false
	}
	made := add.at
	if k := id.log.resolved.hpke[add.index]; k != nil {
		made = k.at
	}
	return now.Sub(time.UnixMilli(made)) >= MaxKeyAge || !id.ring.holds(id.log.resolved.member(add).HPKEKey)
}

// holds reports whether the private key of a public one is known.
func (k *keyring) holds(public []byte) bool {
	return slices.ContainsFunc(k.keys, func(o hpkeKey) bool { return bytes.Equal(o().PublicKey().Bytes(), public) })
}
