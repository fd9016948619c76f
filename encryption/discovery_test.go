package encryption

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestHelloBetweenEpochs: one side was away during a rotation.
func TestHelloBetweenEpochs(t *testing.T) {
	ids := team(t, 2)
	ahead, behind := ids[0], ids[1]
	first, _ := behind.CurrentEpoch()
	tag := rotate(t, ahead)
	x, y := helloPair(behind, ahead, 1)
	if _, err := runHello(x, y); err != nil {
		t.Errorf("greeted under the older epoch: %v", err)
	}
	if x.Epoch() != first || y.Epoch() != first {
		t.Errorf("held in %v and %v", x.Epoch(), y.Epoch())
	}
	x, y = helloPair(ahead, behind, 2)
	if _, err := runHello(x, y); !errors.Is(err, ErrHello) || x.Epoch() != (EpochTag{}) {
		t.Errorf("greeted under an epoch that the other side does not know: %v", err)
	}
	tries := ahead.DiscoveryEpochs()
	if !slices.Equal(tries, []EpochTag{tag, first}) {
		t.Fatalf("tries %v", tries)
	}
	x, err := ahead.NewHelloIn(tries[1], peerA, peerB, testTime, seeded(3))
	if err != nil {
		t.Fatal(err)
	}
	_, y = helloPair(ahead, behind, 4)
	if _, err := runHello(x, y); err != nil {
		t.Errorf("second try: %v", err)
	}
	_, err = behind.NewHelloIn(tag, peerA, peerB, testTime, seeded(3))
	wantError(t, err, ErrUnknownEpoch)
}

// TestRemovedDeviceIsToldUnderItsEpoch, which is not the members' any more,
// whichever side begins.
func TestRemovedDeviceIsToldUnderItsEpoch(t *testing.T) {
	ids := team(t, 2)
	a, b := ids[0], ids[1]
	old, _ := b.CurrentEpoch()
	expel(t, a, b.device)
	rotate(t, a)
	told := func(err error) {
		t.Helper()
		var removed *RemovedError
		if !errors.As(err, &removed) || removed.Device != b.device || removed.Peer != a.device {
			t.Errorf("told %v", err)
			return
		}
		again := copyOf(b)
		admitAll(t, again, removed.Ops)
		if isMember(again, b.device) {
			t.Error("does not know that it was removed")
		}
	}
	x, y := helloPair(b, a, 1)
	_, err := runHello(x, y)
	told(err)
	x, err = a.NewHelloIn(old, peerA, peerB, testTime, seeded(2))
	if err != nil {
		t.Fatal(err)
	}
	y = b.NewHello(false, peerB, peerA, testTime, seeded(3))
	first, _, err := x.Next(nil)
	second, _, errB := y.Next(first)
	third, _, errA := x.Next(second)
	if err != nil || errB != nil || !errors.Is(errA, ErrRemoved) {
		t.Fatal(err, errB, errA)
	}
	_, _, errB = y.Next(third)
	told(errB)
}

// TestServedEpochs: an epoch is served until all others are known to be past it.
func TestServedEpochs(t *testing.T) {
	ids := team(t, 3)
	a, b, c := ids[0], ids[1], ids[2]
	first, _ := a.CurrentEpoch()
	served := func(id *Identity, want ...EpochTag) {
		t.Helper()
		if got := id.ServedEpochs(testTime); !slices.Equal(got, want) {
			t.Errorf("serves %v, want %v", got, want)
		}
	}
	served(a, first)
	tag := rotate(t, a)
	served(a, tag, first)
	served(b, first)
	tell(t, a, b, c)
	served(b, tag, first) // of a it is known, of c it is not
	x, y := helloPair(a, b, 1)
	if _, err := runHello(x, y); err != nil {
		t.Fatal(err)
	}
	served(a, tag, first)
	if _, err := receive(a, new(*Chain), sealOne(t, c, 1)); err != nil {
		t.Fatal(err)
	}
	served(a, tag)
	late := link(t, a, "late", 9) // by a sponsor that had announced the epoch
	served(a, tag)
	served(late, tag, first)
}

// TestServedEpochsOfUnknownEpochs: that another device announced an epoch of the
// same generation is no proof that it has one which is known here.
func TestServedEpochsOfUnknownEpochs(t *testing.T) {
	ids := team(t, 2)
	a, b := ids[0], ids[1]
	first, _ := a.CurrentEpoch()
	tag := rotate(t, a)
	rotate(t, b)
	admitAll(t, a, b.Ops())
	if got := a.ServedEpochs(testTime); !slices.Equal(got, []EpochTag{tag, first}) {
		t.Errorf("serves %v", got)
	}
}

// TestServedEpochsForTheRemoved: for 30 days a removed device can find out.
func TestServedEpochsForTheRemoved(t *testing.T) {
	ids := team(t, 2)
	a, b := ids[0], ids[1]
	old, _ := a.CurrentEpoch()
	_, seen := a.log.lastOf(b.device, firstOf(len(a.log.ops)))
	signed(t, a, OperationRemove, removeAction{Target: b.device, Seen: seen, At: testTime.UnixMilli()})
	if got := a.DiscoveryEpochs(); !slices.Equal(got, []EpochTag{old}) {
		t.Errorf("before the rotation it is met under %v", got)
	}
	tag := rotate(t, a)
	if got := a.ServedEpochs(testTime.Add(toldFor)); !slices.Equal(got, []EpochTag{tag, old}) {
		t.Errorf("serves %v", got)
	}
	if got := a.ServedEpochs(testTime.Add(toldFor + time.Millisecond)); !slices.Equal(got, []EpochTag{tag}) {
		t.Errorf("serves %v after 30 days", got)
	}
}

func TestDiscoveryIsBounded(t *testing.T) {
	ids := team(t, 2)
	a := ids[0]
	var tags []EpochTag
	for range maxDiscovery + 3 {
		tags = append(tags, rotate(t, a))
	}
	slices.Reverse(tags)
	if got := a.DiscoveryEpochs(); !slices.Equal(got, tags[:maxDiscovery]) {
		t.Errorf("%d epochs", len(got))
	}
	served := a.ServedEpochs(testTime)
	want := append(slices.Clone(tags[:maxServed-1]), tags[maxDiscovery-1])
	if !slices.Equal(served, want) {
		t.Errorf("serves %d epochs", len(served))
	}
}

// TestDayKeys: names differ by account, epoch, day and device, and those who know
// the epoch compute the same.
func TestDayKeys(t *testing.T) {
	ids := team(t, 2)
	a, b := ids[0], ids[1]
	first, _ := a.CurrentEpoch()
	tag := rotate(t, a)
	tell(t, a, b)
	stranger := newFounder(t, "stranger", 9)
	other, _ := stranger.CurrentEpoch()
	keys := func(id *Identity, e EpochTag, day uint32) *DayKeys {
		k, err := id.DayKeys(e, day)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	seen := map[string]bool{}
	for _, k := range []*DayKeys{keys(a, first, 1), keys(a, first, 2), keys(a, tag, 1), keys(stranger, other, 1)} {
		for _, name := range []string{k.ServiceName(), fmt.Sprint(k.HostSeed(a.device)), fmt.Sprint(k.HostSeed(b.device))} {
			if seen[name] {
				t.Errorf("%s serves twice", name)
			}
			seen[name] = true
		}
	}
	if keys(a, tag, 1).HostSeed(b.device) != newestKeys(b, 1).HostSeed(b.device) || keys(b, tag, 1).ServiceName() != newestKeys(a, 1).ServiceName() {
		t.Error("two members compute other names")
	}
	_, err := a.DayKeys(other, 1)
	wantError(t, err, ErrUnknownEpoch)
	if got := fmt.Sprintf("%v %+v %#v", keys(a, tag, 1), keys(a, tag, 1), *keys(a, tag, 1)); got[:len(redacted)] != redacted {
		t.Errorf("prints %s", got)
	}
}
