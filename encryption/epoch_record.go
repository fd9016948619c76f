package encryption

import (
	"bytes"
	"crypto/rand" //lint:allow crypto/rand it is compared with only
	"fmt"
	"io"
	"math/bits"
	"runtime" //lint:allow runtime it bounds the wraps that are made at a time
	"slices"

	"golang.org/x/sync/errgroup"
)

const (
	minWraps       = 4
	maxWraps       = 128 // 64 devices and the recovery key, rounded up to a power of two
	wrapSize       = 32 + hpkeOverhead
	maxEpochBody   = 192 << 10 // bytes, padding included: 4,096 earlier secrets take 140 KiB
	maxEpochRecord = maxWraps*(wrapSize+8) + maxEpochBody + 256
)

// epochRecord carries an epoch to the devices that may know it. Whoever is not
// one of them sees the tag and how many wraps there are, rounded up. Nothing
// tells for whom a wrap is: a recipient tries each.
//
// A rewrap, which hands an existing epoch to members that its record leaves out,
// has the same form; only those who know the epoch can tell them apart.
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
	Previous   []EpochTag // epochs that it follows, ascending; none for the first
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

// epochDraft is an epoch before it is recorded.
type epochDraft struct {
	epoch      *epoch
	account    AccountID
	author     DeviceID
	key        signingKey // of the author
	digest     Hash
	to         []recipient
	generation uint64
	previous   []EpochTag
	secrets    []Secret // of earlier epochs
}

// seal makes the record.
func (d *epochDraft) seal(random io.Reader) ([]byte, error) {
	wraps, err := wrapSecret(d.epoch, d.account, d.to, random)
	if err != nil {
		return nil, fmt.Errorf("epoch record: %w", err)
	}
	secrets, err := sealSecrets(d.epoch, d.account, d.secrets, random)
	if err != nil {
		return nil, fmt.Errorf("epoch record: %w", err)
	}
	raw, err := d.sign(wraps, random, &epochBody{
		Version: formatVersion, Suite: suiteOne, Account: d.account, Tag: d.epoch.tag,
		WrapsHash: hashWraps(wraps), Author: d.author, Generation: d.generation, Previous: d.previous,
		Recipients: recipientIDs(d.to), Members: d.digest, Secrets: secrets,
	})
	if err != nil {
		return nil, fmt.Errorf("epoch record: %w", err)
	}
	return raw, nil
}

func (d *epochDraft) sign(wraps [][]byte, random io.Reader, b *epochBody) ([]byte, error) {
	body := encode(b)
	signed := encode(signedEpochBody{Body: body, Signature: labelEpochSign.sign(d.key, body)})
	return sealRecord(d.epoch, d.account, wraps, signed, labelEpochBody, random)
}

// sealRecord encrypts the signed body and puts the outside around it.
func sealRecord(e *epoch, account AccountID, wraps [][]byte, body []byte, l label, random io.Reader) ([]byte, error) {
	nonce, err := newNonce(random)
	if err != nil {
		return nil, err
	}
	return encode(epochRecord{
		Version: formatVersion, Suite: suiteOne, Tag: e.tag, Wraps: wraps, Nonce: [nonceSize]byte(nonce),
		Body: aead(e.control).Seal(nil, nonce, pad(body, 0), epochContext(l, account, e.tag)),
	}), nil
}

func recipientIDs(to []recipient) []DeviceID {
	var ids []DeviceID
	for _, r := range to {
		if !r.id.IsZero() {
			ids = append(ids, r.id)
		}
	}
	slices.SortFunc(ids, compareDevices)
	return ids
}

// wrapSecret seals the secret for every recipient, adds wraps for keys that
// nobody holds, and sorts all, so that neither count nor place tells anything.
func wrapSecret(e *epoch, account AccountID, to []recipient, random io.Reader) ([][]byte, error) {
	if len(to) > maxWraps {
		return nil, fmt.Errorf("%w: %d recipients", ErrTooLarge, len(to))
	}
	keys := make([][]byte, 0, wrapCount(len(to)))
	for _, r := range to {
		keys = append(keys, r.key)
	}
	var nobody [2][]byte // two serve for any number: no two wraps for one key can be told from others
	for i := 0; len(keys) < wrapCount(len(to)); i++ {
		if i < len(nobody) {
			public, err := newNobody(random)
			if err != nil {
				return nil, err
			}
			nobody[i] = public
		}
		keys = append(keys, nobody[i%len(nobody)])
	}
	return wrapFor(keys, e, account, random)
}

// newNobody returns a public key to which nobody has the private one.
func newNobody(random io.Reader) ([]byte, error) {
	if s, ok := random.(sealer); ok {
		return s.Nobody()
	}
	k, err := newDeviceKeys(random)
	if err != nil {
		return nil, err
	}
	return k.hpkePublic(), nil
}

// wrapFor seals the secret to each key and sorts the wraps. Each takes 0.3 ms of
// CPU, so that it is done on all of them, but in order if the source of randomness
// is the caller's: then a run has to come out the same again.
func wrapFor(keys [][]byte, e *epoch, account AccountID, random io.Reader) ([][]byte, error) {
	wraps := make([][]byte, len(keys))
	var each errgroup.Group
	each.SetLimit(1)
	if random == rand.Reader {
		each.SetLimit(runtime.GOMAXPROCS(0))
	}
	seal := hpkeSeal
	if s, ok := random.(sealer); ok {
		seal = s.SealHPKE
	}
	for i, k := range keys {
		each.Go(func() (err error) {
			info, plain := hpkeInfo(labelEpochWrap, account, e.tag[:]), e.secret.slice()
			if wraps[i], err = seal(k, info, plain); err == nil {
				remembered.Load().noteSealed(k, info, wraps[i], plain)
			}
			return err
		})
	}
	if err := each.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(wraps, bytes.Compare)
	return wraps, nil
}

// sealer is a source of randomness that also seals with it. HPKE draws its own
// randomness, so that without one a simulation would not come out the same again.
// Nobody is a key that it seals for as nobody's.
type sealer interface {
	SealHPKE(public, info, plain []byte) ([]byte, error)
	Nobody() (public []byte, err error)
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

// epochContext is the associated data of what is sealed within one epoch.
func epochContext(l label, account AccountID, tag EpochTag) []byte {
	return l.message(encode(contextTag{Version: formatVersion, Suite: suiteOne, Account: account, Tag: tag}))
}

func epochBodyContext(account AccountID, tag EpochTag) []byte {
	return epochContext(labelEpochBody, account, tag)
}

type secretsList struct {
	_       struct{} `cbor:",toarray"`
	Secrets [][32]byte
}

// sealSecrets puts earlier secrets under the previous-secrets key, so that one
// unwrap gives the whole history.
func sealSecrets(e *epoch, account AccountID, secrets []Secret, random io.Reader) ([]byte, error) {
	if len(secrets) == 0 {
		return nil, nil
	}
	var list secretsList
	for _, s := range secrets {
		list.Secrets = append(list.Secrets, s.Reveal())
	}
	nonce, err := newNonce(random)
	if err != nil {
		return nil, err
	}
	return aead(e.previous).Seal(nonce, nonce, encode(list), epochContext(labelEpochSecrets, account, e.tag)), nil
}

func openSecrets(e *epoch, account AccountID, sealed []byte) ([]Secret, error) {
	if len(sealed) < nonceSize {
		return nil, fmt.Errorf("previous secrets: %w: %d bytes", ErrMalformed, len(sealed))
	}
	plain, err := aead(e.previous).Open(nil, sealed[:nonceSize], sealed[nonceSize:], epochContext(labelEpochSecrets, account, e.tag))
	if err != nil {
		return nil, fmt.Errorf("previous secrets: %w", ErrDecrypt)
	}
	var list secretsList
	if err := decode(plain, maxEpochBody, &list); err != nil {
		return nil, fmt.Errorf("previous secrets: %w", err)
	}
	secrets := make([]Secret, len(list.Secrets))
	for i, s := range list.Secrets {
		secrets[i] = NewSecret(s)
	}
	return secrets, nil
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

// signedBody decrypts what is inside a record, which is of the kind that the
// label stands for, into v.
func (r *epochRecord) signedBody(e *epoch, account AccountID, l label, v any) (*signedEpochBody, error) {
	plain, err := aead(e.control).Open(nil, r.Nonce[:], r.Body, epochContext(l, account, r.Tag))
	if err != nil {
		return nil, ErrDecrypt
	}
	var s signedEpochBody
	if _, err := unpad(plain, 0, maxEpochBody, &s); err != nil {
		return nil, err
	}
	return &s, decodeVersioned(s.Body, maxEpochBody, v)
}

// open checks the body: that it was sealed in this epoch and signed for these
// wraps by the device that announced it.
func (r *epochRecord) open(e *epoch, log *membershipLog, a *announcement) (*epochBody, error) {
	var b epochBody
	s, err := r.signedBody(e, log.account, labelEpochBody, &b)
	if err != nil {
		return nil, fmt.Errorf("epoch record: %w", err)
	}
	if err := r.check(&b, log.account, a); err != nil {
		return nil, fmt.Errorf("epoch record: %w", err)
	}
	author := a.author(log)
	if b.Author != author.ID {
		return nil, fmt.Errorf("epoch record: %w: %v did not announce it", ErrUnknownDevice, b.Author)
	}
	if !labelEpochSign.verify(author.SigningKey, s.Body, s.Signature) {
		return nil, fmt.Errorf("epoch record: %w", ErrSignature)
	}
	return &b, nil
}

// check compares the body with the outside and with what was announced. What
// the announcement says follows from the operation's causal past, so that every
// device that can open the record comes to the same end.
func (r *epochRecord) check(b *epochBody, account AccountID, a *announcement) error {
	switch {
	case b.Account != account || b.Tag != r.Tag:
		return ErrOtherAccount
	case b.WrapsHash != hashWraps(r.Wraps):
		return fmt.Errorf("%w: other wraps than the signed ones", ErrMalformed)
	case b.Generation != a.generation || !slices.Equal(b.Previous, a.previous):
		return fmt.Errorf("%w: generation %d, announced as %d, or after other epochs", ErrMalformed, b.Generation, a.generation)
	case (b.Generation == 1) != (len(b.Secrets) == 0):
		return fmt.Errorf("%w: earlier secrets of the first epoch, or none of a later one", ErrMalformed)
	}
	return checkRecipients(b.Recipients, b.Author, len(r.Wraps))
}

// checkRecipients wants each device once, in ascending order, and the author
// among them: whoever made an epoch knows it.
func checkRecipients(ids []DeviceID, author DeviceID, wraps int) error {
	if len(ids) > wraps || !slices.Contains(ids, author) {
		return fmt.Errorf("%w: recipients without the author, or more than wraps", ErrMalformed)
	}
	return checkDevices(ids)
}

func checkDevices(ids []DeviceID) error {
	for i := 1; i < len(ids); i++ {
		if compareDevices(ids[i-1], ids[i]) >= 0 {
			return fmt.Errorf("%w: recipients not in ascending order", ErrMalformed)
		}
	}
	return nil
}
