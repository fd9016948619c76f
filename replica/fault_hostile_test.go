package replica_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/automerge/automerge-go"
	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/internal/wire"
)

var (
	hostileRounds = flag.Int("hostile-rounds", 2, "rounds of every attack of TestHostileMember")
	hostileSeed   = flag.Uint64("hostile-seed", 1, "seed of TestHostileMember")
)

// attacks are what a member with valid keys does to the streams of two others.
var attacks = []struct {
	name string
	do   func(h *hostile)
}{
	{"batches of noise", func(h *hostile) { h.envelopes(h.batch(h.noise(1 + h.random.IntN(5000)))) }},
	{"foreign changes", func(h *hostile) { h.envelopes(h.batch(h.foreign())) }},
	{"altered changes with right checksums", func(h *hostile) { h.envelopes(h.batch(h.altered())) }},
	{"forks", (*hostile).fork},
	{"gaps", func(h *hostile) { h.envelopes(func(int) []byte { return h.seal(h.newWriter(), 3, h.foreign(), nil) }) }},
	{"altered envelopes", func(h *hostile) { h.envelopes(h.alteredEnvelope) }},
	{"100 MB that wait for what never comes", (*hostile).flood},
	{"frames of endless length", func(h *hostile) { h.both(func(s *stream) { s.raw(make65(0xff)) }) }},
	{"half a frame and silence", (*hostile).half},
	{"a stream that is not read", func(h *hostile) { h.both(func(s *stream) { s.keep = true }) }},
	{"a hundred streams with a hello each", (*hostile).hellos},
}

func make65(b byte) []byte {
	out := make([]byte, 65)
	for i := range out {
		out[i] = b
	}
	return out
}

// hostile is a member, and its victims.
type hostile struct {
	t       *testing.T
	random  *rand.Rand
	id      *encryption.Identity
	victims [2]*device
	streams []*stream
	work    sync.WaitGroup
	sent    int // envelopes
	bytes   int
}

// TestHostileMember lets a linked device attack two honest ones over real
// streams, in every way of the list. Both go on: what is edited on either
// meanwhile is soon on the other, both show the same, and verify. They blame
// nobody but the device that it was. More, with figures:
//
//	go test ./replica -run '^TestHostileMember$' -v -hostile-rounds 50 -timeout 0
func TestHostileMember(t *testing.T) {
	a, b := pair(t)
	id := join(t, a, "hostile")
	try(t, b.AdmitMembers(t.Context(), a.id.Ops()))
	h := &hostile{t: t, random: rand.New(rand.NewPCG(*hostileSeed, 0)), id: id, victims: [2]*device{a, b}}
	ctx, cancel := context.WithCancel(t.Context())
	blamed, parted := map[string]int{}, 0
	var watching sync.WaitGroup
	var mu sync.Mutex
	for i, d := range h.victims {
		events := d.Watch(ctx, replica.Now)
		watching.Go(func() {
			for ev := range events {
				if ev.Kind == "fault" {
					mu.Lock()
					blamed[ev.Device]++
					mu.Unlock()
				}
				if i == 0 && ev.Note == "disconnected" && ev.Device == b.id.Device().String() && ctx.Err() == nil {
					parted++
					connect(a, b) // as the network does, when an attack has parted them
				}
			}
		})
	}
	connect(a, b)
	for round := range *hostileRounds {
		for i, attack := range attacks {
			attack.do(h)
			h.honest(attack.name, round*len(attacks)+i)
			h.hangUp()
		}
	}
	for _, d := range h.victims {
		verified(t, d.Replica)
	}
	cancel()
	watching.Wait()
	name := id.Device().String()
	t.Logf("seed %d: %d rounds of %d attacks, %d envelopes, %d MB: 0 aborts; %d faults name the device, %d nobody; the honest were parted %d times",
		*hostileSeed, *hostileRounds, len(attacks), h.sent, h.bytes>>20, blamed[name], blamed[""], parted)
	for _, d := range h.victims {
		if n := blamed[d.id.Device().String()]; n > 0 {
			t.Errorf("%d times an honest device is blamed", n)
		}
	}
	if blamed[name] == 0 {
		t.Error("nobody has said who it was")
	}
}

// honest edits on both victims, which must become equal.
func (h *hostile) honest(attack string, n int) {
	h.t.Helper()
	a, b := h.victims[0], h.victims[1]
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	for i, d := range h.victims {
		try(h.t, d.Apply(ctx, []model.Edit{unread(fmt.Sprint("honest ", n, " of ", i))}))
	}
	if err := errors.Join(a.WaitInSync(ctx, b.id.Device()), b.WaitInSync(ctx, a.id.Device())); err != nil {
		h.t.Fatalf("seed %d, %s: the honest devices do not become equal: %v", *hostileSeed, attack, err)
	}
	if got, want := stateOf(h.t, b.Replica), stateOf(h.t, a.Replica); got != want {
		h.t.Errorf("seed %d, %s: the honest devices show\n%.500s\n%.500s", *hostileSeed, attack, want, got)
	}
	for i := range h.victims {
		for _, d := range h.victims {
			if _, err := d.GetChat(ctx, fmt.Sprint("honest ", n, " of ", i)); err != nil {
				h.t.Errorf("seed %d, %s: an edit is missing: %v", *hostileSeed, attack, err)
			}
		}
	}
}

// stream is one from the hostile device to a victim.
type stream struct {
	h    *hostile
	conn net.Conn
	keep bool // and do not read
}

// open begins a stream to a victim, who is told that there is news.
func (h *hostile) open(victim int) *stream {
	h.t.Helper()
	x, y := net.Pipe()
	h.victims[victim].cable.streams <- end{x, encryption.Peer{Device: h.id.Device()}}
	s := &stream{h: h, conn: y}
	h.streams = append(h.streams, s)
	return s
}

// both does the same on a stream to each victim.
func (h *hostile) both(do func(s *stream)) {
	h.t.Helper()
	for i := range h.victims {
		s := h.open(i)
		if do(s); !s.keep {
			s.drain()
		}
	}
}

// drain reads, as an honest device would, and throws away.
func (s *stream) drain() {
	s.h.work.Go(func() { _, _ = io.Copy(io.Discard, bufio.NewReader(s.conn)) })
}

// raw writes what the victim may refuse to read.
func (s *stream) raw(b []byte) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	n, _ := s.conn.Write(b)
	s.h.bytes += n
}

func (s *stream) send(m wire.Message) {
	frame, err := wire.AppendFrame(nil, m)
	try(s.h.t, err)
	s.raw(frame)
}

// greet says hello, and that this device holds nothing.
func (s *stream) greet() {
	s.drain()
	s.send(&wire.Hello{Instance: [8]byte{byte(s.h.random.Uint32())}, Digest: [32]byte{byte(s.h.random.Uint32())}})
	s.send(&wire.Frontier{})
}

// hangUp ends all streams.
func (h *hostile) hangUp() {
	for _, s := range h.streams {
		s.conn.Close()
	}
	h.work.Wait()
	h.streams = nil
}

// envelopes sends each victim some that are made anew, on a stream of its own.
func (h *hostile) envelopes(next func(victim int) []byte) {
	h.t.Helper()
	for i := range h.victims {
		for range 3 {
			s := h.open(i)
			s.greet()
			s.envelope(next(i))
		}
	}
}

func (s *stream) envelope(raw []byte) {
	s.h.sent++
	s.send(&wire.Envelope{Raw: raw})
}

// writer is one that this device has just made up.
type writer struct {
	nonce [16]byte
	id    encryption.WriterID
}

func (h *hostile) newWriter() writer {
	var w writer
	for i := range w.nonce {
		w.nonce[i] = byte(h.random.Uint32())
	}
	w.id = encryption.WriterFor(h.id.Device(), w.nonce)
	return w
}

// seal makes a valid envelope of whatever.
func (h *hostile) seal(w writer, seq uint64, batch []byte, deps []encryption.Dep) []byte {
	h.t.Helper()
	c := &encryption.Content{Writer: w.id, Seq: seq, Nonce: w.nonce, Batch: batch, Deps: deps}
	if seq > 1 {
		c.Previous = encryption.Hash{byte(seq)}
	}
	raw, _, err := h.id.SealEnvelope(nil, c, encryption.Hash{})
	try(h.t, err)
	return raw
}

// batch returns what makes an envelope of these bytes, of a new writer.
func (h *hostile) batch(b []byte) func(int) []byte {
	return func(int) []byte { return h.seal(h.newWriter(), 1, b, nil) }
}

func (h *hostile) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(h.random.Uint32())
	}
	return b
}

// change makes a change of Automerge that no replica would make.
func (h *hostile) change() []byte {
	h.t.Helper()
	doc := automerge.New()
	for range 1 + h.random.IntN(20) {
		try(h.t, doc.Path(fmt.Sprint("key ", h.random.IntN(9))).Set(fmt.Sprintf("%x", h.noise(h.random.IntN(40)))))
	}
	hash, err := doc.Commit("")
	try(h.t, err)
	c, err := doc.Change(hash)
	try(h.t, err)
	return c.Save()
}

// plain is the codec of a batch that is not compressed.
const plain = 1

// packed is a batch with one change of a chat.
func (h *hostile) packed(change []byte) []byte {
	h.t.Helper()
	b, err := cbor.Marshal(&wire.Batch{
		Docs:    []wire.Document{{Kind: uint8(1 + h.random.IntN(5)), Entity: "honest 0 of 0"}},
		Changes: []wire.BatchChange{{Raw: change}},
	})
	try(h.t, err)
	return append([]byte{plain}, b...)
}

func (h *hostile) foreign() []byte { return h.packed(h.change()) }

// altered changes bytes of a change and makes its checksum right again. It
// stands behind the magic number, and is of all that follows it.
func (h *hostile) altered() []byte {
	c := h.change()
	const checksum, body = 4, 8
	for range 1 + h.random.IntN(4) {
		c[body+h.random.IntN(len(c)-body)] = byte(h.random.Uint32())
	}
	sum := sha256.Sum256(c[body:])
	copy(c[checksum:body], sum[:])
	return h.packed(c)
}

func (h *hostile) alteredEnvelope(int) []byte {
	raw := h.seal(h.newWriter(), 1, h.foreign(), nil)
	raw[h.random.IntN(len(raw))] ^= byte(1 + h.random.IntN(255))
	return raw
}

// fork gives each victim another envelope under the same number. The first are
// empty, so that nothing else is wrong with them.
func (h *hostile) fork() {
	h.t.Helper()
	w := h.newWriter()
	for i := range h.victims {
		s := h.open(i)
		s.greet()
		s.envelope(h.seal(w, 1, nil, nil)) // sealed anew, with another nonce
	}
}

// flood sends a hundred megabytes that cannot be applied, nor refused yet.
func (h *hostile) flood() {
	h.t.Helper()
	never := []encryption.Dep{{Writer: encryption.WriterID{0xff}, Seq: 1, Head: encryption.Hash{1}}}
	raw := h.seal(h.newWriter(), 1, h.noise(700<<10), never)
	other := h.seal(h.newWriter(), 1, h.noise(700<<10), never)
	h.both(func(s *stream) {
		s.greet()
		s.keep = true // it is drained already
		for i := range (50 << 20) / len(raw) {
			s.envelope([][]byte{raw, other}[i%2])
		}
	})
}

// half announces a frame and sends a part of it.
func (h *hostile) half() {
	h.t.Helper()
	frame, err := wire.AppendFrame(nil, &wire.Envelope{Raw: h.seal(h.newWriter(), 1, h.foreign(), nil)})
	try(h.t, err)
	h.both(func(s *stream) {
		s.greet()
		s.keep = true
		s.raw(frame[:1+h.random.IntN(len(frame)-1)])
	})
}

func (h *hostile) hellos() {
	h.t.Helper()
	for range 50 {
		h.both(func(s *stream) {
			s.greet()
			s.keep = true
			s.conn.Close()
		})
	}
}
