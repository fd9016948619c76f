package encryption

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// TestRemovedDeviceReadsNothingLater is the guarantee, in its plainest case.
func TestRemovedDeviceReadsNothingLater(t *testing.T) {
	ids := team(t, 3)
	a, b, c := ids[0], ids[1], ids[2]
	before := sealOne(t, a, 1)
	admitAll(t, b, [][]byte{expel(t, a, c.device)})
	for _, id := range []*Identity{a, b} {
		wantReason(t, id, testTime, 0, EpochExposed)
		_, _, err := id.SealEnvelope(nil, newTestWriter(id, 2).content(nil), Hash{})
		wantError(t, err, ErrNeedsEpoch)
	}
	tag := rotate(t, a)
	wantReason(t, a, testTime, 0, "")
	tell(t, a, b, c) // the removed device gets everything that others get
	wantCurrent(t, b, tag)
	after := sealOne(t, b, 3)
	if !opens(a, after) || !opens(a, before) || !opens(b, before) {
		t.Error("a member does not open what members sealed")
	}
	if opens(c, after) || !opens(c, before) {
		t.Error("the removed device opens what was sealed later, or lost what it had")
	}
	if _, _, err := c.PrepareEpoch(testTime, nil); err == nil {
		t.Error("the removed device makes epochs")
	}
	wantReason(t, c, testTime, 0, "")
}

// TestLaterDeviceExposesAnEpoch: the epoch's recipients are all members, but one
// who was welcomed into it later is not any more.
func TestLaterDeviceExposesAnEpoch(t *testing.T) {
	ids := team(t, 2)
	a, b := ids[0], ids[1]
	rotate(t, a)
	late := link(t, a, "late", 9)
	tell(t, a, b, late)
	if !opens(late, sealOne(t, b, 1)) {
		t.Fatal("the welcome does not hold the epoch")
	}
	expel(t, b, late.device)
	wantReason(t, b, testTime, 0, EpochExposed)
	rotate(t, b)
	if opens(late, sealOne(t, b, 2)) {
		t.Error("the removed device opens what was sealed later")
	}
}

func TestNeedsEpoch(t *testing.T) {
	ids := team(t, 2)
	a, b := ids[0], ids[1]
	wantReason(t, a, testTime.Add(MaxEpochAge-1), MaxEpochEnvelopes-1, "")
	wantReason(t, a, testTime.Add(MaxEpochAge), 0, EpochAged)
	wantReason(t, a, testTime, MaxEpochEnvelopes, EpochConsumed)
	fresh, err := newDeviceKeys(seeded(7))
	if err != nil {
		t.Fatal(err)
	}
	admitAll(t, a, [][]byte{signed(t, b, OperationRekey, rekeyAction{HPKEKey: fresh.hpkePublic(), At: 1})})
	wantReason(t, a, testTime, 0, EpochRekeyed)
	if _, _, err := a.SealEnvelope(nil, newTestWriter(a, 1).content(nil), Hash{}); err != nil {
		t.Errorf("a rekey keeps from sealing: %v", err)
	}
	rotate(t, a)
	wantReason(t, a, testTime, 0, "")
}

// TestConcurrentEpochs: both are readable by all, and all settle on one.
func TestConcurrentEpochs(t *testing.T) {
	ids := team(t, 3)
	one, other := rotate(t, ids[0]), rotate(t, ids[1])
	envelopes := [][]byte{sealOne(t, ids[0], 1), sealOne(t, ids[1], 2), sealOne(t, ids[2], 3)}
	mingle(t, ids...)
	want := one
	if compareTag(other, one) < 0 {
		want = other
	}
	for _, id := range ids {
		wantCurrent(t, id, want)
		for i, raw := range envelopes {
			if !opens(id, raw) {
				t.Errorf("envelope %d does not open", i)
			}
		}
	}
	merged := rotate(t, ids[2])
	a := ids[2].ring.byTag[merged][0]
	if a.generation != 3 || !slices.Equal(a.previous, sortedTags([]EpochTag{one, other})) {
		t.Errorf("generation %d after %v", a.generation, a.previous)
	}
}

// TestOneUnwrapGivesAllHistory: a device that has the newest record alone opens
// everything.
func TestOneUnwrapGivesAllHistory(t *testing.T) {
	ids := team(t, 2)
	a, b := ids[0], ids[1]
	var envelopes [][]byte
	for i := range 5 {
		envelopes = append(envelopes, sealOne(t, a, byte(i)))
		rotate(t, a)
	}
	records := a.EpochRecords()
	admitAll(t, b, a.Ops())
	admitRecords(t, b, records[len(records)-1])
	for i, raw := range envelopes {
		if !opens(b, raw) {
			t.Errorf("envelope of generation %d does not open", i+1)
		}
	}
	if _, err := b.AdmitEpochs(records...); err != nil || len(b.EpochRecords()) != 6 {
		t.Errorf("%d records, %v", len(b.EpochRecords()), err)
	}
}

func TestAdmitEpochsWaitsForOperations(t *testing.T) {
	ids := team(t, 2)
	a, b := ids[0], ids[1]
	rotate(t, a)
	record := a.EpochRecords()[1]
	added, err := b.AdmitEpochs(record)
	wantError(t, err, ErrMissingOperation)
	if len(added) != 0 {
		t.Error("kept a record that nothing announces")
	}
	admitAll(t, b, a.Ops())
	if added, err = b.AdmitEpochs(record); err != nil || len(added) != 1 || !bytes.Equal(added[0], record) {
		t.Errorf("%d added, %v", len(added), err)
	}
	if added, err = b.AdmitEpochs(record); err != nil || len(added) != 0 {
		t.Errorf("a second time: %d added, %v", len(added), err)
	}
	_, err = b.AdmitEpochs(make([]byte, maxEpochRecord+1))
	wantError(t, err, ErrTooLarge)
}

// TestRekeyHealsACompromise: whoever has the old HPKE key does not open the
// epoch after the rekey, and the device itself does, also after a restart.
func TestRekeyHealsACompromise(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	stolen := a.keys.hpke
	fresh, err := newDeviceKeys(seeded(7))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := a.ExportKey(fresh.hpkeSeed, seeded(8))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(kept, fresh.hpkeSeed.slice()) {
		t.Error("the exported key is in the clear")
	}
	if err := a.ImportKeys(kept, kept); err != nil || len(a.ring.keys) != 2 {
		t.Fatalf("%d keys, %v", len(a.ring.keys), err)
	}
	signed(t, a, OperationRekey, rekeyAction{HPKEKey: fresh.hpkePublic(), At: 1})
	tell(t, a, b)
	tag := rotate(t, b)
	tell(t, b, a)
	wantCurrent(t, a, tag)
	r := must(parseEpochRecord(a.ring.byTag[tag][0].raw))
	if _, err := r.unwrap(a.account, stolen); err == nil {
		t.Error("the old key opens the new epoch")
	}
	again := reopened(t, f.stored, a.Ops(), a.EpochRecords(), kept)
	wantCurrent(t, again, tag)
	without := reopened(t, f.stored, a.Ops(), a.EpochRecords())
	if got, _ := without.CurrentEpoch(); got == tag {
		t.Error("opened the new epoch without the new key")
	}
	if err := without.ImportKeys(kept); err != nil { // late, and still of use
		t.Fatal(err)
	}
	wantCurrent(t, without, tag)
	wantError(t, b.ImportKeys(kept), ErrDecrypt)
	wantError(t, b.ImportKeys(nil), ErrMalformed)
}

// TestRecoveryKeyOpensEveryEpoch, the newest after it was replaced.
func TestRecoveryKeyOpensEveryEpoch(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	old := must(recoveryKeys(f.seed))
	opensLast := func(keys *deviceKeys) bool {
		records := a.EpochRecords()
		_, err := must(parseEpochRecord(records[len(records)-1])).unwrap(a.account, keys.hpke)
		return err == nil
	}
	rotate(t, a)
	if !opensLast(old) {
		t.Error("the recovery key does not open the epoch")
	}
	next, err := newDeviceKeys(seeded(5))
	if err != nil {
		t.Fatal(err)
	}
	body := a.log.nextBody(DeviceID{})
	body.Kind = OperationRotateRecovery
	body.Action = encode(rotateAction{SigningKey: next.signingPublic(), HPKEKey: next.hpkePublic(), At: 1})
	admitAll(t, a, [][]byte{sealOperation(body, old, next)})
	wantReason(t, a, testTime, 0, EpochRekeyed)
	rotate(t, a)
	if opensLast(old) || !opensLast(next) {
		t.Error("the epoch is not for the new recovery key, or for the old one too")
	}
	wantReason(t, a, testTime.Add(time.Hour), 0, "")
}
