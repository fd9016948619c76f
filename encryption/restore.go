package encryption

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// RestoreOptions are the circumstances of a device that brings an account back.
type RestoreOptions struct {
	Name   string    // of this device, as the others see it: 1 to 256 bytes of printable UTF-8
	Now    time.Time // recorded in the operation, informative only; required
	Random io.Reader // nil: the system's source

	cost argonCost // tests: cheaper Argon2id
}

// Restore makes this device, with fresh keys, a member of the account in a backup,
// by an operation that the recovery key signs, and writes its identity into dir,
// which it creates if needed. The identity knows all operations and epochs of the
// backup; the caller keeps what is not in its file (Ops, EpochRecords) and removes
// the devices that are lost. It comes after Next has returned io.EOF.
//
// Errors: ErrExists, then nothing was written; ErrWords; ErrUnknownEpoch when the
// words open no epoch; ErrMalformed for the name; ErrTooManyDevices;
// ErrTooManyOperations; ErrEmptyPassphrase.
func (b *BackupReader) Restore(dir string, u Unlock, o *RestoreOptions) (*Identity, error) {
	id, err := b.restore(dir, u, o)
	if err != nil {
		return nil, fmt.Errorf("restore into %s: %w", dir, err)
	}
	return id, nil
}

var errUnread = errors.New("the backup was not read to its end")

func (b *BackupReader) restore(dir string, u Unlock, o *RestoreOptions) (*Identity, error) {
	switch _, err := u.kind(); {
	case b.manifest == nil:
		return nil, errUnread
	case err != nil:
		return nil, err
	case Exists(dir):
		return nil, ErrExists
	case o.Now.UnixMilli() < 0:
		return nil, fmt.Errorf("%w: time before 1970", ErrMalformed)
	}
	random := readerOr(o.Random)
	s, err := b.stored(o, random)
	if err != nil {
		return nil, err
	}
	id, err := newIdentity(s)
	if err != nil {
		return nil, err
	}
	if _, err := id.AdmitEpochs(b.records...); err != nil && !errors.Is(err, ErrUnknownEpoch) {
		return nil, err
	}
	if err := s.save(dir, u, costOr(o.cost), random); err != nil {
		return nil, err
	}
	return id, nil
}

// stored makes what the identity file of the new device will hold.
func (b *BackupReader) stored(o *RestoreOptions, random io.Reader) (*storedIdentity, error) {
	j, err := NewJoiner(&JoinOptions{Name: o.Name, Random: random})
	if err != nil {
		return nil, err
	}
	s, err := storedFor(j.keys, random)
	if err != nil {
		return nil, err
	}
	d := &draft{log: b.log.clone()}
	recovery, err := d.recoveryKeys(b.words)
	if err != nil {
		return nil, err
	}
	ring, err := recoverEpochs(d.log, recovery, b.records)
	if err != nil {
		return nil, err
	}
	op, err := d.addByRecovery(recovery, j, o.Now)
	if err != nil {
		return nil, err
	}
	s.Account, s.Device, s.Operations = d.log.account, deviceID(op), rawOperations(d.log.ops)
	s.Epochs, s.EpochRecords = ring.told(firstOf(len(d.log.ops)))
	return s, nil
}

// addByRecovery signs the operation that adds a device in the name of the
// recovery words. There is no pairing for the transcript to stand for, so it
// stands for where in the log the operation is.
func (d *draft) addByRecovery(recovery *deviceKeys, j *Joiner, now time.Time) ([]byte, error) {
	heads := d.log.nextParents(DeviceID{})
	r := j.Request(labelRestore.hash(encode(digestInput{Account: d.log.account, Heads: heads})))
	err := d.sign(DeviceID{}, OperationAdd, addAction{
		SigningKey: r.SigningKey, HPKEKey: r.HPKEKey, Name: r.Name, At: now.UnixMilli(),
		Transcript: r.Transcript, SelfSignature: r.SelfSignature,
	}, recovery)
	if err != nil {
		return nil, err
	}
	return d.ops[len(d.ops)-1], nil
}

// recoverEpochs opens the epochs with the recovery key, which is a recipient of
// each. After the words were replaced that is only true of the later ones; these
// carry the secrets of those before, the first one included.
func recoverEpochs(log *membershipLog, recovery *deviceKeys, records [][]byte) (*keyring, error) {
	ring := newKeyring(log.account, recovery.hpke)
	secrets := map[EpochTag]*epoch{}
	for i := len(records) - 1; i >= 0; i-- { // the newest bring the secrets of the others
		r, err := parseEpochRecord(records[i])
		if err != nil {
			return nil, err
		}
		if secrets[r.Tag] == nil {
			r.collect(log.account, recovery.hpke, secrets)
		}
	}
	if err := ring.restoreFirst(log, secrets, records); err != nil {
		return nil, err
	}
	ring.follow(log)
	for tag, e := range secrets { // order-free: each stands for itself
		if ring.byTag[tag] != nil {
			ring.secrets[tag] = e
		}
	}
	if _, err := ring.admit(log, records); err != nil && !errors.Is(err, ErrUnknownEpoch) {
		return nil, err
	}
	return ring, nil
}

// collect adds the epoch of a record that key opens, and those that the record
// carries. Nothing of it is verified, except that each secret gives its tag.
func (r *epochRecord) collect(account AccountID, key hpkeKey, secrets map[EpochTag]*epoch) {
	e, err := r.unwrap(account, key)
	if err != nil {
		return
	}
	secrets[e.tag] = e
	var body epochBody
	if _, err := r.signedBody(e, account, labelEpochBody, &body); err != nil || len(body.Secrets) == 0 {
		return // a rewrap, or the first
	}
	earlier, err := openSecrets(e, account, body.Secrets)
	if err != nil {
		return
	}
	for _, s := range earlier {
		if tag := epochTag(s, account); secrets[tag] == nil {
			secrets[tag] = newEpoch(s, account)
		}
	}
}
