package wire

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestCutFrames cuts every kind of message at every byte.
func TestCutFrames(t *testing.T) {
	for _, m := range []Message{
		&Hello{}, frontierOf(3), membersOf(2, 100), epochsOf(2, 100), &Envelope{Raw: make([]byte, 200)}, ackOf(3), &Compare{}, &Compared{},
		offerOf(3), wantOf(3), &Part{Packed: make([]byte, 200)}, neighboursOf(3),
		&Print{}, &Probe{Prefix: make([]byte, 3)}, sumsOf(3), leavesOf(3),
	} {
		raw := frameOf(t, m)
		for n := range raw {
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			if _, err := readOne(raw[:n]); err != want {
				t.Errorf("%T after %d of %d bytes: %v, want %v", m, n, len(raw), err, want)
			}
		}
	}
}

func TestFrameLengths(t *testing.T) {
	compare := make([]byte, 8)
	for name, head := range map[string]string{
		"zero": "00", "zero in two bytes": "8000", "nine in two bytes": "8900", "nine in three bytes": "898000",
		"nine in four bytes": "89808000", "five bytes": "8980808000", "five bytes, large": "ffffffff0f",
		"ten bytes": "ffffffffffffffffff01", "endless": "ffffffffffffffffffffffffffffff",
	} {
		_, err := readOne(append(append(unhex(t, head), byte(TypeCompare)), compare...))
		wantError(t, name, err, ErrMalformed)
	}
	if _, err := readOne(append(unhex(t, "0906"), compare...)); err != nil {
		t.Error(err)
	}
}

// TestUnknownTypes pins that nothing is read of a body of which the type is
// not known.
func TestUnknownTypes(t *testing.T) {
	for typ := range 256 {
		known := slices.Contains(types(), Type(typ))
		if known != (maxBody(Type(typ)) >= 0) {
			t.Errorf("type %d: limit %d", typ, maxBody(Type(typ)))
		}
		if known {
			continue
		}
		in := bytes.NewReader(rawFrame(Type(typ), make([]byte, 100)))
		_, err := NewReader(in).Read()
		wantError(t, "unknown type", err, ErrMalformed)
		if in.Len() != 100 {
			t.Errorf("type %d: %d bytes of the body are left", typ, in.Len())
		}
		_, err = decode(Type(typ), nil)
		wantError(t, "unknown type", err, ErrMalformed)
	}
}

// TestFrameLimits announces one byte more than each type may have.
func TestFrameLimits(t *testing.T) {
	for _, typ := range types() {
		n := maxBody(typ) + 1 // the length counts the type byte
		for _, c := range []struct {
			n    int
			want error
		}{{n, io.ErrUnexpectedEOF}, {n + 1, ErrMalformed}} {
			head := appendLength(c.n)
			_, err := readOne(append(head, byte(typ)))
			wantError(t, "announced length", err, c.want)
		}
	}
}

func appendLength(n int) (b []byte) {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// TestAnnouncedLengthAllocatesNothing announces the largest frame of each
// type and sends none, little, or half of it.
func TestAnnouncedLengthAllocatesNothing(t *testing.T) {
	for _, typ := range types() {
		n := maxBody(typ)
		for _, sent := range []int{0, 1, 64 << 10, 100 << 10, n / 2} {
			if sent >= n {
				continue
			}
			stream := append(append(appendLength(n+1), byte(typ)), make([]byte, sent)...)
			r := NewReader(bytes.NewReader(stream))
			var err error
			got := allocated(func() { _, err = r.Read() })
			wantError(t, "cut frame", err, io.ErrUnexpectedEOF)
			if limit := uint64(96<<10 + 4*sent); got > limit {
				t.Errorf("type %d: %d bytes allocated for %d that came of %d, at most %d", typ, got, sent, n, limit)
			}
		}
	}
}

// TestCountsAllocateNothing has lists of one element more than is allowed, of
// the smallest elements.
func TestCountsAllocateNothing(t *testing.T) {
	for _, typ := range []Type{TypeFrontier, TypeMembers, TypeEpochs, TypeAck, TypeOffer, TypeWant, TypeNeighbours, TypeResume} {
		n := maxBody(typ) - 40
		body := append([]byte{0x9a, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, bytes.Repeat([]byte{0x40}, n)...)
		switch typ {
		case TypeFrontier:
			body = append(make([]byte, 32), body...)
		case TypeWant:
			body = append(make([]byte, 16), body...)
		case TypeResume:
			body = slices.Concat([]byte{Version}, make([]byte, sizeResume-1), []byte{0x82, 0x40}, body)
		}
		var err error
		got := allocated(func() { _, err = decode(typ, body) })
		wantError(t, "count", err, ErrMalformed)
		if got > 64<<10 {
			t.Errorf("type %d: %d bytes allocated for a list that is too long", typ, got)
		}
	}
}

var errStream = errors.New("reset by the other end")

// failing fails after some bytes.
type failing struct{ left []byte }

func (f *failing) ReadByte() (byte, error) {
	if len(f.left) == 0 {
		return 0, errStream
	}
	b := f.left[0]
	f.left = f.left[1:]
	return b, nil
}

func (f *failing) Read(p []byte) (int, error) {
	if len(f.left) == 0 {
		return 0, errStream
	}
	n := copy(p, f.left)
	f.left = f.left[n:]
	return n, nil
}

// TestStreamErrorsArePassedOn pins that a failing stream is not taken for a
// malformed one, wherever it fails.
func TestStreamErrorsArePassedOn(t *testing.T) {
	raw := frameOf(t, &Envelope{Raw: make([]byte, 300)})
	for n := range raw {
		_, err := NewReader(&failing{raw[:n]}).Read()
		wantError(t, "stream", err, errStream)
		if errors.Is(err, ErrMalformed) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// TestReadBodyKeepsBytes reads bodies around the sizes at which the buffer
// grows.
func TestReadBodyKeepsBytes(t *testing.T) {
	sizes := []int{0, 1, firstRead - 1, firstRead, firstRead + 1, 2*firstRead - 1, 2 * firstRead, 2*firstRead + 1, MaxEnvelope}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom(sizes).Draw(t, "size")
		seed := rapid.Byte().Draw(t, "seed")
		want := make([]byte, n)
		for i := range want {
			want[i] = byte(i*7+i>>8) + seed
		}
		got, err := readBody(bytes.NewReader(slices.Concat(want, []byte("more"))), n)
		if err != nil || !bytes.Equal(got, want) || cap(got) != n {
			t.Fatalf("%d bytes: %v, capacity %d", n, err, cap(got))
		}
	})
}
