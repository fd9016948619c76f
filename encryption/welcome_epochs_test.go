package encryption

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
)

// TestWelcomeTellsAllEpochs: the new device opens the whole history and seals in
// the current epoch, at once and after a restart, from its file alone.
func TestWelcomeTellsAllEpochs(t *testing.T) {
	ids := team(t, 2)
	a := ids[0]
	var envelopes [][]byte
	for i := range 4 {
		envelopes = append(envelopes, sealOne(t, a, byte(i)))
		rotate(t, a)
	}
	tag := rotate(t, a)
	j := newTestJoiner(t, "late", 9)
	r := j.Request(Hash{2})
	add(t, a, r)
	sealed, err := a.Welcome(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.OpenWelcome(Hash{2}, sealed); err != nil {
		t.Fatal(err)
	}
	if n := len(j.stored.EpochRecords); n != 2 {
		t.Errorf("the welcome holds %d records, want the first and the last", n)
	}
	dir := filepath.Join(t.TempDir(), "d")
	saved, err := j.Save(dir, testKey())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := OpenIdentity(dir, testKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []*Identity{saved, opened} {
		wantCurrent(t, id, tag)
		for i, raw := range envelopes {
			if !opens(id, raw) {
				t.Errorf("envelope %d does not open", i)
			}
		}
	}
	tell(t, a, opened)
	if got, want := len(opened.EpochRecords()), len(a.EpochRecords()); got != want {
		t.Errorf("%d records after an exchange, want %d", got, want)
	}
}

// TestEpochsMustBelongTogether puts together what no sponsor and no file holds.
func TestEpochsMustBelongTogether(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	tag := rotate(t, a)
	good := *f.stored
	good.Operations, good.EpochRecords = a.Ops(), a.EpochRecords()
	good.Epochs = [][32]byte{f.stored.Epochs[0], a.ring.secrets[tag].secret.Reveal()}
	if id, err := newIdentity(&good); err != nil {
		t.Fatal(err)
	} else {
		wantCurrent(t, id, tag)
	}
	op, record := forgeEpoch(t, newFounder(t, "laptop", 1), func(f *forgedEpoch) { f.body.Generation = 7 }, unchanged)
	for name, change := range map[string]func(s *storedIdentity){
		"no first record":     func(s *storedIdentity) { s.EpochRecords = s.EpochRecords[1:] },
		"no first secret":     func(s *storedIdentity) { s.Epochs = s.Epochs[1:] },
		"a secret of nothing": func(s *storedIdentity) { s.Epochs = append(slices.Clone(s.Epochs), [32]byte{1}) },
		"a secret twice":      func(s *storedIdentity) { s.Epochs = append(slices.Clone(s.Epochs), s.Epochs[1]) },
		"no announcement":     func(s *storedIdentity) { s.Operations = s.Operations[:1] },
		"a broken record": func(s *storedIdentity) {
			s.Operations, s.EpochRecords = [][]byte{s.Operations[0], op}, [][]byte{s.EpochRecords[0], record}
			s.Epochs = [][32]byte{s.Epochs[0], {77}}
		},
		"a record for others": func(s *storedIdentity) {
			other := newFounder(t, "other", 2)
			op, record := forgeEpoch(t, newFounder(t, "laptop", 1), func(f *forgedEpoch) {
				to := []recipient{{key: other.keys.hpkePublic()}}
				e := newEpoch(f.secret, a.account)
				f.wraps = must(wrapSecret(e, a.account, to, seeded(101)))
				f.body.WrapsHash = hashWraps(f.wraps)
			}, unchanged)
			s.Operations, s.EpochRecords = [][]byte{s.Operations[0], op}, [][]byte{s.EpochRecords[0], record}
			s.Epochs = s.Epochs[:1]
		},
	} {
		s := good
		change(&s)
		if _, err := newIdentity(&s); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWelcomeHoldsFewRecords: epochs that were all made at the same time are told
// by their secrets, and their records come later.
func TestWelcomeHoldsFewRecords(t *testing.T) {
	ids := team(t, maxToldRecords+2)
	for _, id := range ids {
		rotate(t, id)
	}
	mingle(t, ids...)
	late := link(t, ids[0], "late", 30)
	if n := len(late.EpochRecords()); n != maxToldRecords {
		t.Errorf("%d records in a welcome", n)
	}
	if n := len(late.ring.secrets); n != len(ids)+1 {
		t.Errorf("%d secrets for %d epochs", n, len(ids)+1)
	}
}
