package encryption

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// removed makes one device remove another.
func removed(tb testing.TB, by *Identity, target DeviceID, cut ...Dep) [][]byte {
	tb.Helper()
	ops, err := by.PrepareRemove(target, cut, testTime)
	if err != nil {
		tb.Fatal(err)
	}
	admitAll(tb, by, ops)
	return ops
}

// writers returns a cut of so many writers, not in order.
func writers(n int) (cut []Dep) {
	for i := range n {
		cut = append(cut, Dep{Writer: WriterID{byte(n - i)}, Seq: uint64(i + 1), Head: Hash{byte(i + 1)}})
	}
	return cut
}

func TestRemoveTakesADeviceOut(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	before := len(a.Ops())
	ops, err := a.PrepareRemove(b.device, writers(2), testTime)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Ops()) != before || len(ops) != 1 {
		t.Fatalf("%d operations, %d admitted by PrepareRemove itself", len(ops), len(a.Ops())-before)
	}
	added, err := a.Admit(ops...)
	if err != nil {
		t.Fatal(err)
	}
	want := Operation{Kind: OperationRemove, Author: a.device, Target: b.device, Name: "phone", At: testTime.UnixMilli()}
	if o := added[0]; o.Kind != want.Kind || o.Author != want.Author || o.Target != want.Target || o.Name != want.Name || o.At != want.At || o.ByRecovery {
		t.Errorf("shown as %+v", o)
	}
	if _, ok := a.Member(b.device); ok || len(a.Members()) != 1 {
		t.Error("still a member")
	}
	if m, ok := a.KnownDevice(b.device); !ok || m.Name != "phone" {
		t.Error("its key is not known any more")
	}
	admitAll(t, b, ops)
	s := b.Standing()
	if s.State != StandingRemoved || s.Frozen || s.Removal.Author != a.device || s.Removal.Hash != added[0].Hash || s.Removal.At != testTime.UnixMilli() {
		t.Errorf("the phone stands %+v", s)
	}
	_, err = b.PrepareAdd(newTestJoiner(t, "x", 3).Request(Hash{3}), testTime)
	wantError(t, err, ErrNotMember)
	_, err = a.PrepareRemove(b.device, nil, testTime)
	wantError(t, err, ErrRemoved)
	_, err = a.PrepareRemove(DeviceID{9}, nil, testTime)
	wantError(t, err, ErrUnknownDevice)
}

// TestRemoveSeesTheLastOperation: what the target did, as far as the remover knows
// it, counts further.
func TestRemoveSeesTheLastOperation(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	for i := range byte(3) {
		admitAll(t, a, [][]byte{add(t, b, newTestJoiner(t, "new", 3+i).Request(Hash{i}))})
	}
	removed(t, a, b.device)
	if n := len(a.Members()); n != 4 {
		t.Errorf("%d members are left", n)
	}
}

// TestLeaving: a device removes itself; what it did before counts, and what it
// wrote, unless another removal says otherwise.
func TestLeaving(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	admitAll(t, a, removed(t, a, a.device, writers(50)...))
	if s := a.Standing(); s.State != StandingRemoved || s.Removal.Author != a.device {
		t.Errorf("%+v", s)
	}
	admitAll(t, b, a.Ops())
	if m := b.Members(); len(m) != 1 || m[0].ID != b.device {
		t.Errorf("members %v", m)
	}
	if n := len(b.Vouched()); n != maxCut {
		t.Errorf("%d writers of the device that left", n)
	}
	other := view(b, b.device, b.keys, a.Ops()[:2])
	admitAll(t, b, removed(t, other, a.device))
	if n := len(b.Vouched()); n != 0 {
		t.Errorf("%d writers though its removal had not seen them", n)
	}
}

// TestCutOfManyWriters: what does not fit the removal is in acks, and all of it
// counts for everybody.
func TestCutOfManyWriters(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	c := link(t, a, "tablet", 3)
	tell(t, a, b)
	cut := writers(2*maxCut + 1)
	ops := removed(t, a, b.device, cut...)
	if len(ops) != 3 {
		t.Fatalf("%d operations", len(ops))
	}
	admitAll(t, c, ops)
	want := map[WriterID]Dep{}
	for _, d := range cut {
		want[d.Writer] = d
	}
	if !maps.Equal(c.Vouched(), want) {
		t.Errorf("vouched %v", c.Vouched())
	}
}

// TestLargestOperationsFit: the limits within an operation leave it below its 4 KiB,
// with as many parents as there can be and the longest numbers.
func TestLargestOperationsFit(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	body := a.log.nextBody(a.device)
	body.Seq, body.Parents = 1<<63, make([]Hash, MaxParents)
	cut := writers(maxCut)
	for i := range cut {
		cut[i].Seq = 1 << 63
	}
	for _, action := range []any{
		removeAction{Cut: cut, At: 1 << 62},
		ackAction{Removals: make([]Hash, maxRemovals), Cut: cut, At: 1 << 62},
	} {
		body.Action = encode(action)
		if n := len(sealOperation(body, a.keys)); n > MaxOperation {
			t.Errorf("%T takes %d bytes", action, n)
		}
	}
}

func TestAcksShowWhoKnows(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b, c := link(t, a, "phone", 2), link(t, a, "tablet", 3)
	removal := labelOperationHash.hash(removed(t, a, b.device)[0])
	admitAll(t, c, a.Ops())
	if r := c.Removals(); len(r) != 1 || r[0].Target != b.device || !slices.Equal(r[0].Acked, []DeviceID{a.device}) {
		t.Fatalf("%+v", r)
	}
	ops, err := c.PrepareAck([]Hash{removal}, writers(1), testTime)
	if err != nil || len(ops) != 1 {
		t.Fatal(len(ops), err)
	}
	added, err := a.Admit(ops...)
	if err != nil || !slices.Equal(added[0].Removals, []Hash{removal}) {
		t.Fatalf("%+v, %v", added, err)
	}
	want := []DeviceID{a.device, c.device}
	slices.SortFunc(want, compareDevices)
	if r := a.Removals(); !slices.Equal(r[0].Acked, want) {
		t.Errorf("%+v", r)
	}
	admitAll(t, a, removed(t, a, c.device)) // who is no member, acknowledges nothing
	if r := a.Removals(); !slices.Equal(r[0].Acked, []DeviceID{a.device}) {
		t.Errorf("%+v", r)
	}
	many := slices.Repeat([]Hash{removal}, 2)
	_, err = a.PrepareAck(many, nil, testTime)
	wantError(t, err, ErrMalformed)
}

func TestRekeyReplacesTheKey(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	op, seed, err := b.PrepareRekey(testTime, seeded(7))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keysFromSeeds(seed, seed)
	if err != nil {
		t.Fatal(err)
	}
	admitAll(t, a, [][]byte{op})
	if m, _ := a.Member(b.device); string(m.HPKEKey) != string(keys.hpkePublic()) || string(m.SigningKey) != string(b.keys.signingPublic()) {
		t.Error("the log does not have the new key")
	}
	admitAll(t, b, [][]byte{op})
	second, newest, err := b.PrepareRekey(testTime, seeded(8))
	if err != nil {
		t.Fatal(err)
	}
	admitAll(t, a, [][]byte{second})
	keys, err = keysFromSeeds(newest, newest)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range a.Members() {
		if m.ID == b.device && string(m.HPKEKey) != string(keys.hpkePublic()) {
			t.Error("the second key does not replace the first")
		}
	}
}

// TestLostKeyIsReplaced: a device that was put back to an earlier state does not
// have the key that the others seal to.
func TestLostKeyIsReplaced(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	op, seed, err := a.PrepareRekey(testTime, seeded(7))
	if err != nil {
		t.Fatal(err)
	}
	admitAll(t, a, [][]byte{op})
	if !a.NeedsRekey(testTime) {
		t.Error("content with a key that it does not have")
	}
	if err := a.ImportKeys(must(a.ExportKey(seed, nil))); err != nil {
		t.Fatal(err)
	}
	if a.NeedsRekey(testTime) {
		t.Error("not content with the key that it has")
	}
}

// TestOrphanIsAddedAgain: a device that a thief's device had added in good faith
// comes back with its keys, under a new id that it finds itself.
func TestOrphanIsAddedAgain(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	orphan := link(t, b, "watch", 3)
	if orphan.Adopt() {
		t.Fatal("a member adopted an id")
	}
	removed(t, a, b.device) // unseen: that the phone has added the watch
	tell(t, orphan, a)
	admitAll(t, orphan, a.Ops())
	if s := orphan.Standing(); s.State != StandingOrphaned || s.Removal.Target != b.device || s.Removal.Author != a.device {
		t.Fatalf("the watch stands %+v", s)
	}
	if orphan.Adopt() {
		t.Fatal("adopted an id that nobody gave")
	}
	_, err := a.PrepareReadd(b.device, testTime)
	wantError(t, err, ErrRemoved)
	_, err = a.PrepareReadd(DeviceID{9}, testTime)
	wantError(t, err, ErrUnknownDevice)
	_, err = a.PrepareReadd(a.device, testTime)
	wantError(t, err, ErrNotOrphaned)
	op, err := a.PrepareReadd(orphan.device, testTime.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	admitAll(t, a, [][]byte{op})
	_, err = a.PrepareReadd(orphan.device, testTime)
	wantError(t, err, ErrNotOrphaned)
	admitAll(t, orphan, [][]byte{op})
	old, writer := orphan.device, WriterFor(orphan.device, [16]byte{1})
	again := orphan
	if !again.Adopt() || again.Adopt() || again.device != deviceID(op) || again.device == old || again.Standing().State != StandingMember {
		t.Fatalf("adopted %v", again.device)
	}
	if !again.Was(old) || !again.Was(again.device) || again.Was(a.device) || again.Was(DeviceID{9}) {
		t.Error("it does not know its ids")
	}
	if m, _ := a.Member(again.device); m.Name != "watch" || m.AddedBy != a.device {
		t.Errorf("the laptop has it as %+v", m)
	}
	x, y := helloPair(again, a, 1)
	if _, err := runHello(x, y); err != nil {
		t.Error(err)
	}
	if WriterFor(again.device, [16]byte{1}) == writer {
		t.Error("two devices with one writer")
	}
	admitAll(t, a, [][]byte{add(t, again, newTestJoiner(t, "x", 4).Request(Hash{4}))})
}

// TestEnvelopeOfARemovedDevice: the signature still says whose it is; the error
// says that it takes another reason to keep it.
func TestEnvelopeOfARemovedDevice(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	w := newTestWriter(b, 1)
	raw := w.seal(t, []byte("before"))
	forged := newTestWriter(view(a, b.device, a.keys, a.Ops()), 1).seal(t, []byte("forged"))
	removed(t, a, b.device, Dep{Writer: WriterFor(b.device, w.nonce), Seq: 1, Head: w.chain.Head})
	u, err := a.OpenEnvelope(raw)
	if err != nil {
		t.Fatal(err)
	}
	c, hash, err := u.Verify(a, nil)
	wantError(t, err, ErrRemoved)
	if c == nil || string(c.Batch) != "before" || a.Vouched()[c.Writer] != (Dep{Writer: c.Writer, Seq: c.Seq, Head: hash}) {
		t.Fatalf("content %+v, id %v", c, hash)
	}
	if u, err = b.OpenEnvelope(forged); err != nil {
		t.Fatal(err)
	}
	if c, _, err = u.Verify(a, nil); c != nil {
		t.Error("content without a signature")
	}
	wantError(t, err, ErrSignature)
}

func TestOperationLimiter(t *testing.T) {
	var l OperationLimiter
	for range maxOperationsWindow {
		if err := l.Allow(testTime); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, l.Allow(testTime.Add(operationsWindow-1)), ErrOperationRate)
	wantError(t, l.Allow(testTime.Add(1-operationsWindow)), ErrOperationRate)
	if err := l.Allow(testTime.Add(operationsWindow)); err != nil {
		t.Error("an hour later: ", err)
	}
}
