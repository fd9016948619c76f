package encryption

import (
	"errors"
	"slices"
	"testing"
)

// forgedEpoch is what a malicious member may put into a record and its
// announcement.
type forgedEpoch struct {
	body   epochBody
	action epochAction
	wraps  [][]byte
	secret Secret
	key    signingKey
}

// forgeEpoch announces a second epoch by the keys of a member, with one thing
// changed, in what its record says or in what is announced.
func forgeEpoch(tb testing.TB, by *Identity, body func(*forgedEpoch), action func(*forgedEpoch)) (op, record []byte) {
	tb.Helper()
	f := &forgedEpoch{secret: NewSecret([32]byte{77}), key: by.keys.signing}
	first := by.ring.all[0].tag
	f.body = epochBody{
		Version: 1, Suite: 1, Account: by.account, Author: by.device, Generation: 2, Previous: []EpochTag{first},
		Recipients: recipientIDs(by.log.recipients()),
	}
	var err error
	e := newEpoch(f.secret, by.account)
	if f.wraps, err = wrapSecret(e, by.account, by.log.recipients(), seeded(101)); err != nil {
		tb.Fatal(err)
	}
	if f.body.Secrets, err = sealSecrets(e, by.account, []Secret{by.ring.secrets[first].secret}, seeded(2)); err != nil {
		tb.Fatal(err)
	}
	f.body.Tag, f.body.WrapsHash = e.tag, hashWraps(f.wraps)
	body(f)
	d := &epochDraft{epoch: e, account: by.account, key: f.key}
	if record, err = d.sign(f.wraps, seeded(3), &f.body); err != nil {
		tb.Fatal(err)
	}
	f.action = epochAction{Tag: e.tag, Generation: 2, Record: recordName(record), At: 1}
	action(f)
	b := by.log.nextBody(by.device)
	b.Kind, b.Action = OperationEpoch, encode(f.action)
	return sealOperation(b, by.keys), record
}

func unchanged(*forgedEpoch) {}

// TestForgedEpochsAreNotUsed: what the record says must be what was announced,
// and that must follow from the past. The record is kept all the same, as
// devices that cannot open it keep it; it is just never used.
func TestForgedEpochsAreNotUsed(t *testing.T) {
	base := team(t, 3)
	for name, c := range map[string]struct {
		body, action func(*forgedEpoch)
		want         error
	}{
		"unchanged":            {unchanged, unchanged, nil},
		"generation":           {func(f *forgedEpoch) { f.body.Generation = 3 }, unchanged, ErrMalformed},
		"previous none":        {func(f *forgedEpoch) { f.body.Previous = nil }, unchanged, ErrMalformed},
		"previous other":       {func(f *forgedEpoch) { f.body.Previous = []EpochTag{{1}} }, unchanged, ErrMalformed},
		"no secrets":           {func(f *forgedEpoch) { f.body.Secrets = nil }, unchanged, ErrMalformed},
		"other wraps":          {func(f *forgedEpoch) { f.body.WrapsHash = Hash{} }, unchanged, ErrMalformed},
		"other account":        {func(f *forgedEpoch) { f.body.Account = AccountID{} }, unchanged, ErrOtherAccount},
		"other tag":            {func(f *forgedEpoch) { f.body.Tag = EpochTag{} }, unchanged, ErrOtherAccount},
		"author not among":     {func(f *forgedEpoch) { f.body.Recipients = nil }, unchanged, ErrMalformed},
		"recipient twice":      {func(f *forgedEpoch) { f.body.Recipients = append(f.body.Recipients, f.body.Recipients...) }, unchanged, ErrMalformed},
		"recipients unordered": {func(f *forgedEpoch) { slices.Reverse(f.body.Recipients) }, unchanged, ErrMalformed},
		"another author":       {func(f *forgedEpoch) { f.body.Author, f.key = base[1].device, base[1].keys.signing }, unchanged, ErrUnknownDevice},
		"another signature":    {func(f *forgedEpoch) { f.key = base[1].keys.signing }, unchanged, ErrSignature},
		"version":              {func(f *forgedEpoch) { f.body.Version = 2 }, unchanged, ErrUnsupported},
	} {
		a, b := copyOf(base[0]), copyOf(base[1])
		first, _ := b.CurrentEpoch()
		op, record := forgeEpoch(t, a, c.body, c.action)
		admitAll(t, b, [][]byte{op})
		if added, err := b.AdmitEpochs(record); err != nil || len(added) != 1 {
			t.Errorf("%s: %d kept, %v", name, len(added), err)
		}
		got := b.ring.all[1]
		if !errors.Is(got.broken, c.want) || (got.broken == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, got.broken, c.want)
		}
		if now, _ := b.CurrentEpoch(); (now == first) != (c.want != nil) {
			t.Errorf("%s: at epoch %v", name, now)
		}
	}
}

// TestForgedAnnouncementsAreIgnored: no record can be admitted for them.
func TestForgedAnnouncementsAreIgnored(t *testing.T) {
	base := team(t, 2)
	first, _ := base[0].CurrentEpoch()
	for name, action := range map[string]func(*forgedEpoch){
		"generation ahead": func(f *forgedEpoch) { f.action.Generation = 3 },
		"first tag again":  func(f *forgedEpoch) { f.action.Tag = first },
		"another record":   func(f *forgedEpoch) { f.action.Record = Hash{} },
		"another tag":      func(f *forgedEpoch) { f.action.Tag = EpochTag{} },
	} {
		a, b := copyOf(base[0]), copyOf(base[1])
		op, record := forgeEpoch(t, a, unchanged, action)
		admitAll(t, b, [][]byte{op})
		if added, err := b.AdmitEpochs(record); err == nil || len(added) != 0 {
			t.Errorf("%s: %d kept, %v", name, len(added), err)
		}
		wantCurrent(t, b, first)
		if ignored := name == "generation ahead" || name == "first tag again"; ignored != (len(b.ring.all) == 1) {
			t.Errorf("%s: %d epochs announced", name, len(b.ring.all))
		}
	}
}

// TestRecipientsMustBeMembers: a member seals an epoch to a device that it knows
// to be out.
func TestRecipientsMustBeMembers(t *testing.T) {
	base := team(t, 3)
	a, b, out := base[0], base[1], base[2]
	before := a.log.recipients()
	admitAll(t, b, [][]byte{expel(t, a, out.device)})
	op, record := forgeEpoch(t, a, func(f *forgedEpoch) { f.body.Recipients = recipientIDs(before) }, unchanged)
	admitAll(t, b, [][]byte{op})
	admitRecords(t, b, record)
	if b.ring.all[1].broken != nil {
		t.Error(b.ring.all[1].broken)
	}
	wantReason(t, b, testTime, 0, EpochExposed)
}

// TestOldSecretUnderANewAnnouncement: a member announces an epoch again that a
// removed device knows, behind the removal's back, so that the tag is not taken
// in the announcement's own past. It is not used under either.
func TestOldSecretUnderANewAnnouncement(t *testing.T) {
	base := team(t, 3)
	a, b, c := base[0], base[1], base[2]
	op, record := forgeEpoch(t, a, unchanged, unchanged)
	fork := copyOf(b) // has not heard of it
	for _, id := range []*Identity{a, c} {
		admitAll(t, id, [][]byte{op})
		admitRecords(t, id, record)
	}
	known, _ := c.CurrentEpoch()
	expel(t, fork, c.device)
	again, other := forgeEpoch(t, fork, unchanged, unchanged)
	admitAll(t, fork, [][]byte{again})
	admitRecords(t, fork, other)
	wantCurrent(t, fork, known) // until it hears of the first announcement
	tell(t, a, fork)
	wantReason(t, fork, testTime, 0, EpochExposed)
	rotate(t, fork)
	if opens(c, sealOne(t, fork, 1)) {
		t.Error("the removed device opens what was sealed later")
	}
}

// TestEpochsOfARemovedDeviceAreNotUsed: it announces one as if it had not heard of
// its removal, for itself and all others, or for the others alone.
func TestEpochsOfARemovedDeviceAreNotUsed(t *testing.T) {
	base := team(t, 3)
	for name, change := range map[string]func(*forgedEpoch){
		"for all": unchanged,
		"for others": func(f *forgedEpoch) {
			f.body.Recipients = slices.DeleteFunc(f.body.Recipients, func(d DeviceID) bool { return d == base[2].device })
		},
	} {
		a, b, thief := copyOf(base[0]), copyOf(base[1]), copyOf(base[2])
		before := sealOne(t, thief, 1)
		op, record := forgeEpoch(t, thief, change, unchanged)
		admitAll(t, thief, [][]byte{op})
		admitRecords(t, thief, record)
		expel(t, a, thief.device)
		tag := rotate(t, a)
		tell(t, a, b)
		for _, id := range []*Identity{a, b} {
			admitAll(t, id, [][]byte{op})
			admitRecords(t, id, record)
			wantCurrent(t, id, tag)
			if !opens(id, before) {
				t.Errorf("%s: what the removed device sealed while it was a member is lost", name)
			}
		}
		next := rotate(t, b) // follows both
		if got := b.ring.byTag[next][0]; got.generation != 3 || len(got.previous) != 2 {
			t.Errorf("%s: generation %d after %d epochs", name, got.generation, len(got.previous))
		}
		tell(t, b, thief)
		if opens(thief, sealOne(t, b, 2)) {
			t.Errorf("%s: the removed device opens what was sealed later", name)
		}
	}
}
