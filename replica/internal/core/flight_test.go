package core

import (
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/encryption"
)

// What two that have met tell each other when one writer has gone on does not grow with
// the number of writers.
func TestMeetingAgainIsFlat(t *testing.T) {
	meet := func(writers int) (there, back int) {
		n := newNetwork()
		a, b := n.add("a", identity("a", "ab"), "flat"), n.add("b", identity("b", "ab"), "flat")
		s := &scenario{network: n, auto: true}
		chains := map[encryption.WriterID]encryption.Chain{}
		for i := range writers { // of which all was dropped
			var w encryption.WriterID
			binary.BigEndian.PutUint32(w[:], uint32(i+1))
			chains[w] = encryption.Chain{Device: a.id.Device(), Seq: 1000, Head: encryption.Hash{byte(i)}}
		}
		for _, h := range n.hosts {
			h.disk.chains, h.disk.base = chains, chains
			h.open()
		}
		talk := func() (x, y *end) {
			x, y = n.connect(a, b)
			if err := s.settle(nil); err != nil {
				t.Fatal(err)
			}
			return x, y
		}
		x, y := talk()
		a.edits++ // its envelope names all that it has seen
		s.work()
		if err := s.settle(nil); err != nil {
			t.Fatal(err)
		}
		a.hangUp(x)
		b.hangUp(y)
		a.sealAlone()
		x, y = talk()
		if a.x.Digest() != b.x.Digest() || a.x.Seq(a.author.Writer) != 2 {
			t.Fatal("not equal")
		}
		return x.bytes, y.bytes
	}
	there, back := meet(2)
	for _, writers := range []int{32, 512, 4000} {
		if more, less := meet(writers); more != there || less != back {
			t.Errorf("with %d writers %d bytes there and %d back, with two %d and %d", writers, more, less, there, back)
		}
	}
	t.Logf("one envelope with the hello: %d bytes there, %d back", there, back)
	if there > 44+32+3+55+2+259 || back > 44+22 {
		t.Errorf("%d bytes there and %d back", there, back)
	}
}

// sealAlone seals an edit as if somebody were there.
func (h *host) sealAlone() {
	g := h.disk
	g.log, g.chains = slices.Clone(g.log), maps.Clone(g.chains)
	a, err := h.x.Seal(h.random, batch(g.edits+1, g.edits+1, 0))
	if err != nil {
		panic(err)
	}
	g.edits, g.sealed = g.edits+1, g.sealed+1
	h.keep(&g, a, "seal")
	g.announced, h.group = h.x.Announced(), &g
	h.commit()
}

// Whatever the logs, the order that Foremost gives is causal.
func TestForemostIsCausal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logs := make([][]Head, rapid.IntRange(1, 5).Draw(t, "writers"))
		for arrival := range uint64(rapid.IntRange(1, 40).Draw(t, "envelopes")) {
			i := rapid.IntRange(0, len(logs)-1).Draw(t, "writer")
			h := Head{Writer: encryption.WriterID{byte(i)}, Seq: uint64(len(logs[i]) + 1), Arrival: arrival}
			for j := range logs {
				if n := len(logs[j]); j != i && n > 0 && rapid.Bool().Draw(t, "depends") {
					h.Deps = append(h.Deps, encryption.Dep{Writer: encryption.WriterID{byte(j)}, Seq: uint64(rapid.IntRange(1, n).Draw(t, "on"))})
				}
			}
			logs[i] = append(logs[i], h)
		}
		sent := map[encryption.WriterID]uint64{}
		for {
			var heads []Head
			for i := range logs {
				if n := sent[encryption.WriterID{byte(i)}]; int(n) < len(logs[i]) {
					heads = append(heads, logs[i][n])
				}
			}
			if len(heads) == 0 {
				return
			}
			h := heads[Foremost(heads)]
			for _, d := range h.Deps {
				if sent[d.Writer] < d.Seq {
					t.Fatalf("%+v goes before what it depends on", h)
				}
			}
			sent[h.Writer] = h.Seq
		}
	})
}

// What was done lately does not wait behind a long history of another writer, unless it
// rests on that.
func TestForemostIsRecent(t *testing.T) {
	a, b := encryption.WriterID{1}, encryption.WriterID{2}
	old := Head{Writer: a, Seq: 1, Arrival: 1}
	for _, c := range []struct {
		what string
		deps []encryption.Dep
		want int
	}{
		{"rests on nothing", nil, 1},
		{"rests on what is there", []encryption.Dep{{Writer: encryption.WriterID{3}, Seq: 9}}, 1},
		{"rests on the history", []encryption.Dep{{Writer: a, Seq: 500}}, 0},
	} {
		if got := Foremost([]Head{old, {Writer: b, Seq: 1, Arrival: 900, Deps: c.deps}}); got != c.want {
			t.Errorf("%s: head %d goes first", c.what, got)
		}
	}
}
