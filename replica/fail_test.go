package replica_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

func unread(id string) model.Edit { return model.Edit{Op: model.ChatUnread, ID: id} }

// chats returns the ids of the chats that a replica shows.
func chats(t *testing.T, r *replica.Replica) string {
	t.Helper()
	list, err := r.ListChats(t.Context())
	try(t, err)
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, " ")
}

// reopen closes a device and opens what its memory store had.
func reopen(t *testing.T, d *device) *device {
	t.Helper()
	try(t, d.Close())
	return openOn(t, d.id, newFaulty(d.store.left))
}

// verified fails the test unless a replica finds itself in order.
func verified(t *testing.T, r *replica.Replica) {
	t.Helper()
	v, err := r.Verify(t.Context())
	if err != nil || !v.OK {
		t.Fatalf("verification is %+v: %v", v, err)
	}
}

// A commit that fails is an error to the caller that names the edits, nothing
// of it shows, also not in the index of pins, and the next one succeeds, with
// the same edits too.
func TestFailedCommitLeavesNothing(t *testing.T) {
	d := single(t)
	edits := []model.Edit{unread("b"), {Op: model.ChatPin, ID: "b"}, {Op: model.LabelSet, ID: "l", Name: new("L")}}
	try(t, d.Apply(t.Context(), []model.Edit{unread("a")}))
	before, err := d.Status(t.Context())
	try(t, err)
	d.store.failing(errFull)
	err = d.Apply(t.Context(), edits)
	if !errors.Is(err, replica.ErrDiskFull) || !strings.Contains(err.Error(), `chat.unread "b" and 2 more edits`) {
		t.Fatalf("on a full disk: %v", err)
	}
	if err := d.Chat("c").PinBefore(t.Context(), "b"); !errors.Is(err, replica.ErrNotFound) {
		t.Errorf("a pin before one that was not stored gives %v", err)
	}
	after, err := d.Status(t.Context())
	try(t, err)
	if got := chats(t, d.Replica); got != "a" || after.Fingerprint != before.Fingerprint || after.Counts.Faults == 0 {
		t.Fatalf("chats %q, status %+v, before %+v", got, after, before)
	}
	d.store.failing(nil)
	verified(t, d.Replica)
	try(t, d.Apply(t.Context(), edits))
	verified(t, d.Replica)
	d = reopen(t, d)
	if got := chats(t, d.Replica); got != "a b" {
		t.Errorf("chats are %q after reopening", got)
	}
	verified(t, d.Replica)
}

// A device whose disk is full loses nothing of what another one sends: it has
// it once there is room.
func TestFullDiskWhileReceiving(t *testing.T) {
	a, b := pair(t)
	try(t, a.Apply(t.Context(), []model.Edit{unread("x"), unread("y")}))
	events := b.Watch(t.Context(), replica.Now)
	b.store.failing(errFull)
	connect(a, b)
	await(t, events, func(ev model.Event) bool { return ev.Kind == "fault" && strings.Contains(ev.Note, "full") })
	if got := chats(t, b.Replica); got != "" {
		t.Errorf("shows %q, which is not stored", got)
	}
	b.store.failing(nil)
	connect(a, b)
	ctx := t.Context()
	try(t, errors.Join(a.WaitInSync(ctx, b.id.Device()), b.WaitInSync(ctx, a.id.Device())))
	if got := chats(t, b.Replica); got != "x y" {
		t.Errorf("chats are %q", got)
	}
	verified(t, b.Replica)
}

// A replica opens on a full disk, for reading.
func TestOpenOnFullDisk(t *testing.T) {
	d := single(t)
	try(t, d.Apply(t.Context(), []model.Edit{unread("a")}))
	last := lastEvent(t, d)
	try(t, d.Close())
	s := newFaulty(d.store.left)
	s.failing(errFull)
	d = openOn(t, d.id, s)
	if got := chats(t, d.Replica); got != "a" {
		t.Errorf("chats are %q", got)
	}
	if err := d.Apply(t.Context(), []model.Edit{unread("b")}); !errors.Is(err, replica.ErrDiskFull) {
		t.Errorf("an edit gives %v", err)
	}
	for ev := range d.Watch(t.Context(), replica.After(last)) {
		if ev.Kind != model.GapKind || ev.ID <= last || ev.ID >= 1<<53 {
			t.Errorf("after event %d comes %+v, want a gap", last, ev)
		}
		break
	}
	s.failing(nil)
	try(t, d.Apply(t.Context(), []model.Edit{unread("b")}))
	last = lastEvent(t, d)
	d = reopen(t, d)
	for ev := range d.Watch(t.Context(), replica.After(last)) {
		if ev.Kind != model.GapKind {
			t.Errorf("after event %d of the last life comes %+v, want a gap", last, ev)
		}
		break
	}
}

// lastEvent makes an edit and returns the id of its event.
func lastEvent(t *testing.T, d *device) uint64 {
	t.Helper()
	events := d.Watch(t.Context(), replica.Now)
	try(t, d.Apply(t.Context(), []model.Edit{unread("a"), {Op: model.ChatMute, ID: "a", Until: model.Forever}, {Op: model.ChatUnmute, ID: "a"}}))
	for ev := range events {
		if ev.Kind == "chat" {
			return ev.ID
		}
	}
	t.Fatal("no event")
	return 0
}

// An edit that cannot be made fails alone: those that were in the same group
// with it succeed, and after a restart it fails in the same way.
func TestFailingIntentAmongOthers(t *testing.T) {
	d := single(t)
	for round := range 2 {
		gate := hold(d)
		outcomes := make(chan error, 9)
		go func() { outcomes <- d.Apply(t.Context(), []model.Edit{unread(fmt.Sprint("first", round))}) }()
		<-gate.begun
		for i := range 8 {
			edits := []model.Edit{unread(fmt.Sprintf("good%d-%d", round, i))}
			if i%4 == 0 {
				edits = append(edits, unread("half"), model.Edit{Op: model.ChatPin, ID: "p", Before: "nobody"})
			}
			go func() { outcomes <- d.Apply(t.Context(), edits) }()
		}
		close(gate.free)
		failed := 0
		for range 9 {
			if err := <-outcomes; err != nil {
				failed++
				if !errors.Is(err, replica.ErrNotFound) || !strings.Contains(err.Error(), `"nobody" is not pinned`) {
					t.Errorf("the failing edit gives %v", err)
				}
			}
		}
		if got := strings.Fields(chats(t, d.Replica)); failed != 2 || len(got) != 7*(round+1) || slices.Contains(got, "half") {
			t.Fatalf("%d failed, chats are %q", failed, got)
		}
		verified(t, d.Replica)
		d = reopen(t, d)
	}
}

// held is a commit that waits for a test.
type held struct{ begun, free chan struct{} }

// hold makes the next commit of a device wait until free is closed.
func hold(d *device) held {
	h := held{make(chan struct{}), make(chan struct{})}
	first := make(chan struct{}, 1)
	first <- struct{}{}
	d.store.refusing(func(*store.Batch) error {
		select {
		case <-first:
			close(h.begun)
		default:
		}
		<-h.free
		return nil
	})
	return h
}

// A context that has ended before the edit is taken applies nothing.
func TestApplyWithEndedContext(t *testing.T) {
	d := single(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 100 {
		err := d.Apply(ctx, []model.Edit{unread(fmt.Sprint("c", i))})
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "chat.unread") {
			t.Fatalf("apply gives %v", err)
		}
		if _, err := d.AddDevice(ctx, request(t)); !errors.Is(err, context.Canceled) {
			t.Fatalf("add device gives %v", err)
		}
		if err := d.Local("n").Put(ctx, "k", []byte("v")); !errors.Is(err, context.Canceled) {
			t.Fatalf("local put gives %v", err)
		}
		if _, err := d.ListSettings(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("list settings gives %v", err)
		}
	}
	if got := chats(t, d.Replica); got != "" || len(d.id.Members()) != 1 {
		t.Fatalf("chats are %q, members %v", got, d.id.Members())
	}
}

// A context that ends while the edit is being written does not hide that it
// was.
func TestContextEndsWhileWriting(t *testing.T) {
	d := single(t)
	gate := hold(d)
	ctx, cancel := context.WithCancel(t.Context())
	outcome := make(chan error)
	go func() { outcome <- d.Apply(ctx, []model.Edit{unread("a")}) }()
	<-gate.begun
	cancel()
	close(gate.free)
	if err := <-outcome; err != nil {
		t.Errorf("the edit was written, and Apply says %v", err)
	}
	if got := chats(t, d.Replica); got != "a" {
		t.Errorf("chats are %q", got)
	}
}

func request(t *testing.T) *encryption.JoinRequest {
	t.Helper()
	j, err := encryption.NewJoiner(&encryption.JoinOptions{Name: "new"})
	try(t, err)
	return j.Request(encryption.Hash{1})
}

// A device that cannot be written is not a member: not now, not after the
// next success, not after a restart, and not for others.
func TestAddDeviceThatIsNotWritten(t *testing.T) {
	a, b := pair(t)
	d := reopen(t, a)
	d.store.failing(errFull)
	_, err := d.AddDevice(t.Context(), request(t))
	if !errors.Is(err, replica.ErrDiskFull) || !strings.Contains(err.Error(), `add device "new"`) {
		t.Fatalf("add device gives %v", err)
	}
	members := func(when string) {
		t.Helper()
		devices, err := d.ListDevices(t.Context())
		if err != nil || len(devices) != 2 || len(d.id.Members()) != 2 {
			t.Fatalf("%s: devices are %+v, %v", when, devices, err)
		}
	}
	members("after the failure")
	d.store.failing(nil)
	connect(d, b)
	inSync(t, d, b)
	members("after a connection")
	d = reopen(t, d)
	members("after a restart")
	if n := len(b.id.Members()); n != 2 {
		t.Errorf("the other device has %d members", n)
	}
	join(t, d, "third")
	if n := len(d.id.Members()); n != 3 {
		t.Errorf("%d members after the next one was added", n)
	}
}
