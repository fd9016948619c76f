package encryption

import (
	"crypto/rand"
	"io"
	"slices"
	"testing"
	"time"
)

// signed signs an operation of this device and admits it.
func signed(tb testing.TB, by *Identity, kind OperationKind, action any) []byte {
	tb.Helper()
	body := by.log.nextBody(by.device)
	body.Kind, body.Action = kind, encode(action)
	op := sealOperation(body, by.keys)
	admitAll(tb, by, [][]byte{op})
	return op
}

// expel makes one device remove another.
func expel(tb testing.TB, by *Identity, target DeviceID) []byte {
	tb.Helper()
	_, seen := by.log.lastOf(target, firstOf(len(by.log.ops)))
	return signed(tb, by, OperationRemove, removeAction{Target: target, Seen: seen, At: 1})
}

// rotate makes a new epoch and takes it into use.
func rotate(tb testing.TB, id *Identity) EpochTag {
	tb.Helper()
	op, record, err := id.PrepareEpoch(testTime, inOrder)
	if err != nil {
		tb.Fatal(err)
	}
	admitAll(tb, id, [][]byte{op})
	admitRecords(tb, id, record)
	tag, ok := id.CurrentEpoch()
	if !ok {
		tb.Fatal("the new epoch is not in use")
	}
	return tag
}

func admitRecords(tb testing.TB, id *Identity, records ...[]byte) {
	tb.Helper()
	if _, err := id.AdmitEpochs(records...); err != nil {
		tb.Fatal(err)
	}
}

// tell gives one device all operations and records of another.
func tell(tb testing.TB, from *Identity, to ...*Identity) {
	tb.Helper()
	for _, id := range to {
		admitAll(tb, id, from.Ops())
		admitRecords(tb, id, from.EpochRecords()...)
	}
}

// mingle makes all devices know the same.
func mingle(tb testing.TB, ids ...*Identity) {
	tb.Helper()
	for _, from := range ids {
		tell(tb, from, ids...)
	}
	for _, from := range ids {
		tell(tb, from, ids...)
	}
}

// team is an account of n devices that know each other.
func team(tb testing.TB, n int) []*Identity {
	tb.Helper()
	ids := []*Identity{newFounder(tb, "device 1", 1)}
	for i := 1; i < n; i++ {
		ids = append(ids, link(tb, ids[0], "device", byte(i+1)))
	}
	mingle(tb, ids...)
	return ids
}

// sealOne seals one envelope of a fresh writer.
func sealOne(tb testing.TB, id *Identity, seed byte) []byte {
	tb.Helper()
	return newTestWriter(id, seed).seal(tb, []byte("batch"))
}

func opens(id *Identity, raw []byte) bool {
	_, err := id.OpenEnvelope(raw)
	return err == nil
}

// reopened is the device after a restart: its file, and what the caller kept.
func reopened(tb testing.TB, stored *storedIdentity, ops, records [][]byte, keys ...[]byte) *Identity {
	tb.Helper()
	id, err := newIdentity(stored)
	if err != nil {
		tb.Fatal(err)
	}
	admitAll(tb, id, ops)
	if err := id.ImportKeys(keys...); err != nil {
		tb.Fatal(err)
	}
	admitRecords(tb, id, records...)
	return id
}

func wantCurrent(tb testing.TB, id *Identity, want EpochTag) {
	tb.Helper()
	if got, ok := id.CurrentEpoch(); !ok || got != want {
		tb.Errorf("device %v is at epoch %v (%v), want %v", id.device, got, ok, want)
	}
}

func wantReason(tb testing.TB, id *Identity, now time.Time, sealed uint64, want EpochReason) {
	tb.Helper()
	if got, due := id.NeedsEpoch(now, sealed); got != want || due != (want != "") {
		tb.Errorf("needs an epoch: %q, %v; want %q", got, due, want)
	}
}

func sortedTags(tags []EpochTag) []EpochTag {
	return slices.SortedFunc(slices.Values(tags), compareTag)
}

// inOrder is the system's source of randomness, which a test may have replaced,
// asked in an order that does not change.
var inOrder io.Reader = struct{ io.Reader }{rand.Reader}
