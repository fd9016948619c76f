package encryption

import (
	"fmt"
	"io"
)

// A rekey gives this device a new HPKE key. The identity file is not written
// again: the caller keeps the key beside the operation, sealed by ExportKey, and
// gives it back by ImportKeys. Older keys stay in use, as there may be records
// that were sealed to them by members who had not heard of the rekey; and all of
// them open only what this device can read anyway.

const maxKeptKey = 256

type keptKey struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Suite   uint64
	Seed    [32]byte
}

type keptInput struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Suite   uint64
	Account AccountID
}

// keptContext is the key that seals the seeds, and its associated data. It is
// made from the one under which the caller authenticates its records.
func (id *Identity) keptContext() (key Secret, ad []byte) {
	return labelKeptKey.derive(id.record, id.account[:]),
		labelKeptSeal.message(encode(keptInput{Version: formatVersion, Suite: suiteOne, Account: id.account}))
}

// ExportKey seals the seed of a rekey so that only this identity opens it. The
// caller makes it durable in one step with the operation. Random nil is the
// system's source.
func (id *Identity) ExportKey(seed Secret, random io.Reader) ([]byte, error) {
	nonce, err := newNonce(readerOr(random))
	if err != nil {
		return nil, fmt.Errorf("export key: %w", err)
	}
	key, ad := id.keptContext()
	plain := encode(keptKey{Version: formatVersion, Suite: suiteOne, Seed: seed.Reveal()})
	return aead(key).Seal(nonce, nonce, plain, ad), nil
}

// ImportKeys takes back what ExportKey made, oldest first, and opens the epoch
// records that wait for one of the keys. Known keys are skipped. It comes before
// the AdmitEpochs of what is stored, which then tries the newest key first. Errors:
// ErrMalformed, ErrUnsupported, ErrDecrypt; keys before the faulty one are taken.
func (id *Identity) ImportKeys(sealed ...[]byte) error {
	id.mu.Lock()
	defer id.mu.Unlock()
	defer func() { id.ring.open(id.log); id.settle() }()
	for _, raw := range sealed {
		key, err := id.openKept(raw)
		if err != nil {
			return fmt.Errorf("import key: %w", err)
		}
		id.ring.addKey(key)
	}
	return nil
}

func (id *Identity) openKept(raw []byte) (hpkeKey, error) {
	if len(raw) < nonceSize || len(raw) > maxKeptKey {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(raw))
	}
	key, ad := id.keptContext()
	plain, err := aead(key).Open(nil, raw[:nonceSize], raw[nonceSize:], ad)
	if err != nil {
		return nil, ErrDecrypt
	}
	var k keptKey
	if err := decodeVersioned(plain, maxKeptKey, &k); err != nil {
		return nil, err
	}
	keys, err := keysFromSeeds(id.keys.signingSeed, NewSecret(k.Seed))
	if err != nil {
		return nil, err
	}
	return keys.hpke, nil
}

func (k *keyring) addKey(key hpkeKey) {
	if !k.holds(key().PublicKey().Bytes()) {
		k.keys = append(k.keys, key)
	}
}
