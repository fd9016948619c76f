package encryption

import (
	"bytes"
	"errors"
	"testing"
)

// meet runs a hello to its end or the first error of each side, handing over what
// a side has to send even beside an error.
func meet(tb testing.TB, x, y *Hello) (frames [3][]byte, errX, errY error) {
	tb.Helper()
	var err error
	if frames[0], _, err = x.Next(nil); err != nil {
		tb.Fatal(err)
	}
	if frames[1], _, errY = y.Next(frames[0]); errY != nil {
		return frames, nil, errY
	}
	if frames[2], _, errX = x.Next(frames[1]); frames[2] == nil {
		return frames, errX, nil
	}
	_, _, errY = y.Next(frames[2])
	return frames, errX, errY
}

// wantRemoved expects an end that says which of the two is no member.
func wantRemoved(tb testing.TB, err error, device, peer DeviceID) *RemovedError {
	tb.Helper()
	var removed *RemovedError
	if !errors.Is(err, ErrHello) || !errors.Is(err, ErrRemoved) || !errors.As(err, &removed) {
		tb.Fatalf("got %v (%v)", err, errors.Unwrap(err))
	}
	if removed.Device != device || removed.Peer != peer {
		tb.Fatalf("%v is out, %v is the other side", removed.Device, removed.Peer)
	}
	if err.Error() != ErrHello.Error() {
		tb.Errorf("prints as %q", err)
	}
	return removed
}

// TestHelloTellsARemovedDevice: whoever of the two dials, both learn it, and the
// device that is out learns nothing of what came after.
func TestHelloTellsARemovedDevice(t *testing.T) {
	for _, dials := range []string{"member", "removed"} {
		a := newFounder(t, "laptop", 1)
		b := link(t, a, "phone", 2)
		removed(t, a, b.device)
		link(t, a, "secret name", 3)
		x, y := helloPair(a, b, 1)
		if dials == "removed" {
			x, y = helloPair(b, a, 1)
		}
		_, errX, errY := meet(t, x, y)
		if dials == "removed" {
			errX, errY = errY, errX
		}
		wantRemoved(t, errX, b.device, b.device)
		told := wantRemoved(t, errY, b.device, a.device)
		if len(told.Ops) != 1 {
			t.Fatalf("%s dials: told %d operations", dials, len(told.Ops))
		}
		admitAll(t, b, told.Ops)
		if s := b.Standing(); s.State != StandingRemoved || s.Removal.Author != a.device {
			t.Errorf("%s dials: the phone stands %+v", dials, s)
		}
	}
}

// TestHelloOfAnOrphan: a member learns the operations by which it can add the
// orphan again; the next hello tells the orphan that it has.
func TestHelloOfAnOrphan(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	orphan := link(t, b, "watch", 3)
	removed(t, a, b.device)
	for name, pair := range map[string][2]*Identity{"member dials": {a, orphan}, "orphan dials": {orphan, a}} {
		x, y := helloPair(pair[0], pair[1], 1)
		_, errX, errY := meet(t, x, y)
		if pair[0] == orphan {
			errX, errY = errY, errX
		}
		heard := wantRemoved(t, errX, orphan.device, orphan.device)
		if len(heard.Ops) != 1 {
			t.Fatalf("%s: heard %d operations", name, len(heard.Ops))
		}
		if orphan == pair[1] {
			wantRemoved(t, errY, orphan.device, a.device)
			continue
		}
		if errY != nil && !errors.Is(errY, ErrHello) {
			t.Error(errY)
		}
	}
	x, y := helloPair(orphan, a, 2)
	_, _, errY := meet(t, x, y)
	admitAll(t, a, wantRemoved(t, errY, orphan.device, orphan.device).Ops)
	op, err := a.PrepareReadd(orphan.device, testTime)
	if err != nil {
		t.Fatal(err)
	}
	admitAll(t, a, [][]byte{op})
	x, y = helloPair(orphan, a, 3)
	_, errX, _ := meet(t, x, y)
	admitAll(t, orphan, wantRemoved(t, errX, orphan.device, a.device).Ops)
	if !orphan.Adopt() || orphan.device != deviceID(op) {
		t.Error("the orphan did not learn its new id")
	}
}

// TestHelloTellsOfAnUnheardRemoval: a removal that nobody who is left has heard of,
// since its author was removed as well, is told by the device that it removed once
// this one calls; a claim that is not signed yet is not answered with it.
func TestHelloTellsOfAnUnheardRemoval(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	c := link(t, a, "watch", 3)
	admitAll(t, b, a.Ops())
	admitAll(t, c, removed(t, b, c.device))
	removed(t, a, b.device)
	x, y := helloPair(a, c, 1)
	_, errX, errY := meet(t, x, y)
	if errX != nil {
		t.Fatal(errX)
	}
	wantRemoved(t, errY, c.device, a.device)
	x, y = helloPair(c, a, 2)
	_, errX, errY = meet(t, x, y)
	wantRemoved(t, errX, c.device, a.device)
	admitAll(t, a, wantRemoved(t, errY, c.device, c.device).Ops)
	if _, member := a.Member(c.device); member {
		t.Error("the laptop did not hear that the watch is out")
	}
}

// TestHelloInAFreeze: two that removed each other tell each other nothing but that.
func TestHelloInAFreeze(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	removed(t, a, b.device)
	removed(t, b, a.device)
	x, y := helloPair(a, b, 1)
	_, errX, errY := meet(t, x, y)
	ofA := wantRemoved(t, errX, a.device, b.device)
	ofB := wantRemoved(t, errY, b.device, a.device)
	if len(ofA.Ops) != 1 || len(ofB.Ops) != 1 {
		t.Errorf("%d and %d operations", len(ofA.Ops), len(ofB.Ops))
	}
	admitAll(t, a, ofA.Ops)
	admitAll(t, b, ofB.Ops)
	if a.MembershipDigest() != b.MembershipDigest() || !a.Standing().Frozen {
		t.Error("they do not agree on the freeze")
	}
}

// TestHelloAnswersAClaimWithLittle: whoever knows the hello key, as a removed
// device does, can claim any id. The answer to the claim holds no operation that
// this side does not need as its own proof.
func TestHelloAnswersAClaimWithLittle(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	genesis := a.Ops()[:1]
	link(t, a, "secret name", 3)
	for name, claimed := range map[string]DeviceID{"a member": b.device, "nobody": {9}} {
		thief := view(a, claimed, newTestJoiner(t, "thief", 4).keys, genesis)
		thief.log.adds[claimed] = 0
		x, y := helloPair(thief, a, 1)
		frames, _, errY := meet(t, x, y)
		if !errors.Is(errY, ErrHello) || errors.Is(errY, ErrRemoved) {
			t.Errorf("%s: %v", name, errY)
		}
		if len(x.learned) != 0 || len(frames[1]) != helloSizes[0] {
			t.Errorf("%s: the claim gave %d operations in %d bytes", name, len(x.learned), len(frames[1]))
		}
	}
}

// TestHelloOfARemovedDeviceIsStillChecked: a removed device's id without its key
// is a stranger's.
func TestHelloOfARemovedDeviceIsStillChecked(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	removed(t, a, b.device)
	stranger := view(a, b.device, newTestJoiner(t, "stranger", 3).keys, a.Ops()[:2])
	x, y := helloPair(a, stranger, 1)
	frames, errX, _ := meet(t, x, y)
	if errors.Is(errX, ErrRemoved) || !errors.Is(errX, ErrHello) || frames[2] != nil {
		t.Errorf("answered a forged signature: %v", errX)
	}
	if bytes.Contains(frames[1], b.device[:]) {
		t.Error("the frame shows an id")
	}
}
