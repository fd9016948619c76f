package encryption

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

var peerA, peerB = []byte("peer id of A"), []byte("peer id of B")

// helloPair is a hello between two devices over a stream without faults.
func helloPair(a, b *Identity, seed byte) (*Hello, *Hello) {
	return a.NewHello(true, peerA, peerB, testTime, seeded(seed)),
		b.NewHello(false, peerB, peerA, testTime.Add(time.Hour), seeded(seed+100))
}

// runHello returns the three frames.
func runHello(a, b *Hello) (frames [3][]byte, err error) {
	if frames[0], _, err = a.Next(nil); err != nil {
		return frames, err
	}
	if frames[1], _, err = b.Next(frames[0]); err != nil {
		return frames, err
	}
	var done bool
	if frames[2], done, err = a.Next(frames[1]); err != nil {
		return frames, err
	}
	out, alsoDone, err := b.Next(frames[2])
	if err == nil && (!done || !alsoDone || out != nil) {
		return frames, errors.New("not done after three frames")
	}
	return frames, err
}

func TestHelloOfTwoMembers(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	x, y := helloPair(a, b, 1)
	frames, err := runHello(x, y)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		if len(f) != 1024 {
			t.Errorf("frame %d has %d bytes", i+1, len(f))
		}
	}
	if d, ops := x.Peer(); d != b.device || len(ops) != 0 {
		t.Errorf("initiator met %v with %d operations", d, len(ops))
	}
	if d, ops := y.Peer(); d != a.device || len(ops) != 0 {
		t.Errorf("responder met %v with %d operations", d, len(ops))
	}
	if x.Skew() != time.Hour || y.Skew() != -time.Hour || x.Refused() != nil {
		t.Errorf("skew %v and %v", x.Skew(), y.Skew())
	}
}

// TestHelloProvesUnknownMembers: each side was added by another sponsor and has
// never heard of the other.
func TestHelloProvesUnknownMembers(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	genesis := a.Ops()
	b := link(t, a, "phone", 2)
	c := link(t, view2(a, genesis), "tablet", 3)
	x, y := helloPair(b, c, 1)
	frames, err := runHello(x, y)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1024, 4096, 4096} {
		if len(frames[i]) != want {
			t.Errorf("frame %d has %d bytes", i+1, len(frames[i]))
		}
	}
	_, toB := x.Peer()
	_, toC := y.Peer()
	if len(toB) != 1 || len(toC) != 1 {
		t.Fatalf("learned %d and %d operations", len(toB), len(toC))
	}
	if len(b.Members()) != 2 {
		t.Error("the hello itself admitted")
	}
	admitAll(t, b, toB)
	admitAll(t, c, toC)
	if b.MembershipDigest() != c.MembershipDigest() || len(b.Members()) != 3 {
		t.Error("the logs differ")
	}
}

// view2 is the same device with an older log.
func view2(a *Identity, ops [][]byte) *Identity { return view(a, a.device, a.keys, ops) }

func TestHelloRefusesOutsiders(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	stranger := newFounder(t, "stranger", 3)
	insider := view(a, stranger.device, stranger.keys, a.Ops()) // has all secrets, but is no member
	insider.log.adds[stranger.device] = 0
	thief := view(a, b.device, stranger.keys, a.Ops()) // has b's id, not its keys
	for name, pair := range map[string][2]*Identity{
		"other account":         {stranger, b},
		"other account answers": {b, stranger},
		"no member":             {insider, b},
		"no member answers":     {b, insider},
		"another's id":          {thief, a},
		"another's id answers":  {a, thief},
		"itself":                {a, a},
	} {
		x, y := helloPair(pair[0], pair[1], 1)
		if _, err := runHello(x, y); !errors.Is(err, ErrHello) {
			t.Errorf("%s: %v", name, err)
		}
		if d, _ := x.Peer(); !d.IsZero() && d != pair[1].device {
			t.Errorf("%s: initiator reports %v", name, d)
		}
		if d, _ := y.Peer(); !d.IsZero() {
			t.Errorf("%s: responder reports %v", name, d)
		}
	}
}

// TestHelloErrorsLookTheSame: what went wrong must not be seen outside.
func TestHelloErrorsLookTheSame(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	for name, in := range map[string][]byte{
		"nothing": nil, "short": {1}, "garbage": make([]byte, 1024), "odd size": make([]byte, 1025), "huge": make([]byte, MaxHelloFrame+1),
	} {
		_, y := helloPair(a, b, 1)
		out, done, err := y.Next(in)
		if out != nil || done || !errors.Is(err, ErrHello) || err.Error() != ErrHello.Error() {
			t.Errorf("%s: %v, %v, %v", name, out, done, err)
		}
		if errors.Unwrap(err) == nil {
			t.Errorf("%s: no reason for the local log", name)
		}
		if _, _, err := y.Next(nil); !errors.Is(err, ErrHello) {
			t.Errorf("%s: goes on after a failure", name)
		}
	}
}

func TestHelloFramesFlippedAnywhereAreRefused(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	x, y := helloPair(a, b, 1)
	frames, err := runHello(x, y)
	if err != nil {
		t.Fatal(err)
	}
	for number := range frames {
		for i := 0; i < 1024; i += 11 {
			bad := slices.Clone(frames[number])
			bad[i] ^= 1 << (i % 8)
			if err := replay(a, b, number, frames, bad); !errors.Is(err, ErrHello) {
				t.Fatalf("flip of byte %d of frame %d: %v", i, number+1, err)
			}
		}
		if err := replay(a, b, number, frames, frames[number]); err != nil {
			t.Fatalf("the unchanged frame %d: %v", number+1, err)
		}
	}
}

// replay repeats the hello of the same seeds up to one frame, and gives another
// frame in its place.
func replay(a, b *Identity, number int, frames [3][]byte, frame []byte) error {
	x, y := helloPair(a, b, 1)
	if number == 0 {
		_, _, err := y.Next(frame)
		return err
	}
	x.Next(nil)
	y.Next(frames[0])
	if number == 1 {
		_, _, err := x.Next(frame)
		return err
	}
	_, _, err := y.Next(frame)
	return err
}

// TestHelloCannotBeReplayed replays each frame of a recorded hello into a new one
// between the same devices and transport ids.
func TestHelloCannotBeReplayed(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	x, y := helloPair(a, b, 1)
	old, err := runHello(x, y)
	if err != nil {
		t.Fatal(err)
	}
	// The first frame gets an answer, as it proves nothing; the third does not fit it.
	_, responder := helloPair(a, b, 2)
	if _, _, err := responder.Next(old[0]); err != nil {
		t.Fatalf("first frame: %v", err)
	}
	if _, _, err := responder.Next(old[2]); !errors.Is(err, ErrHello) {
		t.Errorf("third frame: %v", err)
	}
	initiator, _ := helloPair(a, b, 2)
	if _, _, err := initiator.Next(nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := initiator.Next(old[1]); !errors.Is(err, ErrHello) {
		t.Errorf("second frame: %v", err)
	}
}

// TestHelloCannotBeReflected sends a side's own frames back to it.
func TestHelloCannotBeReflected(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	x := a.NewHello(true, peerA, peerB, testTime, seeded(1))
	first, _, err := x.Next(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.Next(first); !errors.Is(err, ErrHello) {
		t.Errorf("own first frame as the second: %v", err)
	}
	// To the same device as a responder, over a connection to the reflector.
	y := a.NewHello(false, peerA, peerB, testTime, seeded(2))
	if _, _, err := y.Next(first); !errors.Is(err, ErrHello) {
		t.Errorf("own first frame to a responder: %v", err)
	}
	z := a.NewHello(false, peerB, peerA, testTime, seeded(3))
	_, _, err = z.Next(first)
	if !errors.Is(errors.Unwrap(err), errHelloSelf) {
		t.Errorf("own device id: %v", errors.Unwrap(err))
	}
}

// TestHelloIsBoundToTheTransport: somebody between the two relays every frame,
// but the transport has authenticated other ids.
func TestHelloIsBoundToTheTransport(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	relay := []byte("peer id of a relay")
	x := a.NewHello(true, peerA, relay, testTime, seeded(1))
	y := b.NewHello(false, peerB, relay, testTime, seeded(2))
	if _, err := runHello(x, y); !errors.Is(err, ErrHello) {
		t.Errorf("relayed: %v", err)
	}
	for name, peers := range map[string][2][]byte{
		"same":      {peerA, peerA},
		"no local":  {nil, peerB},
		"no remote": {peerA, nil},
		"too long":  {peerA, []byte(strings.Repeat("x", 129))},
	} {
		if _, _, err := a.NewHello(true, peers[0], peers[1], testTime, seeded(1)).Next(nil); !errors.Is(err, ErrHello) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHelloFramesLookRandom(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	x, y := helloPair(a, b, 1)
	frames, err := runHello(x, y)
	if err != nil {
		t.Fatal(err)
	}
	for name, plain := range map[string][]byte{
		"account": a.account[:], "device a": a.device[:], "device b": b.device[:], "key a": a.keys.signingPublic(),
		"key b": b.keys.signingPublic(), "tag": a.epoch.tag[:], "peer": peerA, "zeros": make([]byte, 8),
	} {
		for i, f := range frames {
			if bytes.Contains(f, plain) {
				t.Errorf("frame %d shows %s", i+1, name)
			}
		}
	}
}

// TestHelloProofIsBounded has a device that 60 others stand between.
func TestHelloProofIsBounded(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	j := newTestJoiner(t, "x", 3)
	for i := range 60 {
		add(t, a, j.Request(Hash{byte(i)}))
	}
	// To somebody who lacks 60 operations that are not needed as a proof, what
	// fits is sent.
	x, y := helloPair(a, b, 1)
	frames, err := runHello(x, y)
	if err != nil {
		t.Fatal(err)
	}
	_, ops := y.Peer()
	if len(frames[2]) != MaxHelloFrame || len(ops) < 30 || len(ops) >= 60 {
		t.Errorf("frame of %d bytes, %d operations learned", len(frames[2]), len(ops))
	}
	admitAll(t, b, ops)
	x, y = helloPair(a, b, 2)
	if _, err := runHello(x, y); err != nil {
		t.Fatal(err)
	}
	_, ops = y.Peer()
	admitAll(t, b, ops)
	if a.MembershipDigest() != b.MembershipDigest() {
		t.Error("a second hello does not bring the rest")
	}
	// A proof that needs more than a frame cannot be given.
	late := link(t, a, "late", 4)
	old := view(a, b.device, b.keys, a.Ops()[:2])
	x, y = helloPair(late, old, 3)
	if _, err := runHello(x, y); !errors.Is(err, ErrHello) {
		t.Errorf("proof of 60 operations: %v", err)
	}
}

func TestHelloToleratesOperationsItCannotRead(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	body := a.log.nextBody(a.device)
	body.Kind, body.Action = 99, encode(preamble{})
	future := &operation{raw: sealOperation(body, a.keys), hash: Hash{1}, operationBody: *body, index: len(a.log.ops)}
	a.log.ops = append(a.log.ops, future)
	a.log.heads[future.hash] = true
	x, y := helloPair(a, b, 1)
	if _, err := runHello(x, y); err != nil {
		t.Fatal(err)
	}
	wantError(t, y.Refused(), ErrUnsupported)
	if d, ops := y.Peer(); d != a.device || len(ops) != 0 {
		t.Errorf("%v with %d operations", d, len(ops))
	}
}

func TestHostKeysAndServiceName(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	other := newFounder(t, "laptop", 3)
	seed := func(id *Identity, d DeviceID, day uint32) [32]byte { return newestKeys(id, day).HostSeed(d) }
	if seed(a, a.device, 1) != seed(b, a.device, 1) {
		t.Error("members cannot compute each other's host key")
	}
	seen := map[[32]byte]bool{}
	for _, s := range [][32]byte{
		seed(a, a.device, 1), seed(a, a.device, 2), seed(b, b.device, 1), seed(other, other.device, 1), seed(other, a.device, 1),
	} {
		if seen[s] {
			t.Error("a host key repeats")
		}
		seen[s] = true
	}
	service := func(id *Identity, day uint32) string { return newestKeys(id, day).ServiceName() }
	name := service(a, 1)
	if name != service(b, 1) || name == service(a, 2) || name == service(other, 1) {
		t.Error("the service name is not the account's for the day")
	}
	if len(name) != 15 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		t.Errorf("service name %q", name)
	}
}
