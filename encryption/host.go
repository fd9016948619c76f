package encryption

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
)

type dayInput struct {
	_      struct{} `cbor:",toarray"`
	Device DeviceID // zero where the value belongs to the whole account
	Day    uint32
}

// deriveDay derives 32 bytes for one day and device from the discovery key.
func (e *epoch) deriveDay(account AccountID, l label, d DeviceID, day uint32) [32]byte {
	info := l.message(encode(dayInput{Device: d, Day: day}))
	return [32]byte(must(hkdf.Key(sha256.New, e.discovery.slice(), account[:], string(info), 32)))
}

// DayKeys are the names that the account's devices go by on one day, to those who
// know one epoch. A device serves those of its ServedEpochs, and looks for others
// under those of its DiscoveryEpochs. It prints redacted.
type DayKeys struct {
	account AccountID
	epoch   func() *epoch
	day     uint32
}

// DayKeys returns the names of a day, counted in UTC days since 1970, in an epoch.
// Errors: ErrUnknownEpoch.
func (id *Identity) DayKeys(tag EpochTag, day uint32) (*DayKeys, error) {
	e := id.epochOf(tag)
	if e == nil {
		return nil, fmt.Errorf("keys of the day in epoch %v: %w", tag, ErrUnknownEpoch)
	}
	return e.dayKeys(id.account, day), nil
}

func (e *epoch) dayKeys(account AccountID, day uint32) *DayKeys {
	return &DayKeys{account: account, epoch: func() *epoch { return e }, day: day}
}

// Format keeps the keys out of whatever prints them.
func (*DayKeys) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// HostSeed returns the seed of a device's transport key, from which its transport
// address is computed. The key proves nothing: every member can compute it.
func (k *DayKeys) HostSeed(d DeviceID) [32]byte {
	return k.epoch().deriveDay(k.account, labelHostSeed, d, k.day)
}

// ServiceName returns the name under which the account's devices announce
// themselves on the local network: 15 characters a–z and 2–7 that mean nothing to
// anybody else.
func (k *DayKeys) ServiceName() string {
	sum := k.epoch().deriveDay(k.account, labelServiceName, DeviceID{}, k.day)
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").EncodeToString(sum[:])[:15]
}
