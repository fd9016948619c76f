package replica_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

// puppet is the other end of a stream, which a test plays.
type puppet struct {
	conn net.Conn
	read *wire.Reader
}

// meet connects a device to a puppet that says that it holds the same.
func meet(t *testing.T, d *device, as encryption.DeviceID) *puppet {
	t.Helper()
	x, y := net.Pipe()
	t.Cleanup(func() { y.Close() })
	d.cable.streams <- end{x, encryption.Peer{Device: as}}
	p := &puppet{y, wire.NewReader(bufio.NewReader(y))}
	hello, ok := p.next(t).(*wire.Hello)
	if !ok {
		t.Fatal("the first message is no hello")
	}
	p.send(t, &wire.Hello{Instance: [8]byte{9}, Digest: hello.Digest})
	try(t, d.WaitInSync(t.Context(), as))
	return p
}

// next returns the next message that is no print, which a device may send first and a
// puppet does not answer.
func (p *puppet) next(t *testing.T) wire.Message {
	t.Helper()
	for {
		m, err := p.read.Read()
		try(t, err)
		if _, is := m.(*wire.Print); !is {
			return m
		}
	}
}

func (p *puppet) send(t *testing.T, m wire.Message) {
	t.Helper()
	raw, err := wire.AppendFrame(nil, m)
	try(t, err)
	_, err = p.conn.Write(raw)
	try(t, err)
}

// answer reads the question for the fingerprint and returns how an equal
// device answers.
func (p *puppet) answer(t *testing.T, d *device) *wire.Compared {
	t.Helper()
	c, ok := p.next(t).(*wire.Compare)
	if !ok {
		t.Fatal("not asked for a fingerprint")
	}
	p.send(t, &wire.Compare{Nonce: [8]byte{1}})
	own, ok := p.next(t).(*wire.Compared)
	if !ok || own.Nonce != [8]byte{1} {
		t.Fatalf("the question for the fingerprint is answered by %+v", own)
	}
	own.Nonce = c.Nonce
	return own
}

// What a connected device says of its fingerprint is in the result.
func TestVerifyComparesDevices(t *testing.T) {
	a, b := pair(t)
	try(t, a.Apply(t.Context(), []model.Edit{unread("c")}))
	other := b.id.Device()
	cases := map[string]struct {
		spoil  func(*wire.Compared)
		result string
		ok     bool
	}{
		"same":              {func(*wire.Compared) {}, "equal", true},
		"other fingerprint": {func(c *wire.Compared) { c.Fingerprint[31] ^= 1 }, "different", false},
		"other frontier":    {func(c *wire.Compared) { c.Digest[0] ^= 1; c.Fingerprint[0] ^= 1 }, "not comparable", true},
	}
	// The change is sealed once somebody is there, so that all meet the same frontier.
	connect(a, b)
	inSync(t, a, b)
	events := a.Watch(t.Context(), replica.Now)
	try(t, b.Close())
	await(t, events, func(ev model.Event) bool { return ev.Note == "disconnected" })
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := meet(t, a, other)
			ends := a.Watch(t.Context(), replica.Now)
			done := make(chan model.Verification, 1)
			go func() {
				v, err := a.Verify(t.Context())
				if err != nil {
					t.Error(err)
				}
				done <- v
			}()
			reply := p.answer(t, a)
			c.spoil(reply)
			p.send(t, &wire.Compared{Nonce: [8]byte{7}}) // of no question
			p.send(t, reply)
			p.send(t, reply)             // once too often
			if c.result == "different" { // it does not say in what
				if m, asked := p.next(t).(*wire.Probe); !asked || len(m.Prefix) > 0 {
					t.Errorf("asked for %+v", m)
				}
				p.conn.Close()
			}
			want := []model.PeerVerification{{Device: other.String(), Result: c.result}}
			if v := <-done; v.OK != c.ok || !reflect.DeepEqual(v.Peers, want) {
				t.Errorf("verification is %+v, want %+v", v, want)
			}
			p.conn.Close()
			await(t, ends, func(ev model.Event) bool { return ev.Note == "disconnected" })
		})
	}
}

// Nobody is remembered whose context has ended, and a device that leaves
// without an answer is not waited for.
func TestCallersWhoLeaveAreForgotten(t *testing.T) {
	a, b := pair(t)
	p := meet(t, a, b.id.Device())
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { _, err := a.Verify(ctx); ended <- err }()
		go func() { ended <- a.WaitInSync(ctx, encryption.DeviceID{1}) }()
		p.next(t) // the question
		cancel()
		for range 2 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the call ended with %v", err)
			}
		}
	}
	if waiters, comparisons, err := a.Waiting(t.Context()); waiters+comparisons > 0 || err != nil {
		t.Errorf("%d waiters and %d comparisons are left, %v", waiters, comparisons, err)
	}
	done := make(chan model.Verification, 1)
	go func() {
		v, err := a.Verify(t.Context())
		if err != nil {
			t.Error(err)
		}
		done <- v
	}()
	p.next(t)
	try(t, p.conn.Close())
	if v := <-done; len(v.Peers) != 0 || !v.OK {
		t.Errorf("verification is %+v", v)
	}
}

// Verify ends with its context also while it reads the store.
func TestVerifyEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newFaulty(store.NewMemory())
	s.scanned = func(table store.Table) {
		if table == tableDocs {
			cancel()
		}
	}
	d := openOn(t, create(t), s)
	try(t, d.Apply(t.Context(), []model.Edit{unread("a"), unread("b"), unread("c")}))
	v, err := d.Verify(ctx)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "verify") || v.Documents != 1 {
		t.Errorf("verify ended with %v after %d documents", err, v.Documents)
	}
}

// What was changed behind the replica's back, in records that are well-formed
// and authentic, is found and named.
func TestVerifyNamesTheEntity(t *testing.T) {
	one, two := preparedMemory(t)
	cases := map[string]struct {
		spoil func(b *store.Batch)
		want  string
	}{
		"another document's content": {func(b *store.Batch) { b.Put(tableDocs, one.key, two.doc) }, "chat two: stored under the id of another document"},
		"no document":                {func(b *store.Batch) { b.Delete(tableDocs, one.key) }, "chat one: its document " + one.id + " is missing"},
		"another index entry":        {func(b *store.Batch) { b.Put(tableIndex, []byte("\x01one"), two.index) }, "chat one: the index entry does not match"},
		"no index entry":             {func(b *store.Batch) { b.Delete(tableIndex, []byte("\x01one")) }, "chat one: index entry: store: no such record"},
		"an entry of nothing":        {func(b *store.Batch) { b.Put(tableIndex, []byte("\x01three"), two.index) }, "chat three: its document"},
		"another fingerprint":        {func(b *store.Batch) { b.Delete(tableDocs, one.key) }, "fingerprint: it does not match the documents"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := openOn(t, one.device, newFaulty(one.store.Snapshot()))
			verified(t, d.Replica)
			b := &store.Batch{}
			c.spoil(b)
			try(t, d.store.Store.Commit(b))
			v, err := d.Verify(t.Context())
			if err != nil || v.OK || !strings.Contains(strings.Join(v.Problems, "\n"), c.want) {
				t.Errorf("verification is %+v, %v, want %q", v, err, c.want)
			}
		})
	}
}

// chatRecords are what a store has of one chat.
type chatRecords struct {
	device          *encryption.Identity
	store           *store.Memory
	id              string
	key, doc, index []byte
}

func preparedMemory(t *testing.T) (one, two chatRecords) {
	t.Helper()
	d := single(t)
	try(t, d.Apply(t.Context(), []model.Edit{unread("one"), {Op: model.ChatMute, ID: "two", Until: model.Forever}}))
	try(t, d.Close())
	records := func(id string) chatRecords {
		ref := account.Ref{Kind: account.KindChat, Entity: id}.ID([32]byte(d.id.Account()))
		r := chatRecords{device: d.id, store: d.store.left, id: ref.String(), key: ref[:]}
		var errDoc, errIndex error
		r.doc, errDoc = r.store.Get(tableDocs, r.key)
		r.index, errIndex = r.store.Get(tableIndex, []byte("\x01"+id))
		try(t, errors.Join(errDoc, errIndex))
		return r
	}
	return records("one"), records("two")
}

// What a device wrote before it was removed is verified as before, and a
// damaged document that it had a part in is made anew.
func TestVerifyAfterRemoval(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	try(t, b.Chat("c").Mute(ctx, model.Forever))
	connect(a, b)
	inSync(t, a, b)
	try(t, b.Close())
	_, err := a.RemoveDevice(ctx, b.id.Device())
	try(t, err)
	verified(t, a.Replica)
	a = reopen(t, a)
	verified(t, a.Replica)
	spoil(t, a, tableDocs)
	try(t, a.Chat("c").MarkUnread(ctx))
	c, err := a.GetChat(ctx, "c")
	if err != nil || c.MutedUntil != model.Forever || !c.MarkedUnread {
		t.Errorf("chat is %+v, %v", c, err)
	}
	verified(t, a.Replica)
}
