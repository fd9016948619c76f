package wire

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/crdt/vectortest"
)

var updateVectors = flag.Bool("update-vectors", false, "write vectors that do not exist yet")

// content is what follows the frame or batch.
func content(v *vectortest.Vector) [][2]string { return v.Fields[4:] }

// describe adds what a message says.
func describe(v *vectortest.Vector, m Message) *vectortest.Vector {
	switch m := m.(type) {
	case *Hello:
		v.Hex("instance", m.Instance[:]).Hex("digest", m.Digest[:]).Text("backlog", fmt.Sprint(m.Backlog))
	case *Resume:
		describe(v, &m.Hello).Hex("base", m.Base[:]).Hex("members", m.Members)
		for _, e := range m.Entries {
			v.Text("entry", fmt.Sprintf("%x %d %x", e.Writer, e.Seq, e.Head))
		}
	case *Frontier:
		v.Hex("members", m.Members[:])
		for _, e := range m.Entries {
			v.Text("entry", fmt.Sprintf("%x %d %x", e.Writer, e.Seq, e.Head))
		}
	case *Members:
		for _, op := range m.Ops {
			v.Hex("operation", op)
		}
	case *Envelope:
		v.Hex("envelope", m.Raw)
	case *Ack:
		for _, e := range m.Entries {
			v.Text("entry", fmt.Sprintf("%x %d", e.Writer, e.Seq))
		}
	case *Offer:
		for _, c := range m.Chains {
			v.Text("chain", fmt.Sprintf("%x %d %x %x %x", c.Writer, c.Seq, c.Head, c.Device, c.Members))
		}
	case *Want:
		v.Hex("after", m.After[:])
		for _, id := range m.IDs {
			v.Hex("document", id[:])
		}
	case *Part:
		v.Text("more", fmt.Sprint(m.More)).Hex("last", m.Last[:]).Hex("packed", m.Packed)
	case *Neighbours:
		for _, d := range m.Devices {
			v.Hex("device", d[:])
		}
	case *Decline:
		v.Hex("writer", m.Writer[:])
	case *Locked:
		v.Hex("epoch", m.Epoch[:])
	case *Print:
		v.Hex("digest", m.Digest[:]).Hex("fingerprint", m.Fingerprint[:])
	case *Probe:
		v.Hex("prefix", m.Prefix)
	case *Probed:
		describeProbed(v, m)
	case *Compare:
		v.Hex("nonce", m.Nonce[:])
	case *Compared:
		v.Hex("nonce", m.Nonce[:]).Hex("digest", m.Digest[:]).Hex("fingerprint", m.Fingerprint[:])
	}
	return v
}

// describeBatch adds what a batch says: the kind and entity of documents, the
// index and bytes of changes.
func describeBatch(v *vectortest.Vector, b *Batch) *vectortest.Vector {
	for _, d := range b.Docs {
		v.Text("document", fmt.Sprintf("%d %x", d.Kind, d.Entity))
	}
	for _, c := range b.Changes {
		v.Text("change", fmt.Sprintf("%d %x", c.Doc, c.Raw))
	}
	return v
}

func vectorErrors() map[string]error {
	return map[string]error{
		"ok": nil, "ErrMalformed": ErrMalformed, "ErrUnsupported": ErrUnsupported, "ErrUnexpectedEOF": io.ErrUnexpectedEOF,
		"ErrUnknownChange": change.ErrUnknownChange,
	}
}

func TestVectors(t *testing.T) {
	good, bad := vectortest.Try(t, vectortest.Read(t), vectorErrors(), func(v *vectortest.Vector) error {
		if v.Get("kind") == "batch" {
			return tryBatch(t, v)
		}
		if v.Get("kind") == "placed" {
			return tryPlaced(t, v)
		}
		if v.Get("kind") == "further" {
			return tryFurther(t, v)
		}
		return tryFrame(t, v)
	})
	for _, kind := range []string{
		"hello", "frontier", "members", "epochs", "envelope", "ack", "compare", "compared", "offer", "want", "part", "neighbours", "print", "probe", "probed", "resume", "further", "batch",
	} {
		if good[kind] < 1 || bad[kind] <= good[kind] {
			t.Errorf("%s: %d positive and %d negative vectors: some are missing", kind, good[kind], bad[kind])
		}
	}
}

func tryFrame(t *testing.T, v *vectortest.Vector) error {
	raw := unhex(t, v.Get("frame"))
	m, err := readOne(raw)
	if err != nil {
		return err
	}
	if again := frameOf(t, m); !bytes.Equal(again, raw) {
		return fmt.Errorf("encoded again as %x", again)
	}
	if kind := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", m), "*wire.")); kind != v.Get("kind") {
		return fmt.Errorf("it is a %s", kind)
	}
	return sameContent(v, describe(new(vectortest.Vector), m))
}

func tryBatch(t *testing.T, v *vectortest.Vector) error {
	raw := unhex(t, v.Get("batch"))
	b, err := DecodeBatch(change.Context{}, raw)
	if err != nil {
		return err
	}
	if again := append([]byte{codecPlain}, plainOf(t, b)...); raw[0] == codecPlain && !bytes.Equal(again, raw) {
		return fmt.Errorf("encoded again as %x", again)
	}
	return sameContent(v, describeBatch(new(vectortest.Vector), b))
}

func sameContent(v, got *vectortest.Vector) error {
	if !slices.Equal(got.Fields, content(v)) {
		return errors.New("it says something else:\n" + string(got.Marshal()))
	}
	return nil
}

// TestVectorsAreReproduced makes every vector anew. It never changes a file:
// with -update-vectors it adds those that do not exist.
func TestVectorsAreReproduced(t *testing.T) {
	made := makeVectors(t)
	vectortest.Reproduced(t, made, *updateVectors)
	if all := vectortest.Read(t); len(all) != len(made) {
		t.Errorf("%d files, %d are made", len(all), len(made))
	}
}
