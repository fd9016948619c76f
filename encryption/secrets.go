package encryption

import (
	"errors"
	"fmt"
	"io"
)

// storedIdentity is what the identity file holds. It has the operations that
// prove this device's own membership, so that a crash between its creation and
// the first opening of the store loses nothing.
type storedIdentity struct {
	_            struct{} `cbor:",toarray"`
	Version      uint64
	Suite        uint64
	Account      AccountID
	Device       DeviceID
	SigningSeed  [32]byte
	HPKESeed     [32]byte
	BadgerKey    [32]byte
	RecordKey    [32]byte
	Epochs       [][32]byte // secrets of epochs
	Operations   [][]byte   // causal order
	EpochRecords [][]byte
}

// newIdentity checks that all parts belong together. Errors wrap ErrDamaged.
func newIdentity(s *storedIdentity) (*Identity, error) {
	keys, err := keysFromSeeds(NewSecret(s.SigningSeed), NewSecret(s.HPKESeed))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	log := newLog(s.Account)
	if _, err := log.admit(s.Operations); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	own, ok := log.member(s.Device)
	if !ok || string(own.SigningKey) != string(keys.signingPublic()) || string(own.HPKEKey) != string(keys.hpkePublic()) {
		return nil, fmt.Errorf("%w: its operations do not add this device", ErrDamaged)
	}
	id := &Identity{
		account: s.Account, device: s.Device, keys: keys,
		badger: NewSecret(s.BadgerKey), record: NewSecret(s.RecordKey),
		log: log, ring: newKeyring(s.Account, keys.hpke),
	}
	if err := id.ring.restore(log, s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	id.settle()
	return id, nil
}

// restore takes the epochs of a new keyring. Each secret must be that of an
// epoch that the operations announce, or of the first one; the records of the
// latter must be there, and all that are must open.
func (k *keyring) restore(log *membershipLog, s *storedIdentity) error {
	secrets := map[EpochTag]*epoch{}
	for _, secret := range s.Epochs {
		e := newEpoch(NewSecret(secret), k.account)
		secrets[e.tag] = e
	}
	if len(secrets) != len(s.Epochs) {
		return fmt.Errorf("%w: an epoch twice", ErrMalformed)
	}
	if err := k.restoreFirst(log, secrets, s.EpochRecords); err != nil {
		return err
	}
	k.follow(log)
	for tag, e := range secrets { // order-free: which of several faults is named is of no account
		if k.byTag[tag] == nil {
			return fmt.Errorf("%w: secret of the epoch %v", ErrMissingOperation, tag)
		}
		k.secrets[tag] = e
	}
	if _, err := k.admit(log, s.EpochRecords); err != nil {
		return err
	}
	for _, a := range k.all {
		if a.raw != nil && a.body == nil {
			return fmt.Errorf("epoch %v: %w", a.tag, errors.Join(ErrUnknownEpoch, a.broken))
		}
	}
	return nil
}

// restoreFirst finds the first epoch: the one that the founder recorded and
// that follows no other.
func (k *keyring) restoreFirst(log *membershipLog, secrets map[EpochTag]*epoch, records [][]byte) error {
	err := fmt.Errorf("%w: no record of the first epoch", ErrUnknownEpoch)
	for _, raw := range records {
		r, parseErr := parseEpochRecord(raw)
		if parseErr != nil {
			return parseErr
		}
		e := secrets[r.Tag]
		if e == nil {
			continue
		}
		if _, openErr := r.open(e, log, &announcement{generation: 1}); openErr != nil {
			err = openErr
			continue
		}
		k.begin(e, raw)
		return nil
	}
	return err
}

// save encrypts s and writes it as the identity of dir.
func (s *storedIdentity) save(dir string, u Unlock, cost argonCost, random io.Reader) error {
	raw, err := sealBox(u, cost, encode(s), random)
	if err != nil {
		return fmt.Errorf("identity in %s: %w", dir, err)
	}
	return writeIdentity(dir, raw)
}
