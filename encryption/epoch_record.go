package encryption

import (
	"bytes"
	"fmt"
	"io"
	"math/bits"
	"slices"
)

const (
	minWraps       = 4
	maxWraps       = 128 // 64 devices and the recovery key, rounded up to a power of two
	wrapSize       = 32 + hpkeOverhead
	maxEpochBody   = 64 << 10
	maxEpochRecord = maxWraps*(wrapSize+8) + maxEpochBody + 256
)

// epochRecord carries an epoch to the devices that may know it. Whoever is not
// one of them sees the tag and how many wraps there are, rounded up. Nothing
// tells for whom a wrap is: a recipient tries each.
type epochRecord struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Suite   uint64
	Tag     EpochTag
	Wraps   [][]byte // of the secret; a power of two of them, at least 4
	Nonce   [nonceSize]byte
	Body    []byte // signedEpochBody under the control key, padded
}

type signedEpochBody struct {
	_         struct{} `cbor:",toarray"`
	Body      []byte
	Signature []byte // by Author
}

type epochBody struct {
	_          struct{} `cbor:",toarray"`
	Version    uint64
	Suite      uint64
	Account    AccountID
	Tag        EpochTag
	WrapsHash  Hash // of all wraps, so that the signature covers them
	Author     DeviceID
	Generation uint64     // 1 for the first epoch
	Previous   []EpochTag // epochs that it follows; none for the first
	Recipients []DeviceID // ascending
	Members    Hash       // membership digest of the author
	Secrets    []byte     // earlier secrets under the previous-secrets key; empty for the first
}

type wrapsInput struct {
	_     struct{} `cbor:",toarray"`
	Wraps [][]byte
}

func hashWraps(wraps [][]byte) Hash { return labelEpochWraps.hash(encode(wrapsInput{Wraps: wraps})) }

// recipient is one public key that an epoch is wrapped for.
type recipient struct {
	id  DeviceID // zero for the recovery key
	key []byte
}

// sealEpochRecord writes the record of the account's first epoch.
func sealEpochRecord(e *epoch, account AccountID, author DeviceID, key signingKey,
	digest Hash, to []recipient, random io.Reader) ([]byte, error) {
	wraps, err := wrapSecret(e, account, to, random)
	if err != nil {
		return nil, fmt.Errorf("epoch record: %w", err)
	}
	nonce, err := newNonce(random)
	if err != nil {
		return nil, fmt.Errorf("epoch record: %w", err)
	}
	body := encode(epochBody{
		Version: formatVersion, Suite: suiteOne, Account: account, Tag: e.tag,
		WrapsHash: hashWraps(wraps), Author: author, Generation: 1,
		Recipients: recipientIDs(to), Members: digest,
	})
	plain := pad(encode(signedEpochBody{Body: body, Signature: labelEpochSign.sign(key, body)}), 0)
	return encode(epochRecord{
		Version: formatVersion, Suite: suiteOne, Tag: e.tag, Wraps: wraps, Nonce: [nonceSize]byte(nonce),
		Body: aead(e.control).Seal(nil, nonce, plain, epochBodyContext(account, e.tag)),
	}), nil
}

func recipientIDs(to []recipient) []DeviceID {
	var ids []DeviceID
	for _, r := range to {
		if !r.id.IsZero() {
			ids = append(ids, r.id)
		}
	}
	slices.SortFunc(ids, func(a, b DeviceID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// wrapSecret seals the secret for every recipient, adds wraps for keys that
// nobody holds, and sorts all, so that neither count nor place tells anything.
func wrapSecret(e *epoch, account AccountID, to []recipient, random io.Reader) ([][]byte, error) {
	keys := make([][]byte, 0, wrapCount(len(to)))
	for _, r := range to {
		keys = append(keys, r.key)
	}
	for len(keys) < wrapCount(len(to)) {
		nobody, err := newDeviceKeys(random)
		if err != nil {
			return nil, err
		}
		keys = append(keys, nobody.hpkePublic())
	}
	var wraps [][]byte
	for _, k := range keys {
		w, err := hpkeSeal(k, hpkeInfo(labelEpochWrap, account, e.tag[:]), e.secret.slice())
		if err != nil {
			return nil, err
		}
		wraps = append(wraps, w)
	}
	slices.SortFunc(wraps, bytes.Compare)
	return wraps, nil
}

// wrapCount rounds n up to a power of two of at least 4.
func wrapCount(n int) int { return max(minWraps, 1<<bits.Len(uint(n-1))) }

type contextTag struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Suite   uint64
	Account AccountID
	Tag     EpochTag
}

func epochBodyContext(account AccountID, tag EpochTag) []byte {
	return labelEpochBody.message(encode(contextTag{Version: formatVersion, Suite: suiteOne, Account: account, Tag: tag}))
}

// parseEpochRecord checks the outside.
func parseEpochRecord(raw []byte) (*epochRecord, error) {
	var r epochRecord
	if err := decodeVersioned(raw, maxEpochRecord, &r); err != nil {
		return nil, fmt.Errorf("epoch record: %w", err)
	}
	if n := len(r.Wraps); n < minWraps || n > maxWraps || n != wrapCount(n) {
		return nil, fmt.Errorf("epoch record: %w: %d wraps", ErrMalformed, n)
	}
	for _, w := range r.Wraps {
		if len(w) != wrapSize {
			return nil, fmt.Errorf("epoch record: %w: wrap of %d bytes", ErrMalformed, len(w))
		}
	}
	if !slices.IsSortedFunc(r.Wraps, bytes.Compare) {
		return nil, fmt.Errorf("epoch record: %w: wraps not in ascending order", ErrMalformed)
	}
	return &r, nil
}

// unwrap finds the wrap that key opens. The tag commits to the secret, so no
// wrap can hand a recipient another one.
func (r *epochRecord) unwrap(account AccountID, key hpkeKey) (*epoch, error) {
	for _, w := range r.Wraps {
		plain, err := hpkeOpen(key, hpkeInfo(labelEpochWrap, account, r.Tag[:]), w)
		if err != nil {
			continue
		}
		if len(plain) != 32 {
			return nil, fmt.Errorf("epoch record: %w: secret of %d bytes", ErrMalformed, len(plain))
		}
		e := newEpoch(NewSecret([32]byte(plain)), account)
		if e.tag != r.Tag {
			return nil, fmt.Errorf("epoch record: %w: the secret is not the one the tag commits to", ErrDecrypt)
		}
		return e, nil
	}
	return nil, fmt.Errorf("epoch record: %w: no wrap for this key", ErrDecrypt)
}

// open checks the body: that it was sealed in this epoch and signed by a member
// for these wraps.
func (r *epochRecord) open(e *epoch, log *membershipLog) (*epochBody, error) {
	plain, err := aead(e.control).Open(nil, r.Nonce[:], r.Body, epochBodyContext(log.account, r.Tag))
	if err != nil {
		return nil, fmt.Errorf("epoch record: %w", ErrDecrypt)
	}
	var s signedEpochBody
	if _, err := unpad(plain, 0, maxEpochBody, &s); err != nil {
		return nil, fmt.Errorf("epoch record: %w", err)
	}
	var b epochBody
	if err := decodeVersioned(s.Body, maxEpochBody, &b); err != nil {
		return nil, fmt.Errorf("epoch record: %w", err)
	}
	if err := r.check(&b, log.account); err != nil {
		return nil, fmt.Errorf("epoch record: %w", err)
	}
	author, ok := log.member(b.Author)
	if !ok {
		return nil, fmt.Errorf("epoch record: %w: %v", ErrUnknownDevice, b.Author)
	}
	if !labelEpochSign.verify(author.SigningKey, s.Body, s.Signature) {
		return nil, fmt.Errorf("epoch record: %w", ErrSignature)
	}
	return &b, nil
}

func (r *epochRecord) check(b *epochBody, account AccountID) error {
	switch {
	case b.Account != account || b.Tag != r.Tag:
		return ErrOtherAccount
	case b.WrapsHash != hashWraps(r.Wraps):
		return fmt.Errorf("%w: other wraps than the signed ones", ErrMalformed)
	case b.Generation != 1 || len(b.Previous) != 0 || len(b.Secrets) != 0:
		return fmt.Errorf("%w: epoch of generation %d", ErrUnsupported, b.Generation)
	}
	return nil
}
