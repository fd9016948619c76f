package core

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// Hosts compare their documents in the scenarios and worlds that ask for it.

// setPrint does what the contract says about the fingerprint.
func (h *host) setPrint() {
	if h.prints {
		h.x.SetPrint(h.fingerprint(), h.backlog())
	}
}

// leaves are the documents of the disk, by id.
func (h *host) leaves() (all []wire.Leaf) {
	for i, d := range h.disk.docs {
		if len(d) == 0 {
			continue
		}
		l := wire.Leaf{ID: documentID(i)}
		places := documents{d}.places()
		l.Hash = sha256.Sum256(packPlaces(places))
		all = append(all, l)
	}
	return all
}

func (h *host) fingerprint() [32]byte {
	sum := sha256.New()
	for _, s := range h.branch(nil).Sums {
		sum.Write(s[:])
	}
	return [32]byte(sum.Sum(nil))
}

// branch answers a Probe: below the root with sums, and else with documents. The
// first bytes of ids are all different here.
func (h *host) branch(prefix []byte) *wire.Probed {
	m := &wire.Probed{Prefix: prefix}
	if len(prefix) == 0 {
		m.Sums = make([][32]byte, wire.Branches)
	}
	for _, l := range h.leaves() {
		switch {
		case len(prefix) == 0:
			m.Sums[l.ID[0]] = l.Hash
		case bytes.HasPrefix(l.ID[:], prefix):
			m.Leaves = append(m.Leaves, l)
		}
	}
	return m
}

// differing keeps what was asked for, where documents were asked for by name.
func differing(asked [][16]byte, places []place) []place {
	if asked == nil {
		return places
	}
	return slices.DeleteFunc(places, func(p place) bool { return !slices.Contains(asked, documentID(documentOf(p))) })
}

func (n *network) treeEffect(e Effect, to func(SessionID) string) string {
	switch e := e.(type) {
	case AnswerProbe:
		return "answer " + to(e.Session) + fmt.Sprintf(" branch %x", e.Prefix)
	case Look:
		return fmt.Sprintf("look at branch %x of ", e.Theirs.Prefix) + to(e.Session)
	case Descended:
		s := "descended with " + to(e.Session) + ":"
		for _, d := range e.Differ {
			s += fmt.Sprintf(" document %d", d.ID[0])
			switch {
			case !d.There:
				s += " (only here)"
			case !d.Here:
				s += " (only there)"
			}
		}
		if e.More {
			s += " and more"
		}
		return s
	}
	return fmt.Sprintf("%T", e)
}

func (n *network) treeMessage(m wire.Message) string {
	switch m := m.(type) {
	case *wire.Print:
		return "print"
	case *wire.Probe:
		return fmt.Sprintf("probe %x", m.Prefix)
	case *wire.Probed:
		if len(m.Sums) > 0 {
			return fmt.Sprintf("sums %x", m.Prefix)
		}
		return fmt.Sprintf("%d leaves %x", len(m.Leaves), m.Prefix)
	}
	return fmt.Sprintf("%T", m)
}

func treeCommands() []command {
	return []command{
		{"prints", "", 0, func(s *scenario, _ []string) error {
			for _, h := range s.hosts {
				h.prints = true
				h.setPrint()
			}
			return nil
		}},
		onHost("spoil", "WRITER:NUMBER", func(s *scenario, h *host, args []string) error { return s.alter(h, args[0], false) }),
		onHost("graft", "WRITER:NUMBER", func(s *scenario, h *host, args []string) error { return s.alter(h, args[0], true) }),
		onHost("descend", "HOST", (*scenario).descend),
		onStream("lie", "print|root|below", (*scenario).lie),
	}
}

// alter changes a document of a host underneath: it has one change less, or one more.
func (s *scenario) alter(h *host, entry string, more bool) error {
	name, seq, _ := strings.Cut(entry, ":")
	author, err := s.host(name)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return err
	}
	p := place{author.author.Writer, n}
	h.disk.docs = h.disk.docs.add(p)
	if !more {
		delete(h.disk.docs[documentOf(p)], p)
	}
	h.setPrint()
	return nil
}

func (s *scenario) descend(h *host, args []string) error {
	to, err := s.host(args[0])
	if err != nil {
		return err
	}
	for id, e := range h.ends {
		if e.peer.host == to {
			h.perform(h.x.Step(Descend{id}))
		}
	}
	return nil
}

// lie sends what somebody may say who wants the other to search for ever.
func (s *scenario) lie(e *end, args []string) error {
	other := make([][32]byte, wire.Branches)
	for i := range other {
		other[i] = [32]byte{0xba, 0xd0, byte(len(e.in))}
	}
	switch args[0] {
	case "print":
		own := e.host.x.print()
		own.Fingerprint[7] ^= byte(1 + len(e.in))
		return s.put(e, &own)
	case "root":
		return s.put(e, &wire.Probed{Sums: other})
	case "below":
		return s.put(e, &wire.Probed{Prefix: []byte{9}, Sums: other})
	}
	return fmt.Errorf("lie how?")
}

// Honest hosts that compare their documents stay as safe as those that do not, and in
// the end all have the same documents, whatever was cut.
func TestWorldsThatCompare(t *testing.T) {
	for seed := range *worlds {
		k, ops := seededWorld(seed)
		k.prints = true
		w := run(k, ops)
		w.sameDocuments()
		if w.safety.broken != "" {
			t.Fatal(w.report(seed))
		}
	}
}

func (w *world) sameDocuments() {
	honest := w.where(func(h *host) bool { return h != w.liar })
	for _, h := range honest {
		if h.fingerprint() != honest[0].fingerprint() {
			w.safety.breach("%s and %s have different documents in the end", honest[0].name, h.name)
		}
	}
}

// met returns an exchange in step with a device whose part the test plays.
func met(t *testing.T) (x *Exchange, s SessionID) {
	t.Helper()
	h := newNetwork().add("a", identity("a", "ab"), "met")
	h.x.SetPrint([32]byte{1}, false)
	h.x.Step(Connected{Session: 1, Device: identity("b", "ab").Device()})
	h.x.Step(Received{1, &wire.Hello{Digest: h.x.Digest()}})
	return h.x, 1
}

// otherPrint is one that x has not seen.
func otherPrint(x *Exchange, n int) *wire.Print {
	p := x.print()
	p.Fingerprint = [8]byte{0xff, byte(n >> 16), byte(n >> 8), byte(n)}
	return &p
}

func sent[M wire.Message](effects []Effect) (all []M) {
	for _, e := range effects {
		if s, ok := e.(Send); ok {
			if m, ok := s.Message.(M); ok {
				all = append(all, m)
			}
		}
	}
	return all
}

// Somebody whose every sum is another one cannot have more asked than the bound, nor
// make the search begin again without end.
func TestEndlessTree(t *testing.T) {
	x, s := met(t)
	total := 0
	for round := range 2 * maxFruitless {
		asked := sent[*wire.Probe](x.Step(Received{s, otherPrint(x, round)}))
		n := 0
		for ; len(asked) > 0; n++ {
			p := asked[0]
			asked = asked[1:]
			theirs, ours := &wire.Probed{Prefix: p.Prefix}, &wire.Probed{Prefix: p.Prefix}
			if len(p.Prefix) < wire.MaxPrefix {
				for i := range wire.Branches {
					theirs.Sums = append(theirs.Sums, [32]byte{1, byte(i), byte(n), byte(round)})
				}
				ours.Sums = make([][32]byte, wire.Branches)
			}
			x.Step(Received{s, theirs})
			asked = append(asked, sent[*wire.Probe](x.Step(Looked{Session: s, Theirs: theirs, Ours: ours}))...)
		}
		if n > maxProbes || len(x.sessions[s].harmony.questions) > 0 || x.sessions[s].harmony.descent != nil {
			t.Fatalf("%d branches were asked for in round %d", n, round)
		}
		total += n
	}
	if total == 0 || total > maxProbes*maxFruitless {
		t.Errorf("%d branches were asked for", total)
	}
}

// Of documents that only the other one says that it has, no more are asked for than
// the bound, in requests of bounded size, and one request at a time.
func TestEndlessDocuments(t *testing.T) {
	x, s := met(t)
	x.Step(Received{s, otherPrint(x, 0)})
	sums := &wire.Probed{Prefix: []byte{}, Sums: make([][32]byte, wire.Branches)}
	other := &wire.Probed{Prefix: []byte{}}
	for i := range wire.Branches {
		other.Sums = append(other.Sums, [32]byte{byte(i), 1})
	}
	asked := sent[*wire.Probe](x.Step(Looked{Session: s, Theirs: other, Ours: sums}))
	var effects []Effect
	for len(asked) > 0 {
		p := asked[0]
		asked = asked[1:]
		theirs := &wire.Probed{Prefix: p.Prefix}
		for i := range wire.MaxLeaves {
			l := wire.Leaf{ID: [16]byte{p.Prefix[0], byte(i >> 8), byte(i)}, Hash: [32]byte{1}}
			theirs.Leaves = append(theirs.Leaves, l)
		}
		x.Step(Received{s, theirs})
		effects = x.Step(Looked{Session: s, Theirs: theirs, Ours: &wire.Probed{Prefix: p.Prefix}})
		asked = append(asked, sent[*wire.Probe](effects)...)
	}
	total := 0
	for wants := sent[*wire.Want](effects); len(wants) > 0; {
		if len(wants) > 1 || len(wants[0].IDs) > atOnceWanted {
			t.Fatalf("%d requests, of %d documents", len(wants), len(wants[0].IDs))
		}
		total += len(wants[0].IDs)
		x.Step(Received{s, &wire.Part{Packed: []byte{1}}})
		wants = sent[*wire.Want](x.Step(Absorbed{Session: s, Differ: true}))
	}
	if most := maxDiffering + atOnceProbes*wire.MaxLeaves; total == 0 || total > most {
		t.Errorf("%d documents were asked for, at most %d", total, most)
	}
}

// Answers that nobody asked for, or to another question, end the stream, and so does
// a device that asks without end.
func TestTreeOutOfTurn(t *testing.T) {
	dropped := func(effects []Effect) bool {
		return slices.ContainsFunc(effects, func(e Effect) bool { _, is := e.(Disconnect); return is })
	}
	x, s := met(t)
	if !dropped(x.Step(Received{s, &wire.Probed{Prefix: []byte{}}})) {
		t.Error("an answer without a question is accepted")
	}
	x, s = met(t)
	x.Step(Received{s, otherPrint(x, 1)})
	if !dropped(x.Step(Received{s, &wire.Probed{Prefix: []byte{1}}})) {
		t.Error("an answer to another question is accepted")
	}
	x, s = met(t)
	for n := range maxServed {
		if dropped(x.Step(Received{s, &wire.Probe{}})) {
			t.Fatalf("question %d ends the stream", n)
		}
	}
	if !dropped(x.Step(Received{s, &wire.Probe{}})) {
		t.Error("questions without end are answered")
	}
}

// A comparison that is asked for while documents are searched waits for the end of
// that, and only so many wait.
func TestComparisonWaitsForDescent(t *testing.T) {
	x, s := met(t)
	x.Step(Received{s, otherPrint(x, 1)})
	answers := func(effects []Effect) (n int) {
		for _, e := range effects {
			if _, is := e.(AnswerCompare); is {
				n++
			}
		}
		return n
	}
	for n := range maxQuestions {
		if answers(x.Step(Received{s, &wire.Compare{Nonce: [8]byte{byte(n)}}})) > 0 {
			t.Fatal("answered before the end")
		}
	}
	if answers(x.Step(Received{s, &wire.Compare{}})) != 1 {
		t.Error("questions are hoarded")
	}
	root := &wire.Probed{Prefix: []byte{}, Sums: make([][32]byte, wire.Branches)}
	x.Step(Received{s, root})
	if n := answers(x.Step(Looked{Session: s, Theirs: root, Ours: root})); n != maxQuestions {
		t.Errorf("%d questions are answered in the end", n)
	}
}

// What two lists of documents differ in.
func TestDifferences(t *testing.T) {
	leaf := func(id, hash byte) wire.Leaf { return wire.Leaf{ID: [16]byte{id}, Hash: [32]byte{hash}} }
	got := differences([]wire.Leaf{leaf(1, 1), leaf(2, 1), leaf(3, 1), leaf(9, 1)}, []wire.Leaf{leaf(0, 1), leaf(2, 1), leaf(3, 2)})
	want := []Difference{
		{ID: [16]byte{0}, There: true}, {ID: [16]byte{1}, Here: true}, {ID: [16]byte{3}, Here: true, There: true}, {ID: [16]byte{9}, Here: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("they differ in %v, want %v", got, want)
	}
}

// One of two devices sends its print unasked.
func TestOneBegins(t *testing.T) {
	a, b := encryption.DeviceID{1}, encryption.DeviceID{2}
	if begins(a, b) == begins(b, a) {
		t.Error("both or none begin")
	}
}
