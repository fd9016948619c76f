package encryption

import (
	"bytes"
	"slices"
	"testing"
)

// besides is an account in which a rotates while b adds a device: the device is
// no recipient, and its welcome does not hold the epoch.
func besides(t *testing.T) (a, b, c, late *Identity, tag EpochTag) {
	t.Helper()
	ids := team(t, 3)
	a, b, c = ids[0], ids[1], ids[2]
	tag = rotate(t, a)
	late = link(t, b, "late", 9)
	tell(t, late, a, c)
	tell(t, a, b, c, late)
	if late.epochOf(tag) != nil {
		t.Fatal("the late device knows the epoch")
	}
	return a, b, c, late, tag
}

func rewraps(t *testing.T, id *Identity, met ...DeviceID) [][]byte {
	t.Helper()
	records, err := id.PrepareRewrap(nil, met...)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// TestRewrapBringsAMemberIn, by one member of its own accord, by others only for
// devices that they meet, and twice without harm.
func TestRewrapBringsAMemberIn(t *testing.T) {
	a, b, c, late, tag := besides(t)
	raw := sealOne(t, a, 1)
	if opens(late, raw) {
		t.Fatal("opens before the rewrap")
	}
	var made [][]byte
	for _, id := range []*Identity{a, b, c} {
		made = append(made, rewraps(t, id)...)
	}
	if len(made) != 1 {
		t.Fatalf("%d members serve the late device of their own accord", len(made))
	}
	for _, id := range []*Identity{b, c} {
		served := rewraps(t, id, late.device)
		if len(served) != 1 {
			t.Fatalf("%d rewraps for a device that is met", len(served))
		}
		made = append(made, served...)
	}
	for _, id := range []*Identity{late, a, b, c} {
		if added, err := id.AdmitEpochs(made...); err != nil || len(added) != len(made) {
			t.Errorf("%d of %d kept, %v", len(added), len(made), err)
		}
		if added, err := id.AdmitEpochs(made...); err != nil || len(added) != 0 {
			t.Errorf("a second time %d kept, %v", len(added), err)
		}
		wantCurrent(t, id, tag)
		if len(rewraps(t, id, late.device)) != 0 {
			t.Error("serves a device that has been served")
		}
	}
	if !opens(late, raw) || !opens(a, sealOne(t, late, 2)) {
		t.Error("the late device is not at the epoch")
	}
}

// TestRewrapBeforeItsRecord: the rewrap alone gives the secret, and the record
// then fits.
func TestRewrapBeforeItsRecord(t *testing.T) {
	ids := team(t, 2)
	a, b := ids[0], ids[1]
	first := sealOne(t, a, 1)
	tag := rotate(t, a)
	late := link(t, b, "late", 9)
	tell(t, late, a)
	records := rewraps(t, a, late.device)
	_, err := late.AdmitEpochs(records...)
	wantError(t, err, ErrMissingOperation)
	admitAll(t, late, a.Ops())
	admitRecords(t, late, records...)
	if !opens(late, sealOne(t, a, 2)) || !opens(late, first) {
		t.Error("the secret is not known")
	}
	if _, ok := late.CurrentEpoch(); !ok {
		t.Error("seals in no epoch")
	}
	admitRecords(t, late, a.EpochRecords()...)
	wantCurrent(t, late, tag)
}

// TestRewrapIsForMembersOnly: a removed device gets none, and makes none.
func TestRewrapIsForMembersOnly(t *testing.T) {
	a, _, _, late, _ := besides(t)
	expel(t, a, late.device)
	if records := rewraps(t, a, late.device); len(records) != 0 {
		t.Error("a removed device was served")
	}
	admitAll(t, late, a.Ops())
	_, err := late.PrepareRewrap(nil)
	wantError(t, err, ErrNotMember)
}

// TestRewrapForgeries are made by a member's keys.
func TestRewrapForgeries(t *testing.T) {
	a, b, _, late, tag := besides(t)
	stranger := newFounder(t, "stranger", 20)
	e := a.ring.secrets[tag]
	to := []recipient{{id: late.device, key: late.keys.hpkePublic()}}
	forge := func(in *epoch, key signingKey, change func(*rewrapBody)) []byte {
		wraps, err := wrapSecret(in, a.account, to, seeded(1))
		if err != nil {
			t.Fatal(err)
		}
		body := rewrapBody{
			Version: 1, Suite: 1, Account: a.account, Tag: in.tag, WrapsHash: hashWraps(wraps),
			Author: a.device, Recipients: recipientIDs(to),
		}
		change(&body)
		raw := encode(body)
		signed := encode(signedEpochBody{Body: raw, Signature: labelRewrapSign.sign(key, raw)})
		return must(sealRecord(in, a.account, wraps, signed, labelRewrapBody, seeded(2)))
	}
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"author not of the account": {forge(e, stranger.keys.signing, func(r *rewrapBody) { r.Author = stranger.device }), ErrMissingOperation},
		"in another's name":         {forge(e, b.keys.signing, func(*rewrapBody) {}), ErrSignature},
		"other wraps":               {forge(e, a.keys.signing, func(r *rewrapBody) { r.WrapsHash = Hash{} }), ErrMalformed},
		"other account":             {forge(e, a.keys.signing, func(r *rewrapBody) { r.Account = AccountID{} }), ErrOtherAccount},
		"other tag":                 {forge(e, a.keys.signing, func(r *rewrapBody) { r.Tag = EpochTag{} }), ErrOtherAccount},
		"nobody":                    {forge(e, a.keys.signing, func(r *rewrapBody) { r.Recipients = nil }), ErrMalformed},
		"one twice": {forge(e, a.keys.signing, func(r *rewrapBody) {
			r.Recipients = []DeviceID{late.device, late.device}
		}), ErrMalformed},
		"version": {forge(e, a.keys.signing, func(r *rewrapBody) { r.Version = 2 }), ErrUnsupported},
		"epoch nobody announced": {forge(newEpoch(NewSecret([32]byte{5}), a.account), a.keys.signing,
			func(*rewrapBody) {}), ErrMissingOperation},
		"the epoch's own record, changed": {renonced(t, a.ring.byTag[tag][0].raw), ErrDecrypt},
	} {
		added, err := b.AdmitEpochs(c.raw)
		wantError(t, err, c.want)
		if len(added) != 0 || err == nil {
			t.Errorf("%s: %d kept, %v", name, len(added), err)
		}
	}
	if added, err := b.AdmitEpochs(forge(e, a.keys.signing, func(*rewrapBody) {})); err != nil || len(added) != 1 {
		t.Errorf("the good one: %d kept, %v", len(added), err)
	}
}

// renonced returns a record whose outside is canonical and which is another one.
func renonced(t *testing.T, raw []byte) []byte {
	t.Helper()
	r := must(parseEpochRecord(raw))
	r.Nonce[0] ^= 1
	return encode(r)
}

// TestRewrapsOfOneDeviceAreBounded: a malicious member fills nobody's memory.
func TestRewrapsOfOneDeviceAreBounded(t *testing.T) {
	a, b, _, late, tag := besides(t)
	admitRecords(t, b, a.EpochRecords()...)
	for range maxRewraps {
		admitRecords(t, b, rewraps(t, a, late.device)...)
	}
	_, err := b.AdmitEpochs(rewraps(t, a, late.device)...)
	wantError(t, err, ErrTooLarge)
	if n := len(b.ring.rewraps); n != maxRewraps {
		t.Errorf("%d rewraps", n)
	}
	if !slices.Contains(b.ring.holders(b.log, b.ring.byTag[tag][0]), late.device) {
		t.Error("the late device is not served")
	}
}

// TestRewrapThatCannotBeChecked: to a device without the epoch it may be
// anything.
func TestRewrapThatCannotBeChecked(t *testing.T) {
	a, _, _, late, _ := besides(t)
	second := link(t, late, "second", 10)
	tell(t, second, a)
	tell(t, a, second)
	all := rewraps(t, a, late.device, second.device)
	if len(all) != 1 {
		t.Fatalf("%d rewraps for two devices", len(all))
	}
	only := besidesOnly(t, a, late)
	_, err := second.AdmitEpochs(only)
	wantError(t, err, ErrUnknownEpoch)
	if added, err := second.AdmitEpochs(only, all[0]); err != nil || len(added) != 2 || !bytes.Equal(added[1], only) {
		t.Errorf("%d kept, %v", len(added), err)
	}
}

// besidesOnly makes a rewrap for one device though another lacks the epoch too.
func besidesOnly(t *testing.T, by, to *Identity) []byte {
	t.Helper()
	e := by.epoch
	wraps, err := wrapSecret(e, by.account, []recipient{{id: to.device, key: to.keys.hpkePublic()}}, seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	body := encode(rewrapBody{
		Version: 1, Suite: 1, Account: by.account, Tag: e.tag, WrapsHash: hashWraps(wraps),
		Author: by.device, Recipients: []DeviceID{to.device},
	})
	signed := encode(signedEpochBody{Body: body, Signature: labelRewrapSign.sign(by.keys.signing, body)})
	return must(sealRecord(e, by.account, wraps, signed, labelRewrapBody, seeded(2)))
}

// TestRewrapForALostKey: a device that was put back to before its last rekey cannot
// open the epoch that was wrapped for that key. It replaces the key and begins an epoch
// itself, which does not tell the secret of the other one, so it is served that.
func TestRewrapForALostKey(t *testing.T) {
	ids := team(t, 2)
	a, b := ids[0], ids[1]
	old := b.Copy()
	replaceKey(t, b)
	tell(t, b, a)
	tag := rotate(t, a)
	raw := sealOne(t, a, 1)
	tell(t, a, old)
	if old.epochOf(tag) != nil {
		t.Fatal("opened without the key")
	}
	replaceKey(t, old)
	rotate(t, old)
	tell(t, old, a)
	served := rewraps(t, a, old.device)
	if len(served) == 0 {
		t.Fatal("it is not served")
	}
	admitRecords(t, old, served...)
	if !opens(old, raw) {
		t.Error("what was sealed for the lost key cannot be opened")
	}
	admitRecords(t, a, served...)
	if len(rewraps(t, a, old.device)) != 0 {
		t.Error("it is served again")
	}
}

// TestRewrapForWhoAsks: a device that was put back loses one key after the other. Records
// say that it was served, so it asks, and is served a few times.
func TestRewrapForWhoAsks(t *testing.T) {
	ids := team(t, 3)
	a, b, c := ids[0], ids[1], ids[2]
	old := b.Copy()
	replaceKey(t, b)
	tell(t, b, a)
	tag := rotate(t, a)
	raw := sealOne(t, a, 1)
	for n := range maxAsked {
		b = old.Copy()
		admitAll(t, b, a.Ops())
		if _, err := b.AdmitEpochs(a.EpochRecords()...); n > 0 {
			wantError(t, err, ErrUnknownEpoch) // rewraps that it cannot check
		}
		if opens(b, raw) {
			t.Fatal("it can open what was sealed for keys that it has lost")
		}
		replaceKey(t, b)
		tell(t, b, a)
		record := must(a.PrepareRewrapOf(nil, tag, b.device))
		if record == nil {
			t.Fatalf("it is not served the time %d", n)
		}
		admitRecords(t, a, record)
		admitRecords(t, b, record)
		if !opens(b, raw) {
			t.Error("it cannot open what was sealed")
		}
	}
	for name, record := range map[string][]byte{
		"too often": must(a.PrepareRewrapOf(nil, tag, b.device)), "an epoch that is not known": must(a.PrepareRewrapOf(nil, EpochTag{1}, c.device)),
		"itself": must(a.PrepareRewrapOf(nil, tag, a.device)), "a stranger": must(a.PrepareRewrapOf(nil, tag, DeviceID{9})),
	} {
		if record != nil {
			t.Errorf("%s: there is a record", name)
		}
	}
	if must(a.PrepareRewrapOf(nil, tag, c.device)) == nil {
		t.Error("another device is not served")
	}
	expel(t, a, c.device)
	if must(a.PrepareRewrapOf(nil, tag, c.device)) != nil {
		t.Error("a removed device is served")
	}
	admitAll(t, c, a.Ops())
	_, err := c.PrepareRewrapOf(nil, tag, a.device)
	wantError(t, err, ErrNotMember)
}

func replaceKey(t *testing.T, id *Identity) {
	t.Helper()
	op, seed, err := id.PrepareRekey(testTime, inOrder)
	if err != nil {
		t.Fatal(err)
	}
	key, err := id.ExportKey(seed, inOrder)
	if err == nil {
		err = id.ImportKeys(key)
	}
	if err != nil {
		t.Fatal(err)
	}
	admitAll(t, id, [][]byte{op})
}
