package encryption

import (
	"fmt"
	"io"
	"time"
)

// CreateOptions are the circumstances of a new account.
type CreateOptions struct {
	Name   string    // of this device, as the others see it: 1 to 256 bytes of printable UTF-8
	Now    time.Time // recorded in the genesis, informative only; required
	Random io.Reader // nil: the system's source

	cost argonCost // tests: cheaper Argon2id
}

// Create makes a new account with this device as its first, and writes its
// identity into dir, which it creates if needed. The words come from the
// recovery seed, which is stored nowhere: show them once and drop them. Errors:
// ErrExists, then nothing was written; ErrEmptyPassphrase; ErrMalformed for the
// name. A passphrase costs what it costs in OpenIdentity.
func Create(dir string, u Unlock, o *CreateOptions) (*Identity, RecoveryWords, error) {
	id, words, err := create(dir, u, o)
	if err != nil {
		return nil, RecoveryWords{}, fmt.Errorf("create identity in %s: %w", dir, err)
	}
	return id, words, nil
}

func create(dir string, u Unlock, o *CreateOptions) (*Identity, RecoveryWords, error) {
	if Exists(dir) {
		return nil, RecoveryWords{}, ErrExists
	}
	if _, err := u.kind(); err != nil {
		return nil, RecoveryWords{}, err
	}
	random := readerOr(o.Random)
	f, err := found(o.Name, o.Now, random)
	if err != nil {
		return nil, RecoveryWords{}, err
	}
	id, err := newIdentity(f.stored)
	if err != nil {
		return nil, RecoveryWords{}, err
	}
	if err := f.stored.save(dir, u, costOr(o.cost), random); err != nil {
		return nil, RecoveryWords{}, err
	}
	return id, NewRecoveryWords(f.seed), nil
}

func costOr(c argonCost) argonCost {
	if c == (argonCost{}) {
		return defaultCost
	}
	return c
}

// foundation is a new account before it is stored.
type foundation struct {
	seed   Secret // of the recovery key
	stored *storedIdentity
}

func found(name string, now time.Time, random io.Reader) (*foundation, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if now.IsZero() || now.UnixMilli() < 0 {
		return nil, fmt.Errorf("%w: time before 1970", ErrMalformed)
	}
	s, keys, err := newStored(random)
	if err != nil {
		return nil, err
	}
	seed, err := newSecret(random)
	if err != nil {
		return nil, err
	}
	recovery, err := recoveryKeys(seed)
	if err != nil {
		return nil, err
	}
	genesis := signGenesis(keys, recovery, name, now)
	s.Account, s.Device, s.Operations = accountID(genesis), deviceID(genesis), [][]byte{genesis}
	if err := s.addEpoch(keys, recovery, random); err != nil {
		return nil, err
	}
	return &foundation{seed: seed, stored: s}, nil
}

// newStored draws the keys that belong to one device alone.
func newStored(random io.Reader) (*storedIdentity, *deviceKeys, error) {
	keys, err := newDeviceKeys(random)
	if err != nil {
		return nil, nil, err
	}
	s, err := storedFor(keys, random)
	return s, keys, err
}

// storedFor draws the keys at rest beside the given device keys.
func storedFor(keys *deviceKeys, random io.Reader) (*storedIdentity, error) {
	s := &storedIdentity{
		Version: formatVersion, Suite: suiteOne,
		SigningSeed: keys.signingSeed.Reveal(), HPKESeed: keys.hpkeSeed.Reveal(),
	}
	for _, b := range []*[32]byte{&s.BadgerKey, &s.RecordKey} {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return nil, fmt.Errorf("draw the keys at rest: %w", err)
		}
	}
	return s, nil
}

func signGenesis(device, recovery *deviceKeys, name string, now time.Time) []byte {
	return sealOperation(&operationBody{
		Version: formatVersion, Suite: suiteOne, Kind: OperationGenesis,
		Action: encode(genesisAction{
			SigningKey: device.signingPublic(), HPKEKey: device.hpkePublic(),
			Name: name, At: now.UnixMilli(),
			RecoverySigning: recovery.signingPublic(), RecoveryHPKE: recovery.hpkePublic(),
		}),
	}, device, recovery)
}

// addEpoch draws the first content epoch and records it for this device and the
// recovery key.
func (s *storedIdentity) addEpoch(keys, recovery *deviceKeys, random io.Reader) error {
	secret, err := newSecret(random)
	if err != nil {
		return err
	}
	log := newLog(s.Account)
	if _, err := log.admit(s.Operations); err != nil {
		return err
	}
	draft := &epochDraft{
		epoch: newEpoch(secret, s.Account), account: s.Account, author: s.Device, key: keys.signing,
		digest: log.digest(), generation: 1,
		to: []recipient{{id: s.Device, key: keys.hpkePublic()}, {key: recovery.hpkePublic()}},
	}
	record, err := draft.seal(random)
	if err != nil {
		return err
	}
	s.Epochs = [][32]byte{secret.Reveal()}
	s.EpochRecords = [][]byte{record}
	return nil
}
