package encryption

import (
	"slices"
	"testing"
)

// TestThePhraseEndsAFreeze: two devices remove each other; the words, used on one
// of them, take the other out for good.
func TestThePhraseEndsAFreeze(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	words := NewRecoveryWords(f.seed)
	b := link(t, a, "phone", 2)
	removed(t, a, b.device)
	removed(t, b, a.device)
	admitAll(t, a, b.Ops())
	admitAll(t, b, a.Ops())
	for _, id := range []*Identity{a, b} {
		if s := id.Standing(); !s.Frozen || s.State != StandingRemoved || len(id.Members()) != 0 {
			t.Fatalf("%v stands %+v", id, s)
		}
	}
	ops, err := a.PrepareRecoveryRemove(words, b.device, Hash{}, writers(maxCut+1), testTime)
	if err != nil {
		t.Fatal(err)
	}
	added, err := a.Admit(ops...)
	if err != nil || len(added) != 2 || !added[0].ByRecovery || !added[0].Author.IsZero() || added[1].Author != a.device {
		t.Fatalf("%+v, %v", added, err)
	}
	admitAll(t, b, ops)
	if m := b.Members(); len(m) != 1 || m[0].ID != a.device {
		t.Errorf("members %v", m)
	}
	if r := b.Standing().Removal; r.Author != a.device && !r.ByRecovery {
		t.Errorf("removed by %+v", r)
	}
	for _, r := range a.Removals() {
		if r.Target == a.device {
			t.Error("the overruled removal is still shown")
		}
	}
	c := link(t, a, "tablet", 3)
	if len(c.Members()) != 2 || len(c.Vouched()) != maxCut+1 {
		t.Errorf("members %v, %d writers", c.Members(), len(c.Vouched()))
	}
}

// TestThePhraseOverrulesWhatItNames: by default the target's removals of others
// stand; with the operation before one of them as seen, that one does not.
func TestThePhraseOverrulesWhatItNames(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	b, c := link(t, a, "phone", 2), link(t, a, "tablet", 3)
	tell(t, a, b)
	removed(t, b, c.device)
	tell(t, b, a)
	removal := a.Removals()[0]
	for _, seen := range []Hash{{}, removal.Previous} {
		id := view(a, a.device, a.keys, a.Ops())
		ops, err := id.PrepareRecoveryRemove(NewRecoveryWords(f.seed), b.device, seen, nil, testTime)
		if err != nil {
			t.Fatal(err)
		}
		admitAll(t, id, ops)
		_, back := id.Member(c.device)
		if back == seen.IsZero() {
			t.Errorf("seen %v: the tablet is a member: %v", seen, back)
		}
		if _, ok := id.Member(b.device); ok {
			t.Error("the phone is still a member")
		}
	}
	_, err := a.PrepareRecoveryRemove(NewRecoveryWords(f.seed), b.device, labelOperationHash.hash(a.Ops()[0]), nil, testTime)
	wantError(t, err, ErrMalformed)
	_, err = a.PrepareRecoveryRemove(NewRecoveryWords(f.seed), DeviceID{9}, Hash{}, nil, testTime)
	wantError(t, err, ErrUnknownDevice)
	_, other := newFoundation(t, "stranger", 4)
	_, err = a.PrepareRecoveryRemove(NewRecoveryWords(other.seed), b.device, Hash{}, nil, testTime)
	wantError(t, err, ErrWords)
}

// TestRotatedWords: the new words count for what follows the rotation, the old
// ones for what does not; of two rotations at the same time both count.
func TestRotatedWords(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	old := NewRecoveryWords(f.seed)
	fresh := make([]RecoveryWords, 2)
	var rotations [][]byte
	for i := range fresh {
		fresh[i] = NewRecoveryWords(NewSecret([32]byte{byte(i + 1)}))
		op, err := a.PrepareRotateRecovery(old, fresh[i], testTime)
		if err != nil {
			t.Fatal(err)
		}
		rotations = append(rotations, op)
	}
	_, err := a.PrepareRotateRecovery(fresh[0], old, testTime)
	wantError(t, err, ErrWords)
	late, err := a.PrepareRecoveryRemove(old, b.device, Hash{}, nil, testTime)
	if err != nil {
		t.Fatal(err)
	}
	one := view(a, a.device, a.keys, append(a.Ops(), rotations[0]))
	both := view(a, a.device, a.keys, append(a.Ops(), rotations...))
	for _, c := range []struct {
		id    *Identity
		words RecoveryWords
		want  error
	}{{one, old, ErrWords}, {one, fresh[0], nil}, {one, fresh[1], ErrWords}, {both, old, ErrWords}, {both, fresh[0], nil}, {both, fresh[1], nil}} {
		ops, err := c.id.PrepareRecoveryRemove(c.words, b.device, Hash{}, nil, testTime)
		wantError(t, err, c.want)
		if err == nil {
			admitAll(t, view(c.id, c.id.device, c.id.keys, c.id.Ops()), ops)
		}
	}
	admitAll(t, one, late) // signed without knowing of the rotation
	if len(one.Members()) != 1 {
		t.Error("the old words' removal does not count")
	}
}

// TestFullLogCanBeRecovered: a device has filled the log; the recovery key still
// has room to remove it.
func TestFullLogCanBeRecovered(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	full := view(a, a.device, a.keys, a.Ops())
	for len(full.log.ops) < MaxOperations-recoveryReserve {
		full.log.ops = append(full.log.ops, full.log.ops[0])
	}
	_, err := full.PrepareRemove(b.device, nil, testTime)
	wantError(t, err, ErrTooManyOperations)
	ops, err := full.PrepareRecoveryRemove(NewRecoveryWords(f.seed), b.device, Hash{}, nil, testTime)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := full.log.admit(ops); err != nil || !slices.ContainsFunc(full.log.resolved.removals, (*operation).byRecovery) {
		t.Errorf("removal by the recovery key: %v", err)
	}
}

// TestThePhraseBringsThisDeviceBack: a stolen phone has removed the laptop. The
// words, used on the laptop without a choice, overrule that, and not what the
// phone had removed before.
func TestThePhraseBringsThisDeviceBack(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	b, c := link(t, a, "phone", 2), link(t, a, "tablet", 3)
	tell(t, a, b)
	removed(t, b, c.device)
	removed(t, b, a.device)
	tell(t, b, a)
	if s := a.Standing(); s.State != StandingRemoved || s.Removal.Author != b.device || s.Frozen {
		t.Fatalf("the laptop stands %+v", s)
	}
	ops, err := a.PrepareRecoveryRemove(NewRecoveryWords(f.seed), b.device, Hash{}, nil, testTime)
	if err != nil {
		t.Fatal(err)
	}
	admitAll(t, a, ops)
	if m := a.Members(); len(m) != 1 || m[0].ID != a.device {
		t.Errorf("members %v", m)
	}
}
