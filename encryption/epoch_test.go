package encryption

import (
	"bytes"
	"slices"
	"testing"
)

func TestEpochTagCommitsToTheSecret(t *testing.T) {
	account := AccountID{1}
	a, b := newEpoch(NewSecret([32]byte{1}), account), newEpoch(NewSecret([32]byte{2}), account)
	if a.tag == b.tag || a.tag == newEpoch(NewSecret([32]byte{1}), AccountID{2}).tag {
		t.Error("tags do not tell secrets or accounts apart")
	}
}

func TestEpochRecordIsForItsRecipientsOnly(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	r, err := parseEpochRecord(a.EpochRecords()[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Wraps) != minWraps {
		t.Errorf("%d wraps for two recipients", len(r.Wraps))
	}
	e, err := r.unwrap(a.account, a.keys.hpke)
	if err != nil || e.tag != a.epoch.tag {
		t.Errorf("own wrap: %v", err)
	}
	body, err := r.open(e, a.log, a.ring.all[0])
	if err != nil || body.Author != a.device || !slices.Equal(body.Recipients, []DeviceID{a.device}) {
		t.Errorf("body %+v, %v", body, err)
	}
	_, err = r.unwrap(a.account, newTestJoiner(t, "x", 2).keys.hpke)
	wantError(t, err, ErrDecrypt)
	_, err = r.unwrap(AccountID{1}, a.keys.hpke)
	wantError(t, err, ErrDecrypt)
}

// TestEpochRecordShowsNothing: a mailbox sees the tag and a rounded count.
func TestEpochRecordShowsNothing(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	raw := a.EpochRecords()[0]
	for name, plain := range map[string][]byte{
		"account": a.account[:], "device": a.device[:], "signing key": a.keys.signingPublic(),
		"hpke key": a.keys.hpkePublic()[:64], "secret": a.epoch.secret.slice(),
	} {
		if bytes.Contains(raw, plain) {
			t.Errorf("the record shows the %s", name)
		}
	}
}

func TestWrapCount(t *testing.T) {
	for n, want := range map[int]int{1: 4, 2: 4, 4: 4, 5: 8, 8: 8, 9: 16, 64: 64, 65: 128} {
		if got := wrapCount(n); got != want {
			t.Errorf("wrapCount(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestEpochRecordForgeries(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := newFounder(t, "other", 2)
	to := []recipient{{id: a.device, key: a.keys.hpkePublic()}, {id: b.device, key: b.keys.hpkePublic()}}
	seal := func(author DeviceID, key signingKey) *epochRecord {
		d := epochDraft{epoch: a.epoch, account: a.account, author: author, key: key, to: to, generation: 1}
		raw, err := d.seal(seeded(3))
		if err != nil {
			t.Fatal(err)
		}
		r, err := parseEpochRecord(raw)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	_, err := seal(b.device, b.keys.signing).open(a.epoch, a.log, a.ring.all[0])
	wantError(t, err, ErrUnknownDevice)
	_, err = seal(a.device, b.keys.signing).open(a.epoch, a.log, a.ring.all[0])
	wantError(t, err, ErrSignature)
	r := seal(a.device, a.keys.signing)
	r.Wraps[0], r.Wraps[1] = r.Wraps[1], r.Wraps[0]
	_, err = r.open(a.epoch, a.log, a.ring.all[0])
	wantError(t, err, ErrMalformed)
	_, err = parseEpochRecord(encode(r))
	wantError(t, err, ErrMalformed)
	r = seal(a.device, a.keys.signing)
	r.Tag = EpochTag{1}
	_, err = r.open(a.epoch, a.log, a.ring.all[0])
	wantError(t, err, ErrDecrypt)
}

// TestWrapOfAnotherSecret: a sealer who hands one recipient another secret is
// found out by the tag.
func TestWrapOfAnotherSecret(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	r, err := parseEpochRecord(a.EpochRecords()[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Wraps {
		if r.Wraps[i], err = hpkeSeal(a.keys.hpkePublic(), hpkeInfo(labelEpochWrap, a.account, r.Tag[:]), make([]byte, 32)); err != nil {
			t.Fatal(err)
		}
	}
	_, err = r.unwrap(a.account, a.keys.hpke)
	wantError(t, err, ErrDecrypt)
}

func TestEpochRecordFlippedAnywhereIsRefused(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	raw := a.EpochRecords()[0]
	for i := range raw {
		bad := slices.Clone(raw)
		bad[i] ^= 0x10
		r, err := parseEpochRecord(bad)
		if err != nil {
			continue
		}
		if _, err := r.open(a.epoch, a.log, a.ring.all[0]); err == nil {
			t.Fatalf("flip of byte %d was accepted", i)
		}
	}
}
