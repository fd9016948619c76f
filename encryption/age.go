package encryption

import (
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// The recovery HPKE key is at the same time an age key, of the kind that age
// calls hybrid and writes as "age1pq1…": its private key is the same 32 bytes,
// its public key the same 1,216. So the stock age tool opens a backup.

// The human-readable parts of age's Bech32 forms.
const (
	agePublicPrefix = "age1pq"
	ageSecretPrefix = "age-secret-key-pq-"
)

// AgeIdentity returns the words as an identity of the age tool, a line that
// begins with AGE-SECRET-KEY-PQ-1. It opens every backup made for these words,
// and every epoch, so it is as secret as they are. The zero value has none.
func (w RecoveryWords) AgeIdentity() (string, error) {
	if w.seed.IsZero() {
		return "", errors.New("age identity: no recovery words")
	}
	secret := labelRecoveryHPKE.derive(w.seed, nil)
	return strings.ToUpper(bech32(ageSecretPrefix, secret.slice())), nil
}

func (w RecoveryWords) ageIdentity() (age.Identity, error) {
	text, err := w.AgeIdentity()
	if err != nil {
		return nil, err
	}
	id, err := age.ParseHybridIdentity(text)
	if err != nil {
		return nil, errors.New("age identity: the words make none") // its error would show the key
	}
	return id, nil
}

// ageRecipients returns the recovery keys that count, as age knows them.
func (l *membershipLog) ageRecipients() (to []age.Recipient, err error) {
	for _, op := range l.recoveryIn(firstOf(len(l.ops))) {
		r, err := age.ParseHybridRecipient(bech32(agePublicPrefix, op.recoveryHPKE()))
		if err != nil {
			return nil, fmt.Errorf("age recipient: %w", err)
		}
		to = append(to, r)
	}
	return to, nil
}

// Age does not export its Bech32. Two calls that only write, and that age itself
// reads back, weigh less than a package of a currency would.
const bech32Alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// bech32 writes data as BIP-173 does, without its limit of 90 characters, which
// age does not have either.
func bech32(prefix string, data []byte) string {
	values := fiveBits(data)
	var out strings.Builder
	out.WriteString(prefix + "1")
	for _, v := range append(values, bech32Checksum(prefix, values)...) {
		out.WriteByte(bech32Alphabet[v])
	}
	return out.String()
}

// fiveBits regroups the bits of data, the first bit highest, zeros at the end.
func fiveBits(data []byte) (values []byte) {
	acc, bits := 0, 0
	for _, b := range data {
		acc, bits = acc<<8|int(b), bits+8
		for bits >= 5 {
			bits -= 5
			values = append(values, byte(acc>>bits)&31)
		}
		acc &= 1<<bits - 1
	}
	if bits > 0 {
		values = append(values, byte(acc<<(5-bits))&31)
	}
	return values
}

func bech32Checksum(prefix string, values []byte) []byte {
	var in []byte
	for i := range len(prefix) {
		in = append(in, prefix[i]>>5)
	}
	in = append(in, 0)
	for i := range len(prefix) {
		in = append(in, prefix[i]&31)
	}
	in = append(append(in, values...), 0, 0, 0, 0, 0, 0)
	sum := uint32(1)
	for _, v := range in {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	sum ^= 1
	out := make([]byte, 6)
	for i := range out {
		out[i] = byte(sum>>(5*(5-i))) & 31
	}
	return out
}
