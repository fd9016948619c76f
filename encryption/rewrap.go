package encryption

import (
	"fmt"
	"io"
	"slices"
)

// maxRewraps bounds the rewraps of one epoch by one author. An honest one makes
// one for each batch of devices that were added beside the epoch.
const maxRewraps = 16

// maxAsked bounds the rewraps of one epoch that one author makes for one device because
// that has asked: as many keys it may have lost one after the other.
const maxAsked = 4

// rewrap hands an epoch to members that its record leaves out, because they were
// added while it was made. It needs no operation: it decides nothing, and the
// tag commits to the secret.
type rewrap struct {
	name   Hash
	raw    []byte
	record *epochRecord // nil once it was opened
	body   *rewrapBody
}

type rewrapBody struct {
	_          struct{} `cbor:",toarray"`
	Version    uint64
	Suite      uint64
	Account    AccountID
	Tag        EpochTag
	WrapsHash  Hash
	Author     DeviceID
	Recipients []DeviceID // ascending
	Members    Hash       // membership digest of the author
}

func (k *keyring) hasRewrap(name Hash) bool {
	return slices.ContainsFunc(k.rewraps, func(w *rewrap) bool { return w.name == name })
}

// admitRewraps opens what it can, until nothing more opens: a rewrap may bring
// the epoch whose record holds the secret that another one needs.
func (k *keyring) admitRewraps(log *membershipLog, waiting []*rewrap, added *[][]byte) (errs []error) {
	for progress := true; progress; {
		progress = false
		var still []*rewrap
		for _, w := range waiting {
			e := k.epochOf(w)
			if e == nil {
				still = append(still, w)
				continue
			}
			kept, err := k.admitRewrap(log, w, e)
			if err != nil {
				errs = append(errs, fmt.Errorf("rewrap of epoch %v: %w", w.record.Tag, err))
			}
			if kept {
				progress = true
				*added = append(*added, w.raw)
				w.record = nil
			}
		}
		waiting = still
	}
	for _, w := range waiting {
		errs = append(errs, fmt.Errorf("rewrap of epoch %v: %w", w.record.Tag, ErrUnknownEpoch))
	}
	return errs
}

func (k *keyring) epochOf(w *rewrap) *epoch {
	if e := k.secrets[w.record.Tag]; e != nil {
		return e
	}
	return k.unwrap(w.record, 0)
}

func (k *keyring) admitRewrap(log *membershipLog, w *rewrap, e *epoch) (kept bool, err error) {
	if k.hasRewrap(w.name) {
		return false, nil
	}
	if w.body, err = w.record.openRewrap(e, log); err != nil {
		return false, err
	}
	n := 0
	for _, o := range k.rewraps {
		if o.body.Tag == w.body.Tag && o.body.Author == w.body.Author {
			n++
		}
	}
	if n >= maxRewraps {
		return false, fmt.Errorf("%w: %d rewraps by one device", ErrTooLarge, n)
	}
	k.rewraps = append(k.rewraps, w)
	k.secrets[e.tag] = e
	k.open(log)
	return true, nil
}

// openRewrap checks that a device of the account made the rewrap. It may be one
// that was removed since: it hands out what it knows, and no more.
func (r *epochRecord) openRewrap(e *epoch, log *membershipLog) (*rewrapBody, error) {
	var b rewrapBody
	s, err := r.signedBody(e, log.account, labelRewrapBody, &b)
	if err != nil {
		return nil, err
	}
	switch {
	case b.Account != log.account || b.Tag != r.Tag:
		return nil, ErrOtherAccount
	case b.WrapsHash != hashWraps(r.Wraps):
		return nil, fmt.Errorf("%w: other wraps than the signed ones", ErrMalformed)
	case len(b.Recipients) == 0 || len(b.Recipients) > len(r.Wraps):
		return nil, fmt.Errorf("%w: %d recipients", ErrMalformed, len(b.Recipients))
	}
	if err := checkDevices(b.Recipients); err != nil {
		return nil, err
	}
	at, ok := log.adds[b.Author]
	if !ok {
		return nil, fmt.Errorf("%w: none adds its author %v", ErrMissingOperation, b.Author)
	}
	if !labelRewrapSign.verify(log.ops[at].member.SigningKey, s.Body, s.Signature) {
		return nil, ErrSignature
	}
	return &b, nil
}

// holders returns the members for whom there is a wrap of the epoch, ascending. One
// that has another key than the author of the epoch knew may have lost that.
func (k *keyring) holders(log *membershipLog, a *announcement) []DeviceID {
	ids := slices.DeleteFunc(slices.Clone(a.body.Recipients), func(d DeviceID) bool {
		key := log.resolved.hpke[log.adds[d]]
		return key != nil && !a.past(log).has(key.index)
	})
	for _, w := range k.rewraps {
		if w.body.Tag == a.tag {
			ids = append(ids, w.body.Recipients...)
		}
	}
	slices.SortFunc(ids, compareDevices)
	return slices.DeleteFunc(slices.Compact(ids), func(d DeviceID) bool { _, ok := log.member(d); return !ok })
}

// lacking returns the members for whom there is no wrap of the epoch.
func (k *keyring) lacking(log *membershipLog, a *announcement) (missing []Member) {
	have := k.holders(log, a)
	for _, m := range log.members() {
		if !slices.Contains(have, m.ID) {
			missing = append(missing, m)
		}
	}
	return missing
}

// PrepareRewrap makes the records that hand the newest epochs to members that
// cannot open them from the records there are: devices that were added while an
// epoch was made, and all that were added since, whose welcome told them the
// secret but nobody else that it did. Nothing is kept: the caller makes the
// records durable and then gives them to AdmitEpochs.
//
// Of the members that have an epoch, the one with the smallest id serves all
// others; every other one serves only the devices named in met, those that it is
// connected to. Two members that serve one device do no harm. Without anything to
// do it returns nothing. Random nil is the system's source. Errors: ErrNotMember.
func (id *Identity) PrepareRewrap(random io.Reader, met ...DeviceID) (records [][]byte, err error) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	if _, ok := id.log.member(id.device); !ok {
		return nil, fmt.Errorf("rewrap: %w: %v", ErrNotMember, id.device)
	}
	for _, a := range id.ring.ends() {
		record, err := id.rewrap(readerOr(random), a, met)
		if err != nil {
			return nil, fmt.Errorf("rewrap epoch %v: %w", a.tag, err)
		}
		if record != nil {
			records = append(records, record)
		}
	}
	return records, nil
}

// ends returns the epochs, of those that are open here, whose secrets no other open
// one that follows tells: whoever has these can read everything. A device that has
// lost its key does not know the secrets that were wrapped for it, and the epochs that
// it begins do not tell them.
func (k *keyring) ends() []*announcement {
	var ends []*announcement
	for _, a := range k.all {
		if a.body == nil {
			continue
		}
		ends = slices.DeleteFunc(ends, func(o *announcement) bool {
			return o.tag == a.tag || (o.op == nil || a.op != nil && a.op.past.has(o.op.index)) && a.tells[o.tag]
		})
		ends = append(ends, a)
	}
	return ends
}

func (id *Identity) rewrap(random io.Reader, a *announcement, met []DeviceID) ([]byte, error) {
	have := id.ring.holders(id.log, a)
	all := len(have) == 0 || have[0] == id.device
	var to []recipient
	for _, m := range id.ring.lacking(id.log, a) {
		if all || slices.Contains(met, m.ID) {
			to = append(to, recipient{id: m.ID, key: m.HPKEKey})
		}
	}
	if len(to) == 0 {
		return nil, nil
	}
	return id.rewrapFor(random, id.ring.secrets[a.tag], to)
}

// PrepareRewrapOf makes the record that hands one epoch to a member that has asked for it,
// because it has lost the key which it was handed it for. Whether it has cannot be told from
// the records. Nothing is kept, as of PrepareRewrap. It returns nothing where there is
// nothing to do: the epoch is not open here, the device is no other member, or has been
// served often enough. Random nil is the system's source. Errors: ErrNotMember.
func (id *Identity) PrepareRewrapOf(random io.Reader, tag EpochTag, device DeviceID) (record []byte, err error) {
	id.mu.RLock()
	defer id.mu.RUnlock()
	if _, ok := id.log.member(id.device); !ok {
		return nil, fmt.Errorf("rewrap epoch %v: %w: %v", tag, ErrNotMember, id.device)
	}
	m, member := id.log.member(device)
	e := id.ring.secrets[tag]
	if !member || device == id.device || e == nil || id.ring.served(tag, id.device, device) >= maxAsked {
		return nil, nil
	}
	record, err = id.rewrapFor(readerOr(random), e, []recipient{{id: m.ID, key: m.HPKEKey}})
	if err != nil {
		return nil, fmt.Errorf("rewrap epoch %v: %w", tag, err)
	}
	return record, nil
}

// served returns how many rewraps of an epoch one device has made for another one.
func (k *keyring) served(tag EpochTag, by, to DeviceID) (n int) {
	for _, w := range k.rewraps {
		if w.body.Tag == tag && w.body.Author == by && slices.Contains(w.body.Recipients, to) {
			n++
		}
	}
	return n
}

func (id *Identity) rewrapFor(random io.Reader, e *epoch, to []recipient) ([]byte, error) {
	wraps, err := wrapSecret(e, id.account, to, random)
	if err != nil {
		return nil, err
	}
	body := encode(rewrapBody{
		Version: formatVersion, Suite: suiteOne, Account: id.account, Tag: e.tag, WrapsHash: hashWraps(wraps),
		Author: id.device, Recipients: recipientIDs(to), Members: id.log.digest(),
	})
	signed := encode(signedEpochBody{Body: body, Signature: labelRewrapSign.sign(id.keys.signing, body)})
	return sealRecord(e, id.account, wraps, signed, labelRewrapBody, random)
}
