package encryption

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// keyring holds the epochs of an account as far as this device can open them.
// It follows one membership log. Not safe for concurrent use; Identity guards
// its own.
type keyring struct {
	account AccountID
	keys    []hpkeKey // of this device: its first, then those of its rekeys
	secrets map[EpochTag]*epoch
	all     []*announcement // causal order, the first epoch first
	byTag   map[EpochTag][]*announcement
	byName  map[Hash][]*announcement // by the hash of the record
	rewraps []*rewrap
	read    int                 // operations of the log that were read
	reached map[DeviceID]uint64 // generations that devices were seen to have
}

func newKeyring(account AccountID, keys ...hpkeKey) *keyring {
	return &keyring{
		account: account, keys: slices.Clone(keys), secrets: map[EpochTag]*epoch{},
		byTag: map[EpochTag][]*announcement{}, byName: map[Hash][]*announcement{},
		reached: map[DeviceID]uint64{},
	}
}

// begin gives the keyring the account's first epoch, which no operation
// announces: a device has it from its creation or its welcome.
func (k *keyring) begin(first *epoch, record []byte) {
	k.secrets[first.tag] = first
	k.insert(&announcement{tag: first.tag, generation: 1, name: recordName(record), raw: record})
}

func (k *keyring) insert(a *announcement) {
	k.all = append(k.all, a)
	k.byTag[a.tag] = append(k.byTag[a.tag], a)
	k.byName[a.name] = append(k.byName[a.name], a)
}

func recordName(raw []byte) Hash { return labelEpochRecordHash.hash(raw) }

// follow reads the operations that the log has admitted since.
func (k *keyring) follow(log *membershipLog) {
	for _, op := range log.ops[k.read:] {
		if op.epoch == nil {
			continue
		}
		if a := k.announce(op); a != nil {
			k.insert(a)
		}
	}
	k.read = len(log.ops)
}

// admit keeps those of raws that the log announces, and rewraps that hold, and
// opens what can be opened.
func (k *keyring) admit(log *membershipLog, raws [][]byte) (added [][]byte, err error) {
	var errs []error
	var waiting []*rewrap
	for _, raw := range raws {
		w, kept, err := k.receive(raw)
		switch {
		case err != nil:
			errs = append(errs, err)
		case w != nil:
			waiting = append(waiting, w)
		case kept:
			added = append(added, raw)
		}
	}
	k.open(log)
	errs = append(errs, k.admitRewraps(log, waiting, &added)...)
	return added, errors.Join(errs...)
}

// receive keeps an announced record. A record that is not announced may be a
// rewrap, which is returned.
func (k *keyring) receive(raw []byte) (w *rewrap, kept bool, err error) {
	if len(raw) > maxEpochRecord {
		return nil, false, fmt.Errorf("epoch record: %w: %d bytes", ErrTooLarge, len(raw))
	}
	name := recordName(raw)
	named := k.byName[name]
	if len(named) > 0 && named[0].raw != nil || k.hasRewrap(name) {
		return nil, false, nil
	}
	r, err := parseEpochRecord(raw)
	if err != nil {
		return nil, false, err
	}
	if len(named) == 0 && k.byTag[r.Tag] == nil {
		return nil, false, fmt.Errorf("epoch record of %v: %w", r.Tag, ErrMissingOperation)
	}
	if len(named) == 0 {
		return &rewrap{name: name, raw: slices.Clone(raw), record: r}, false, nil
	}
	for _, a := range named {
		if a.tag != r.Tag {
			return nil, false, fmt.Errorf("epoch record of %v: %w: announced with another tag", r.Tag, ErrMalformed)
		}
	}
	own := slices.Clone(raw)
	for _, a := range named {
		a.raw, a.fresh = own, r
	}
	return nil, true, nil
}

// open opens every record it can, newest first: one unwrap gives all earlier
// secrets, and HPKE is what costs.
func (k *keyring) open(log *membershipLog) {
	for progress := true; progress; {
		progress = false
		for _, a := range k.newest() {
			if a.raw != nil && a.body == nil && a.broken == nil && k.openOne(log, a) {
				progress = true
			}
		}
	}
}

// openOne reports whether the record brought anything.
func (k *keyring) openOne(log *membershipLog, a *announcement) bool {
	e := k.secrets[a.tag]
	if e == nil && a.tried == len(k.keys) {
		return false
	}
	r := a.fresh
	if a.fresh = nil; r == nil {
		r = must(parseEpochRecord(a.raw)) // receive has parsed it before
	}
	if e == nil {
		e = k.unwrap(r, a.tried)
		a.tried = len(k.keys)
	}
	if e == nil {
		return false
	}
	if a.body, a.broken = r.open(e, log, a); a.broken != nil {
		return false
	}
	k.secrets[a.tag] = e
	k.takeSecrets(a, e)
	return true
}

// unwrap tries the keys from number skip on, newest first.
func (k *keyring) unwrap(r *epochRecord, skip int) *epoch {
	for i := len(k.keys) - 1; i >= skip; i-- {
		if e, err := r.unwrap(k.account, k.keys[i]); err == nil {
			return e
		}
	}
	return nil
}

// takeSecrets takes the earlier secrets that a record holds. A record without
// them, or with others, is no worse for its own epoch, so a failure here is
// none: it takes a member to make such a record.
func (k *keyring) takeSecrets(a *announcement, e *epoch) {
	if a.op == nil {
		return
	}
	missing := map[EpochTag]bool{}
	for _, o := range k.all {
		if k.secrets[o.tag] == nil && (o.op == nil || a.op.past.has(o.op.index)) {
			missing[o.tag] = true
		}
	}
	secrets, err := openSecrets(e, k.account, a.body.Secrets)
	if err != nil {
		return
	}
	a.tells = map[EpochTag]bool{}
	for _, s := range secrets {
		tag := epochTag(s, k.account)
		a.tells[tag] = true
		if missing[tag] {
			k.secrets[tag] = newEpoch(s, k.account)
		}
	}
}

// newest returns the announcements by descending generation, then ascending tag.
func (k *keyring) newest() []*announcement {
	return slices.SortedStableFunc(slices.Values(k.all), func(a, b *announcement) int {
		return cmp.Or(cmp.Compare(b.generation, a.generation), compareTag(a.tag, b.tag))
	})
}

// choose returns the epoch to seal in: of those that can be used, the one with
// the highest generation, then the smallest tag. Nil if there is none.
func (k *keyring) choose(log *membershipLog) *announcement {
	for _, a := range k.newest() {
		if a.body != nil && k.usable(log, a.tag) {
			return a
		}
	}
	return nil
}

// usable reports whether only members can know the epoch: all its recipients are
// members, and every device that is not one was known to be out by whoever
// announced it. The recipients alone do not tell: devices that were added later
// have the epoch from their welcome.
func (k *keyring) usable(log *membershipLog, tag EpochTag) bool {
	for _, a := range k.byTag[tag] {
		if log.exposes(a.past(log)) {
			return false
		}
		if a.body == nil {
			continue
		}
		for _, d := range a.body.Recipients {
			if _, ok := log.member(d); !ok {
				return false
			}
		}
	}
	return true
}

// held returns all records: of the epochs in causal order, then rewraps.
func (k *keyring) held() [][]byte {
	var raws [][]byte
	seen := map[Hash]bool{}
	for _, a := range k.all {
		if a.raw != nil && !seen[a.name] {
			seen[a.name] = true
			raws = append(raws, a.raw)
		}
	}
	for _, w := range k.rewraps {
		raws = append(raws, w.raw)
	}
	return raws
}

// clone is for another identity of the same device, whose log has the same
// operations.
func (k *keyring) clone() *keyring {
	c := newKeyring(k.account, k.keys...)
	for _, a := range k.all {
		own := *a
		c.insert(&own)
	}
	c.secrets, c.reached = maps.Clone(k.secrets), maps.Clone(k.reached)
	c.rewraps, c.read = slices.Clone(k.rewraps), k.read
	return c
}
