package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// frameOf returns the frame of a message within the limits.
func frameOf(t testing.TB, m Message) []byte {
	t.Helper()
	raw, err := AppendFrame(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// rawFrame returns a frame of any type and body, below 2 MiB.
func rawFrame(t Type, body []byte) []byte {
	n := len(body) + 1
	head := []byte{byte(n)}
	switch {
	case n >= 1<<14:
		head = []byte{byte(n) | 0x80, byte(n>>7) | 0x80, byte(n >> 14)}
	case n >= 1<<7:
		head = []byte{byte(n) | 0x80, byte(n >> 7)}
	}
	return append(append(head, byte(t)), body...)
}

// readOne reads a stream that should hold one frame. A nil error means that
// it did, and nothing else.
func readOne(raw []byte) (Message, error) {
	r := NewReader(bytes.NewReader(raw))
	m, err := r.Read()
	if err != nil {
		return nil, err
	}
	if _, err := r.Read(); err != io.EOF {
		return nil, errors.New("there is more behind the frame")
	}
	return m, nil
}

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// unhex reads hexadecimal digits that spaces may part.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// writer returns the id of the n-th writer, ascending with n.
func writer(n int) [16]byte {
	return [16]byte{byte(n >> 16), byte(n >> 8), byte(n), 0xaa}
}

// types are all that there are.
func types() []Type {
	var all []Type
	for t := TypeHello; t <= TypeLocked; t++ {
		all = append(all, t)
	}
	return all
}

func resumeOf(n int) *Resume {
	return &Resume{Members: make([]byte, 32), Entries: frontierOf(n).Entries}
}

// frontierOf and ackOf have n entries of the largest size.
func frontierOf(n int) *Frontier {
	m := &Frontier{Entries: []Entry{}}
	for i := range n {
		m.Entries = append(m.Entries, Entry{Writer: writer(i), Seq: 1<<64 - 1})
	}
	return m
}

func offerOf(n int) *Offer {
	m := &Offer{Chains: []Chain{}}
	for i := range n {
		m.Chains = append(m.Chains, Chain{Writer: writer(i), Seq: 1<<64 - 1})
	}
	return m
}

func neighboursOf(n int) *Neighbours {
	m := &Neighbours{Devices: [][16]byte{}}
	for i := range n {
		m.Devices = append(m.Devices, writer(i))
	}
	return m
}

func wantOf(n int) *Want {
	m := &Want{IDs: [][16]byte{}}
	for i := range n {
		m.IDs = append(m.IDs, writer(i))
	}
	return m
}

func ackOf(n int) *Ack {
	m := &Ack{Entries: []Acked{}}
	for i := range n {
		m.Entries = append(m.Entries, Acked{Writer: writer(i), Seq: 1<<64 - 1})
	}
	return m
}

// smallAckOf has entries of the smallest size, so that more of them than are
// allowed fit into a frame.
func smallAckOf(n int) *Ack {
	m := ackOf(n)
	for i := range m.Entries {
		m.Entries[i].Seq = 1
	}
	return m
}

func membersOf(n, size int) *Members {
	return &Members{Ops: slices.Repeat([][]byte{bytes.Repeat([]byte{7}, size)}, n)}
}

func epochsOf(n, size int) *Epochs {
	return &Epochs{Records: slices.Repeat([][]byte{bytes.Repeat([]byte{7}, size)}, n)}
}

// batchOf has n changes of size bytes to one document.
func batchOf(n, size int) *Batch {
	return &Batch{
		Docs:    []Document{{Kind: 1, Entity: "chat"}},
		Changes: slices.Repeat([]BatchChange{{Raw: bytes.Repeat([]byte{7}, size)}}, n),
	}
}

func drawArray[A ~[16]byte | ~[32]byte | ~[8]byte](t *rapid.T, label string) (a A) {
	for i, b := range rapid.SliceOfN(rapid.Byte(), len(a), len(a)).Draw(t, label) {
		switch p := any(&a).(type) {
		case *[8]byte:
			p[i] = b
		case *[16]byte:
			p[i] = b
		case *[32]byte:
			p[i] = b
		}
	}
	return a
}

// drawWriters draws some writers, ascending.
func drawWriters(t *rapid.T) [][16]byte {
	var all [][16]byte
	for range rapid.IntRange(0, 40).Draw(t, "writers") {
		all = append(all, drawArray[[16]byte](t, "writer"))
	}
	slices.SortFunc(all, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(all)
}

func drawMessage(t *rapid.T) Message {
	seq := rapid.Uint64Min(1)
	typ := rapid.SampledFrom(types()).Draw(t, "type")
	switch typ {
	case TypeHello:
		return &Hello{
			Instance: drawArray[[8]byte](t, "instance"), Digest: drawArray[[32]byte](t, "digest"),
			Backlog: rapid.Bool().Draw(t, "backlog"),
		}
	case TypeFrontier:
		m := &Frontier{Members: drawArray[[32]byte](t, "members"), Entries: []Entry{}}
		for _, w := range drawWriters(t) {
			m.Entries = append(m.Entries, Entry{Writer: w, Seq: seq.Draw(t, "seq"), Head: drawArray[[32]byte](t, "head")})
		}
		return m
	case TypeResume:
		m := &Resume{Base: drawArray[[32]byte](t, "base"), Members: []byte{}, Entries: []Entry{}}
		m.Instance, m.Digest, m.Backlog = drawArray[[8]byte](t, "instance"), drawArray[[32]byte](t, "digest"), rapid.Bool().Draw(t, "backlog")
		if rapid.Bool().Draw(t, "other members") {
			m.Members = rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "members")
		}
		for _, w := range drawWriters(t) {
			m.Entries = append(m.Entries, Entry{Writer: w, Seq: seq.Draw(t, "seq"), Head: drawArray[[32]byte](t, "head")})
		}
		return m
	case TypeEpochs:
		return &Epochs{Records: rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 3000), 0, 16).Draw(t, "records")}
	case TypeMembers:
		return &Members{Ops: rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 300), 0, 9).Draw(t, "ops")}
	case TypeEnvelope:
		return &Envelope{Raw: rapid.SliceOfN(rapid.Byte(), 1, 2000).Draw(t, "raw")}
	case TypeAck:
		m := &Ack{Entries: []Acked{}}
		for _, w := range drawWriters(t) {
			m.Entries = append(m.Entries, Acked{Writer: w, Seq: seq.Draw(t, "seq")})
		}
		return m
	case TypeOffer:
		m := &Offer{Chains: []Chain{}}
		for _, w := range drawWriters(t) {
			m.Chains = append(m.Chains, Chain{
				Writer: w, Seq: seq.Draw(t, "seq"), Head: drawArray[[32]byte](t, "head"),
				Device: drawArray[[16]byte](t, "device"), Members: drawArray[[32]byte](t, "members"),
			})
		}
		return m
	case TypeWant:
		if ids := drawWriters(t); len(ids) > 0 {
			return &Want{IDs: ids}
		}
		return &Want{After: drawArray[[16]byte](t, "after"), IDs: [][16]byte{}}
	case TypeNeighbours:
		return &Neighbours{Devices: append([][16]byte{}, drawWriters(t)...)}
	case TypePart:
		return &Part{More: rapid.Bool().Draw(t, "more"), Last: drawArray[[16]byte](t, "last"), Packed: rapid.SliceOfN(rapid.Byte(), 1, 2000).Draw(t, "packed")}
	case TypeDecline, TypeLocked, TypeCompare:
		return drawShort(t, typ)
	case TypePrint:
		return &Print{Digest: [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "digest")), Fingerprint: drawArray[[8]byte](t, "fingerprint")}
	case TypeProbe:
		return &Probe{Prefix: drawPrefix(t, MaxPrefix)}
	case TypeProbed:
		return drawProbed(t)
	}
	return &Compared{
		Nonce: drawArray[[8]byte](t, "nonce"), Digest: drawArray[[32]byte](t, "digest"),
		Fingerprint: drawArray[[32]byte](t, "fingerprint"),
	}
}

// drawShort draws a message that is one name.
func drawShort(t *rapid.T, typ Type) Message {
	switch typ {
	case TypeDecline:
		return &Decline{Writer: drawArray[[16]byte](t, "writer")}
	case TypeLocked:
		return &Locked{Epoch: drawArray[[16]byte](t, "epoch")}
	}
	return &Compare{Nonce: drawArray[[8]byte](t, "nonce")}
}

// drawBatch draws a batch, of changes that compress and of such that do not.
func drawBatch(t *rapid.T) *Batch {
	b := &Batch{}
	docs := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Document {
		return Document{Kind: rapid.Uint8Min(1).Draw(t, "kind"), Entity: rapid.StringN(-1, -1, MaxEntity).Draw(t, "entity")}
	}), 1, 8, rapid.ID).Draw(t, "docs")
	for range rapid.IntRange(1, 40).Draw(t, "changes") {
		doc := rapid.IntRange(0, min(len(b.Docs), len(docs)-1)).Draw(t, "doc")
		if doc == len(b.Docs) {
			b.Docs = docs[:doc+1]
		}
		raw := rapid.SliceOfN(rapid.Byte(), 1, 30).Draw(t, "raw")
		raw = bytes.Repeat(raw, rapid.IntRange(1, 10).Draw(t, "times"))
		b.Changes = append(b.Changes, BatchChange{Doc: uint32(doc), Raw: raw})
	}
	return b
}
