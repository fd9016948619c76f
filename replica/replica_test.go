package replica_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"testing"
	"time"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

// cable is a replica.Network whose streams a test hands over.
type cable struct {
	streams chan end
	closed  chan struct{}
}

type end struct {
	conn io.ReadWriteCloser
	peer encryption.Peer
}

func newCable() *cable { return &cable{streams: make(chan end), closed: make(chan struct{})} }

func (c *cable) Accept(ctx context.Context) (io.ReadWriteCloser, encryption.Peer, error) {
	select {
	case e := <-c.streams:
		return e.conn, e.peer, nil
	case <-ctx.Done():
		return nil, encryption.Peer{}, ctx.Err()
	case <-c.closed:
		return nil, encryption.Peer{}, net.ErrClosed
	}
}

func (c *cable) Close() error { close(c.closed); return nil }

// device is a replica on a store that a test can spoil.
type device struct {
	*replica.Replica
	home  string // of its identity; "" where nobody asks
	id    *encryption.Identity
	cable *cable
	store *faulty
}

func open(t *testing.T, id *encryption.Identity) *device {
	t.Helper()
	return openOn(t, id, newFaulty(store.NewMemory()))
}

func openOn(t *testing.T, id *encryption.Identity, s *faulty) *device {
	t.Helper()
	d := &device{id: id, cable: newCable(), store: s}
	r, err := replica.Open(t.TempDir(), &replica.Config{Identity: id, Network: d.cable, Store: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	d.Replica = r
	return d
}

// single returns a device that is alone in its account.
func single(t *testing.T) *device {
	t.Helper()
	home, id := createAt(t)
	d := open(t, id)
	d.home = home
	return d
}

// start is when the accounts of tests begin.
var start = time.UnixMilli(1_700_000_000_000)

func create(t *testing.T) *encryption.Identity {
	t.Helper()
	_, id := createAt(t)
	return id
}

func createAt(t *testing.T) (home string, id *encryption.Identity) {
	t.Helper()
	home = t.TempDir()
	id, _, err := encryption.Create(home, key(), &encryption.CreateOptions{Name: "a", Now: start})
	try(t, err)
	return home, id
}

// try fails the test at an error.
func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func key() encryption.Unlock { return encryption.UnlockKey(make([]byte, 32)) }

// pair returns two devices of one account that are not connected.
func pair(t *testing.T) (a, b *device) {
	t.Helper()
	a = single(t)
	return a, open(t, join(t, a, "b"))
}

// join adds a device to the account of a.
func join(t *testing.T, a *device, name string) *encryption.Identity {
	t.Helper()
	_, id := joinAt(t, a, name)
	return id
}

func joinAt(t *testing.T, a *device, name string) (home string, id *encryption.Identity) {
	t.Helper()
	j, err := encryption.NewJoiner(&encryption.JoinOptions{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	transcript := encryption.Hash{1}
	welcome, err := a.AddDevice(t.Context(), j.Request(transcript))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.OpenWelcome(transcript, welcome); err != nil {
		t.Fatal(err)
	}
	home = t.TempDir()
	id, err = j.Save(home, key())
	try(t, err)
	return home, id
}

// connect joins two devices by a pipe and returns what cuts it.
func connect(a, b *device) (cut func()) {
	x, y := net.Pipe()
	a.cable.streams <- end{x, encryption.Peer{Device: b.id.Device()}}
	b.cable.streams <- end{y, encryption.Peer{Device: a.id.Device(), Outbound: true}}
	return func() { x.Close() }
}

// together waits until two devices have what the other one has. A third one may go on.
func together(t *testing.T, a, b *device) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := errors.Join(a.WaitInSync(ctx, b.id.Device()), b.WaitInSync(ctx, a.id.Device())); err != nil {
		t.Fatal(err)
	}
}

func inSync(t *testing.T, a, b *device) {
	t.Helper()
	together(t, a, b)
	ctx := t.Context()
	sa, errA := a.Status(ctx)
	sb, errB := b.Status(ctx)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if sa.Frontier != sb.Frontier || sa.Fingerprint != sb.Fingerprint || sa.Counts.Faults+sb.Counts.Faults > 0 {
		t.Fatalf("not equal:\n%+v\n%+v", sa, sb)
	}
}

// await reads events until one is wanted, and returns it.
func await(t *testing.T, events iter.Seq[model.Event], wanted func(model.Event) bool) model.Event {
	t.Helper()
	for ev := range events {
		if wanted(ev) {
			return ev
		}
	}
	t.Fatal("the events ended")
	return model.Event{}
}

// Edits made apart, on the same chat, merge: the read mark is the later one,
// and neither the mute nor the archive is lost.
func TestEditsMadeApartMerge(t *testing.T) {
	a, b := pair(t)
	chat := "signal:+4912345"
	try(t, a.Chat(chat).MarkRead(t.Context(), account.Position{Time: 2000, ID: "m2"}))
	try(t, a.Chat(chat).Mute(t.Context(), model.Forever))
	try(t, b.Chat(chat).MarkRead(t.Context(), account.Position{Time: 1000, ID: "m1"}))
	try(t, b.Chat(chat).Archive(t.Context(), nil))
	connect(a, b)
	inSync(t, a, b)
	for _, d := range []*device{a, b} {
		c, err := d.GetChat(t.Context(), chat)
		try(t, err)
		if c.Read == nil || c.Read.ID != "m2" || c.MutedUntil != model.Forever || !c.Archived {
			t.Errorf("chat is %+v", c)
		}
	}
}

// What one device did alone is counted before anybody is in sync with it: the
// other one must not be content with the frontier of the hello.
func TestBacklogIsPartOfBeingInSync(t *testing.T) {
	a, b := pair(t)
	var edits []model.Edit
	for i := range 3000 {
		edits = append(edits, model.Edit{Op: model.ChatMute, ID: "chat:" + string(rune('a'+i%26)) + time.Duration(i).String(), Until: model.Forever})
	}
	if err := a.Apply(t.Context(), edits); err != nil {
		t.Fatal(err)
	}
	connect(a, b)
	inSync(t, a, b)
	chats, err := b.ListChats(t.Context())
	if err != nil || len(chats) != len(edits) {
		t.Fatalf("%d chats arrived of %d: %v", len(chats), len(edits), err)
	}
}

// A live edit arrives over a connection that is already there, as an event,
// and an edit while the connection is cut arrives after the next one.
func TestLiveEditsArriveAsEvents(t *testing.T) {
	a, b := pair(t)
	cut := connect(a, b)
	inSync(t, a, b)
	events := b.Watch(t.Context(), replica.Now)
	if err := a.Settings("account").Set(t.Context(), "theme", "dark"); err != nil {
		t.Fatal(err)
	}
	await(t, events, func(ev model.Event) bool {
		return ev.Kind == "setting" && ev.Entity == "theme" && ev.Device == a.id.Device().String()
	})
	cut()
	if err := b.Settings("account").Set(t.Context(), "theme", "light"); err != nil {
		t.Fatal(err)
	}
	connect(a, b)
	inSync(t, a, b)
	var theme string
	if err := a.Settings("account").Get(t.Context(), "theme", &theme); err != nil || theme != "light" {
		t.Fatalf("theme is %q: %v", theme, err)
	}
	v, err := a.Verify(t.Context())
	if err != nil || !v.OK || v.Documents == 0 || v.Envelopes == 0 || len(v.Peers) == 0 || v.Peers[len(v.Peers)-1].Result != "equal" {
		t.Fatalf("verification is %+v: %v", v, err)
	}
}
