package encryption

import (
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
	Epochs       [][32]byte // secrets, the current one last
	Operations   [][]byte   // causal order
	EpochRecords [][]byte
}

// newIdentity checks that all parts belong together. Errors wrap ErrDamaged.
func newIdentity(s *storedIdentity) (*Identity, error) {
	keys, err := keysFromSeeds(NewSecret(s.SigningSeed), NewSecret(s.HPKESeed))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if len(s.Epochs) != 1 {
		return nil, fmt.Errorf("%w: %w: %d epochs", ErrDamaged, ErrUnsupported, len(s.Epochs))
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
		epoch: newEpoch(NewSecret(s.Epochs[0]), s.Account), records: s.EpochRecords,
		log: log,
	}
	return id, id.checkRecords()
}

// checkRecords verifies the epoch records.
func (id *Identity) checkRecords() error {
	for _, raw := range id.records {
		r, err := parseEpochRecord(raw)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if r.Tag != id.epoch.tag {
			return fmt.Errorf("%w: record of another epoch", ErrDamaged)
		}
		if _, err := r.open(id.epoch, id.log); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return nil
}

// save encrypts s and writes it as the identity of dir.
func (s *storedIdentity) save(dir string, u Unlock, cost argonCost, random io.Reader) error {
	raw, err := sealBox(u, cost, encode(s), random)
	if err != nil {
		return fmt.Errorf("identity in %s: %w", dir, err)
	}
	return writeIdentity(dir, raw)
}
