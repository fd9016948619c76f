package encryption

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"time"

	"filippo.io/age"
)

// A backup is an age file for the recovery key. What it encrypts is
//
//	magic ‖ version (1 byte) ‖ suite (1 byte) ‖ records
//
// where a record is its kind (1 byte) ‖ length (4 bytes, big endian) ‖ content.
// First come the membership operations, then the epoch records, then, if the log
// of the device does not go back to the beginning, a snapshot of its documents,
// whose records mean nothing here, then the envelopes behind that, each after
// those that it depends on, and last one manifest, signed
// by the device that made the backup over all that stands before it. That anybody
// who knows the recovery key's public half can encrypt to it is why it is signed.
const backupMagic = "starling backup\n"

// Kinds of records.
const (
	backupOperation = 1
	backupEpoch     = 2
	backupEnvelope  = 3
	backupManifest  = 4
	backupSnapshot  = 5
)

// backupPlace orders the kinds as they come; it is 0 for one that is not known.
func backupPlace(kind byte) int {
	return 1 + bytes.IndexByte([]byte{backupOperation, backupEpoch, backupSnapshot, backupEnvelope, backupManifest}, kind)
}

// Limits of what is read before the envelopes, which stays in memory.
const (
	maxBackupManifest = 1 << 20  // bytes; 4,096 writers take 250 KiB
	maxBackupEpochs   = 64 << 20 // bytes of all epoch records and rewraps
	maxBackupSnapshot = 10 << 20
)

func maxBackupRecord(kind byte) int {
	switch kind {
	case backupOperation:
		return MaxOperation
	case backupEpoch:
		return maxEpochRecord
	case backupEnvelope:
		return MaxEnvelope
	case backupManifest:
		return maxBackupManifest
	case backupSnapshot:
		return maxBackupSnapshot
	}
	return -1
}

// BackupManifest says what a backup holds.
type BackupManifest struct {
	Account    AccountID
	Device     DeviceID  // that made it
	At         time.Time // by that device's clock; informative only
	Operations uint64
	Epochs     uint64 // records, rewraps included
	Envelopes  uint64
	Chats      uint64 // for people, as are contacts
	Contacts   uint64
	Frontier   []Dep // the last envelope of every writer, by writer id
}

type signedManifest struct {
	_         struct{} `cbor:",toarray"`
	Body      []byte
	Signature []byte // by Device
}

type manifestBody struct {
	_          struct{} `cbor:",toarray"`
	Version    uint64
	Suite      uint64
	Account    AccountID
	Device     DeviceID
	At         int64
	Members    Hash // membership digest of the operations
	Operations uint64
	Epochs     uint64
	Envelopes  uint64
	Chats      uint64
	Contacts   uint64
	Frontier   []Dep
	Content    Hash // SHA-256 of all before the manifest's record
}

// BackupWriter writes one backup. Not safe for concurrent use.
type BackupWriter struct {
	sealed io.WriteCloser // what is written here comes out encrypted
	sum    hash.Hash      // of what was written
	body   manifestBody
	id     *Identity
}

// NewBackup begins a backup of what this device knows of members and epochs now,
// for the recovery key. The caller adds the envelopes and calls Finish; without
// that the backup is worthless, and says so when it is read. Errors: ErrNotMember;
// ErrNeedsEpoch when the recovery words were replaced and no epoch has been made
// since, so that they would not open what is in it.
func (id *Identity) NewBackup(w io.Writer) (*BackupWriter, error) {
	b := &BackupWriter{id: id, sum: sha256.New()}
	ops, records, to, err := b.snapshot()
	if err != nil {
		return nil, err
	}
	if b.sealed, err = age.Encrypt(w, to...); err != nil {
		return nil, err
	}
	if err := b.write(append([]byte(backupMagic), formatVersion, suiteOne)); err != nil {
		return nil, err
	}
	for _, raw := range ops {
		if err := b.record(backupOperation, raw); err != nil {
			return nil, err
		}
	}
	for _, raw := range records {
		if err := b.record(backupEpoch, raw); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *BackupWriter) snapshot() (ops, records [][]byte, to []age.Recipient, err error) {
	b.id.mu.RLock()
	defer b.id.mu.RUnlock()
	log, ring := b.id.log, b.id.ring
	if _, member := log.member(b.id.device); !member {
		return nil, nil, nil, fmt.Errorf("%w: %v", ErrNotMember, b.id.device)
	}
	for _, a := range ring.ends() {
		for _, op := range log.recoveryIn(firstOf(len(log.ops))) {
			if !a.past(log).has(op.index) {
				return nil, nil, nil, ErrNeedsEpoch
			}
		}
	}
	ops, records = rawOperations(log.ops), ring.held()
	b.body = manifestBody{
		Version: formatVersion, Suite: suiteOne, Account: b.id.account, Device: b.id.device, Members: log.digest(),
		Operations: uint64(len(ops)), Epochs: uint64(len(records)),
	}
	to, err = log.ageRecipients()
	return ops, records, to, err
}

func (b *BackupWriter) write(p []byte) error {
	b.sum.Write(p)
	_, err := b.sealed.Write(p)
	return err
}

func (b *BackupWriter) record(kind byte, content []byte) error {
	if len(content) > maxBackupRecord(kind) {
		return fmt.Errorf("%w: record of %d bytes", ErrTooLarge, len(content))
	}
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(content)))
	if err := b.write(head); err != nil {
		return err
	}
	return b.write(content)
}

// AddSnapshot writes a record of the snapshot, before any envelope. The order of the
// records is kept.
func (b *BackupWriter) AddSnapshot(record []byte) error { return b.record(backupSnapshot, record) }

// Add writes an envelope. All that it depends on come before it.
func (b *BackupWriter) Add(envelope []byte) error {
	b.body.Envelopes++
	return b.record(backupEnvelope, envelope)
}

// Finish signs and writes the manifest. Of m it takes the time, the counts of
// chats and contacts, and the frontier that the envelopes make; the rest it fills
// in.
func (b *BackupWriter) Finish(m *BackupManifest) error {
	b.body.At, b.body.Chats, b.body.Contacts = m.At.UnixMilli(), m.Chats, m.Contacts
	b.body.Frontier, b.body.Content = m.Frontier, Hash(b.sum.Sum(nil))
	*m = *b.body.manifest()
	body := encode(&b.body)
	signed := encode(signedManifest{Body: body, Signature: labelBackupSign.sign(b.id.keys.signing, body)})
	if err := b.record(backupManifest, signed); err != nil {
		return err
	}
	return b.sealed.Close()
}

func (b *manifestBody) manifest() *BackupManifest {
	return &BackupManifest{
		Account: b.Account, Device: b.Device, At: time.UnixMilli(b.At),
		Operations: b.Operations, Epochs: b.Epochs, Envelopes: b.Envelopes,
		Chats: b.Chats, Contacts: b.Contacts, Frontier: b.Frontier,
	}
}
