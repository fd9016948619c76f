package wire

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/vectortest"
)

func resumeVectors(t *testing.T) []*vectortest.Vector {
	hello := Hello{Instance: [8]byte(tail(t, vecNonce, 8)), Digest: [32]byte(tail(t, vecDigest, 32)), Backlog: true}
	base, head := [32]byte(tail(t, vecHead, 32)), [32]byte(tail(t, vecHead, 32))
	first, second := [16]byte(tail(t, vecWriter1, 16)), [16]byte(tail(t, vecWriter2, 16))
	front := "01" + vecNonce + vecDigest + "01" + vecHead[4:]
	entry := func(writer, seq string) string { return "83" + writer + seq + vecHead }
	bad := func(name, comment, expect, body string) *vectortest.Vector {
		return refused(t, TypeResume, "resume-"+name, comment, expect, body)
	}
	return []*vectortest.Vector{
		said(t, "resume-roster", "no writer has gone on, and the roster is another one", &Resume{Hello: hello, Base: base, Members: head[:]}),
		said(t, "resume-two", "two writers have gone on", &Resume{Hello: hello, Base: base, Entries: []Entry{
			{Writer: first, Seq: 1, Head: head}, {Writer: second, Seq: 1<<64 - 1, Head: head},
		}}),
		bad("empty", "no body", "ErrMalformed", ""),
		bad("version-2", "version 2", "ErrUnsupported", "02"+front[2:]+"824080"),
		bad("version-2-short", "version 2, which may be shorter", "ErrUnsupported", "02"),
		bad("backlog-2", "a flag that is neither 0 nor 1", "ErrMalformed", "01"+vecNonce+vecDigest+"02"+vecHead[4:]+"824080"),
		bad("cut-base", "ends within the base", "ErrMalformed", front[:len(front)-2]),
		bad("no-list", "ends behind the base", "ErrMalformed", front),
		bad("no-entries", "a list of the members alone", "ErrMalformed", front+"8140"),
		bad("three-fields", "a third field", "ErrMalformed", front+"83408000"),
		bad("null-members", "null in place of the members", "ErrMalformed", front+"82f680"),
		bad("null-entries", "null in place of the entries", "ErrMalformed", front+"8240f6"),
		bad("short-members", "members of 31 bytes", "ErrMalformed", front+"82581f"+vecDigest[2:]+"80"),
		bad("descending", "writers in descending order", "ErrMalformed", front+"824082"+entry(vecWriter2, "01")+entry(vecWriter1, "01")),
		bad("twice", "a writer twice", "ErrMalformed", front+"824082"+entry(vecWriter1, "01")+entry(vecWriter1, "02")),
		bad("zero", "number 0", "ErrMalformed", front+"824081"+entry(vecWriter1, "00")),
		bad("long-number", "number 1 in two bytes", "ErrMalformed", front+"824081"+entry(vecWriter1, "1801")),
		bad("count-above", "counts 4,097 entries", "ErrMalformed", front+"8240991001"+entry(vecWriter1, "01")),
		bad("trailing-byte", "a byte behind the list", "ErrMalformed", front+"82408000"),
	}
}

// furtherVectors have two frames: an envelope whole, and a further one.
func furtherVectors(t *testing.T) []*vectortest.Vector {
	front := unhex(t, vecDigest)[:sizeFront]
	whole := func(end ...byte) []byte { return frameOf(t, &Envelope{Raw: append(slices.Clone(front), end...)}) }
	rest := func(b ...byte) []byte { return rawFrame(TypeFurther, b) }
	bad := func(name, comment, expect string, frames ...[]byte) *vectortest.Vector {
		return vectortest.New("further-"+name, comment, expect).Hex("frame", bytes.Join(frames, nil))
	}
	said := func(name, comment string, frames ...[]byte) *vectortest.Vector {
		v := bad(name, comment, "ok", frames...)
		return describeEnvelopes(v, readAll(t, bytes.Join(frames, nil)))
	}
	return []*vectortest.Vector{
		said("one", "an envelope, and the rest of one that begins like it", whole(1, 2), rest(3, 4)),
		said("short", "an envelope too short for that in between", whole(1, 2), frameOf(t, &Envelope{Raw: front}), rest(3)),
		bad("first", "before any envelope", "ErrMalformed", rest(3, 4)),
		bad("after-short", "after an envelope of 17 bytes", "ErrMalformed", frameOf(t, &Envelope{Raw: front}), rest(3, 4)),
		bad("empty", "without a rest", "ErrMalformed", whole(1), rest()),
		bad("cut", "ends before its length", "ErrUnexpectedEOF", whole(1), unhex(t, "0311"+"05")),
		bad("limit", "announces a rest of 1,048,559 bytes and ends", "ErrUnexpectedEOF", unhex(t, "f0ff3f 11")),
		bad("above", "announces a rest of 1,048,560 bytes", "ErrMalformed", unhex(t, "f1ff3f 11")),
	}
}

// readAll reads all messages of a stream.
func readAll(t *testing.T, raw []byte) (all []Message) {
	r := NewReader(bytes.NewReader(raw))
	for {
		m, err := r.Read()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
}

func describeEnvelopes(v *vectortest.Vector, all []Message) *vectortest.Vector {
	for _, m := range all {
		v.Hex("envelope", m.(*Envelope).Raw)
	}
	return v
}

// tryFurther reads the frames of a vector and writes them again.
func tryFurther(t *testing.T, v *vectortest.Vector) error {
	raw := unhex(t, v.Get("frame"))
	r, framer := NewReader(bytes.NewReader(raw)), Framer{}
	var all []Message
	var again []byte
	for {
		m, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if again, err = framer.Append(again, m); err != nil {
			return err
		}
		all = append(all, m)
	}
	if !bytes.Equal(again, raw) {
		return fmt.Errorf("encoded again as %x", again)
	}
	return sameContent(v, describeEnvelopes(new(vectortest.Vector), all))
}

// Whatever comes between, a Reader gives back what a Framer was given, and the envelopes
// of one epoch take 17 bytes less, but for the first of them.
func TestFramer(t *testing.T) {
	var f Framer
	var stream []byte
	var sent []Message
	long := strings.Repeat("x", 239)
	for _, raw := range []string{"epoch 1: nonce a:" + long, "epoch 1: nonce a:" + long + "2", "short", "epoch 2: nonce b:" + long, "epoch 2: nonce b:", "epoch 2: nonce b:3", "epoch 1: nonce a:4"} {
		for _, m := range []Message{&Envelope{Raw: []byte(raw)}, ackOf(1)} {
			var err error
			if stream, err = f.Append(stream, m); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, m)
		}
	}
	plain := 0
	for i, got := range readAll(t, stream) {
		if !bytes.Equal(frameOf(t, got), frameOf(t, sent[i])) {
			t.Fatalf("message %d is %+v, was %+v", i, got, sent[i])
		}
		plain += len(frameOf(t, got))
	}
	if got := plain - len(stream); got != 2*sizeFront { // the second and the sixth
		t.Errorf("%d bytes saved", got)
	}
}

// What cannot be sent, or rests on what was never sent, is refused.
func TestFurtherLimits(t *testing.T) {
	var f Framer
	for _, n := range []int{MaxEnvelope, MaxEnvelope} {
		if _, err := f.Append(nil, &Envelope{Raw: make([]byte, n)}); err != nil {
			t.Error(err)
		}
	}
	_, err := f.Append(nil, &Envelope{Raw: make([]byte, MaxEnvelope+1)})
	wantError(t, "a large one", err, ErrMalformed)
	_, err = f.Append(nil, &Envelope{})
	wantError(t, "an empty one", err, ErrMalformed)
	_, err = readOne(rawFrame(TypeFurther, []byte{1}))
	wantError(t, "the first one", err, ErrMalformed)
}
