package encryption

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"filippo.io/age"
)

// BackupReader reads one backup. Not safe for concurrent use.
type BackupReader struct {
	source *faultSource
	plain  *bufio.Reader
	words  RecoveryWords
	sum    hash.Hash // of what was read

	log      *membershipLog
	records  [][]byte
	next     backupRecord // read ahead
	snapshot bool         // what Next returned last is a record of the snapshot
	found    manifestBody // what was counted so far
	manifest *BackupManifest
}

type backupRecord struct {
	kind    byte
	content []byte
	before  Hash // of all that stood before the record
}

// faultSource remembers that reading failed, which proves nothing against the
// file.
type faultSource struct {
	r   io.Reader
	err error
}

func (s *faultSource) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// OpenBackup decrypts a backup and reads the membership operations and the epoch
// records. Nothing in it can be trusted before Next has returned io.EOF: only then
// has the signature over the whole been seen. Errors: ErrWords when the words do
// not open it, because they are of another account, or not those that counted when
// it was made; ErrBackup when it is none, or altered; ErrUnsupported; or what the
// reader failed with.
func OpenBackup(r io.Reader, words RecoveryWords) (*BackupReader, error) {
	b := &BackupReader{source: &faultSource{r: r}, words: words, sum: sha256.New()}
	if err := b.open(); err != nil {
		return nil, fmt.Errorf("open backup: %w", b.fault(err))
	}
	return b, nil
}

// fault says which of three things an error is: of the words, of the reader, or
// of the file.
func (b *BackupReader) fault(err error) error {
	if b.source.err != nil {
		return b.source.err
	}
	if errors.Is(err, ErrWords) || errors.Is(err, ErrUnsupported) || errors.Is(err, ErrBackup) {
		return err
	}
	if errors.Is(err, io.EOF) { // which from Next would mean that all is well
		return fmt.Errorf("%w: it is cut short", ErrBackup)
	}
	return fmt.Errorf("%w: %w", ErrBackup, err)
}

func (b *BackupReader) open() error {
	key, err := b.words.ageIdentity()
	if err != nil {
		return err
	}
	plain, err := age.Decrypt(b.source, key)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return fmt.Errorf("%w, or not those that counted when the backup was made", ErrWords)
	}
	if err != nil {
		return err
	}
	return b.openContent(plain)
}

// openContent begins to read what was encrypted.
func (b *BackupReader) openContent(plain io.Reader) error {
	b.plain = bufio.NewReaderSize(plain, 64<<10)
	start := make([]byte, len(backupMagic)+2)
	if err := b.read(start); err != nil {
		return err
	}
	if string(start[:len(backupMagic)]) != backupMagic {
		return fmt.Errorf("%w: it begins otherwise", ErrBackup)
	}
	if start[len(backupMagic)] != formatVersion || start[len(backupMagic)+1] != suiteOne {
		return fmt.Errorf("backup: %w", ErrUnsupported)
	}
	if err := b.advance(backupOperation); err != nil {
		return err
	}
	return b.readRoster()
}

// read fills p and counts it as read.
func (b *BackupReader) read(p []byte) error {
	if _, err := io.ReadFull(b.plain, p); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	b.sum.Write(p)
	return nil
}

// advance reads the next record, which is of the kind least or a later one.
func (b *BackupReader) advance(least byte) error {
	b.next = backupRecord{before: Hash(b.sum.Sum(nil))}
	var head [5]byte
	if err := b.read(head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if b.next.kind = head[0]; backupPlace(b.next.kind) < backupPlace(least) || int64(n) > int64(maxBackupRecord(b.next.kind)) {
		return fmt.Errorf("%w: record of kind %d with %d bytes", ErrMalformed, b.next.kind, n)
	}
	b.next.content = make([]byte, n)
	return b.read(b.next.content)
}

// readRoster reads what comes before the envelopes.
func (b *BackupReader) readRoster() error {
	var ops [][]byte
	for b.next.kind == backupOperation {
		if ops = append(ops, b.next.content); len(ops) > MaxOperations {
			return ErrTooManyOperations
		}
		if err := b.advance(backupOperation); err != nil {
			return err
		}
	}
	for size := 0; b.next.kind == backupEpoch; {
		if _, err := parseEpochRecord(b.next.content); err != nil {
			return err
		}
		if size += len(b.next.content); size > maxBackupEpochs {
			return fmt.Errorf("%w: epoch records", ErrTooLarge)
		}
		b.records = append(b.records, b.next.content)
		if err := b.advance(backupEpoch); err != nil {
			return err
		}
	}
	return b.admit(ops)
}

// admit checks the operations, and that the words have authority over them:
// whoever encrypts to a recovery key can put another account inside.
func (b *BackupReader) admit(ops [][]byte) (err error) {
	if len(ops) == 0 {
		return fmt.Errorf("%w: no operations", ErrMalformed)
	}
	b.log = newLog(accountID(ops[0]))
	if _, err := b.log.admit(ops); err != nil {
		return err
	}
	if len(b.log.ops) != len(ops) {
		return fmt.Errorf("%w: an operation twice", ErrMalformed)
	}
	if _, err := (&draft{log: b.log}).recoveryKeys(b.words); err != nil {
		return err
	}
	b.found = manifestBody{
		Version: formatVersion, Suite: suiteOne, Account: b.log.account, Members: b.log.digest(),
		Operations: uint64(len(ops)), Epochs: uint64(len(b.records)),
	}
	return nil
}

// Snapshot says whether what Next returned last is a record of the snapshot.
func (b *BackupReader) Snapshot() bool { return b.snapshot }

// Next returns the next record of the snapshot, then the next envelope, unverified as
// they are. After the last it checks
// the manifest and returns io.EOF if it holds. Errors as of OpenBackup.
func (b *BackupReader) Next() (content []byte, err error) {
	if b.manifest != nil {
		return nil, io.EOF
	}
	if b.next.kind == backupManifest {
		if err := b.finish(); err != nil {
			return nil, fmt.Errorf("read backup: %w", b.fault(err))
		}
		return nil, io.EOF
	}
	content, b.snapshot = b.next.content, b.next.kind == backupSnapshot
	if !b.snapshot {
		b.found.Envelopes++
	}
	if err := b.advance(b.next.kind); err != nil {
		return nil, fmt.Errorf("read backup: %w", b.fault(err))
	}
	return content, nil
}

// finish checks the manifest and that nothing follows it.
func (b *BackupReader) finish() error {
	if _, err := b.plain.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.Join(fmt.Errorf("%w: something follows the manifest", ErrMalformed), err)
	}
	var s signedManifest
	if err := decode(b.next.content, maxBackupManifest, &s); err != nil {
		return err
	}
	var m manifestBody
	if err := decodeVersioned(s.Body, maxBackupManifest, &m); err != nil {
		return err
	}
	maker, member := b.log.member(m.Device)
	if !member {
		return fmt.Errorf("%w: made by %v", ErrUnknownDevice, m.Device)
	}
	if !labelBackupSign.verify(maker.SigningKey, s.Body, s.Signature) {
		return ErrSignature
	}
	if err := m.check(&b.found, b.next.before); err != nil {
		return err
	}
	b.manifest = m.manifest()
	return nil
}

// check compares what the manifest says with what was read.
func (m *manifestBody) check(found *manifestBody, content Hash) error {
	switch {
	case m.Account != found.Account:
		return ErrOtherAccount
	case m.Members != found.Members || m.Operations != found.Operations || m.Epochs != found.Epochs ||
		m.Envelopes != found.Envelopes || m.Content != content:
		return fmt.Errorf("%w: the manifest is of another content", ErrMalformed)
	case m.At < 0:
		return fmt.Errorf("%w: time before 1970", ErrMalformed)
	}
	return checkDeps(WriterID{}, m.Frontier)
}

// Manifest returns what the backup holds. Nil before Next has returned io.EOF.
func (b *BackupReader) Manifest() *BackupManifest { return b.manifest }

// Members returns the members by id, as the backup has them.
func (b *BackupReader) Members() []Member { return slices.Clone(b.log.members()) }
