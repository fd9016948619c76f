package encryption

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
)

func TestJoinThenOpen(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	link(t, a, "tablet", 2)
	j := newTestJoiner(t, "phone", 3)
	r := j.Request(Hash{2})
	op := add(t, a, r)
	sealed, err := a.Welcome(r)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "d")
	if _, err := j.Save(dir, testKey()); err == nil || Exists(dir) {
		t.Fatal("saved without a welcome")
	}
	if err := j.OpenWelcome(Hash{2}, sealed); err != nil {
		t.Fatal(err)
	}
	saved, err := j.Save(dir, testKey())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := OpenIdentity(dir, testKey())
	if err != nil {
		t.Fatal(err)
	}
	wantSameIdentity(t, opened, saved)
	if opened.Device() != deviceID(op) || opened.Account() != a.Account() || !opened.epoch.secret.Equal(a.epoch.secret) {
		t.Error("not the device that was added")
	}
	if opened.MembershipDigest() != a.MembershipDigest() || len(opened.Members()) != 3 {
		t.Error("the new device does not know all members")
	}
	if opened.BadgerKey().Equal(a.BadgerKey()) || opened.RecordKey().Equal(a.RecordKey()) {
		t.Error("keys at rest are shared between devices")
	}
	_, err = j.Save(dir, testKey())
	wantError(t, err, ErrExists)
	_, err = j.Save(t.TempDir(), UnlockPassphrase(nil))
	wantError(t, err, ErrEmptyPassphrase)
}

func TestWelcomeNeedsTheAdmittedAdd(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	r := newTestJoiner(t, "tablet", 3).Request(Hash{1})
	if _, err := a.Welcome(r); !errors.Is(err, errNotAdded) {
		t.Errorf("before the add: %v", err)
	}
	admitAll(t, a, [][]byte{add(t, b, r)})
	if _, err := a.Welcome(r); !errors.Is(err, errNotAdded) {
		t.Errorf("for another sponsor's add: %v", err)
	}
}

func TestWelcomeIsRefused(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	j := newTestJoiner(t, "tablet", 3)
	r := j.Request(Hash{2})
	add(t, a, r)
	admitAll(t, b, a.Ops())
	good, err := a.Welcome(r)
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() error{
		"other transcript": func() error { return j.OpenWelcome(Hash{3}, good) },
		"other device":     func() error { return newTestJoiner(t, "x", 4).OpenWelcome(Hash{2}, good) },
		"by another member": func() error {
			return j.OpenWelcome(Hash{2}, rewelcome(t, a, r, func(w *welcome) signingKey { return b.keys.signing }))
		},
		"by nobody": func() error {
			return j.OpenWelcome(Hash{2}, rewelcome(t, a, r, func(w *welcome) signingKey { return j.keys.signing }))
		},
		"device of another": func() error {
			return j.OpenWelcome(Hash{2}, rewelcome(t, a, r, func(w *welcome) signingKey { w.Device = b.device; return a.keys.signing }))
		},
		"without the add": func() error {
			return j.OpenWelcome(Hash{2}, rewelcome(t, a, r, func(w *welcome) signingKey {
				w.Operations = w.Operations[:2]
				return a.keys.signing
			}))
		},
		"other transcript inside": func() error {
			return j.OpenWelcome(Hash{2}, rewelcome(t, a, r, func(w *welcome) signingKey { w.Transcript = Hash{}; return a.keys.signing }))
		},
		"other epoch": func() error {
			return j.OpenWelcome(Hash{2}, rewelcome(t, a, r, func(w *welcome) signingKey { w.Epochs[0][0]++; return a.keys.signing }))
		},
		"newer version": func() error {
			return j.OpenWelcome(Hash{2}, rewelcome(t, a, r, func(w *welcome) signingKey { w.Version++; return a.keys.signing }))
		},
		"nothing": func() error { return j.OpenWelcome(Hash{2}, nil) },
		"huge":    func() error { return j.OpenWelcome(Hash{2}, make([]byte, MaxWelcome+1)) },
	} {
		err := try()
		wantError(t, err, ErrWelcome)
		if j.stored != nil {
			t.Fatalf("%s: accepted", name)
		}
	}
	if err := j.OpenWelcome(Hash{2}, rewelcome(t, a, r, func(*welcome) signingKey { return a.keys.signing })); err != nil {
		t.Errorf("the unchanged welcome: %v", err)
	}
}

// rewelcome seals a changed welcome, signed by the key that change returns.
func rewelcome(t *testing.T, a *Identity, r *JoinRequest, change func(*welcome) signingKey) []byte {
	t.Helper()
	add := a.log.addOf(r, a.device)
	w := welcome{
		Version: 1, Suite: 1, Account: a.account, Device: add.member.ID, Transcript: Hash{2},
		Operations: a.Ops(), Epochs: [][32]byte{a.epoch.secret.Reveal()}, EpochRecords: a.EpochRecords(),
	}
	key := change(&w)
	body := encode(w)
	plain := encode(signedWelcome{Body: body, Signature: labelWelcomeSign.sign(key, body)})
	transcript := Hash{2}
	box, err := hpkeSeal(r.HPKEKey, hpkeInfo(labelWelcomeSeal, a.account, transcript[:]), plain)
	if err != nil {
		t.Fatal(err)
	}
	return encode(sealedWelcome{Version: 1, Suite: 1, Account: a.account, Sealed: box})
}

func TestWelcomeFlippedIsRefused(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	j := newTestJoiner(t, "phone", 3)
	r := j.Request(Hash{2})
	add(t, a, r)
	good, err := a.Welcome(r)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good); i += 7 {
		bad := slices.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if err := j.OpenWelcome(Hash{2}, bad); !errors.Is(err, ErrWelcome) {
			t.Fatalf("flip of byte %d: %v", i, err)
		}
	}
}

func TestJoinRequestVerify(t *testing.T) {
	j := newTestJoiner(t, "phone", 1)
	if err := j.Request(Hash{1}).Verify(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*JoinRequest)
		want   error
	}{
		"name":       {func(r *JoinRequest) { r.Name = "other" }, ErrSignature},
		"transcript": {func(r *JoinRequest) { r.Transcript[0]++ }, ErrSignature},
		"signature":  {func(r *JoinRequest) { r.SelfSignature[5]++ }, ErrSignature},
		"none":       {func(r *JoinRequest) { r.SelfSignature = nil }, ErrSignature},
		"key":        {func(r *JoinRequest) { r.SigningKey = nil }, ErrMalformed},
		"hpke key":   {func(r *JoinRequest) { r.HPKEKey = nil }, ErrMalformed},
		"no name":    {func(r *JoinRequest) { r.Name = "" }, ErrMalformed},
	} {
		r := j.Request(Hash{1})
		c.change(r)
		if err := r.Verify(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewJoiner(&JoinOptions{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("no name: %v", err)
	}
}
