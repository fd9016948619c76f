package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// A frame is: length of what follows (unsigned LEB128, shortest form), type
// byte, body.

// maxLength is how many bytes the length of a frame may take.
const maxLength = 4

// firstRead is how many bytes of a body are believed on the sender's word.
// More memory is spent only when so much has arrived.
const firstRead = 64 << 10

// Reader reads messages from a stream. It is for one goroutine.
type Reader struct {
	r interface {
		io.Reader
		io.ByteReader
	}
	front []byte // of the last envelope that came whole; nil before
}

// NewReader returns a Reader of r, which should be buffered.
func NewReader(r interface {
	io.Reader
	io.ByteReader
}) *Reader {
	return &Reader{r: r}
}

// Read returns the next message. It returns io.EOF when the stream ended
// between two frames, io.ErrUnexpectedEOF when it ended within one, and an
// error that wraps ErrMalformed or ErrUnsupported when a frame breaks the
// format; the stream is of no use after any error.
func (r *Reader) Read() (Message, error) {
	n, err := readLength(r.r)
	if err != nil {
		return nil, err
	}
	t, err := r.r.ReadByte()
	if err != nil {
		return nil, cut(err)
	}
	if err := checkLength(Type(t), n-1); err != nil {
		return nil, err
	}
	body, err := readBody(r.r, n-1)
	if err != nil {
		return nil, err
	}
	m, err := decode(Type(t), body)
	if err != nil {
		return nil, err
	}
	return r.whole(m)
}

// readLength reads the length of a frame in shortest form.
func readLength(r io.ByteReader) (int, error) {
	n := 0
	for i := range maxLength {
		b, err := r.ReadByte()
		if err != nil {
			if i > 0 {
				err = cut(err)
			}
			return 0, err
		}
		n |= int(b&0x7f) << (7 * i)
		if b < 0x80 {
			if b == 0 {
				return 0, malformed("frame of no length, or one that is not in shortest form")
			}
			return n, nil
		}
	}
	return 0, malformed("length of a frame takes more than %d bytes", maxLength)
}

// readBody reads n bytes into a slice of that capacity. It never holds more
// than about twice what has arrived, or firstRead.
func readBody(r io.Reader, n int) ([]byte, error) {
	body, done := make([]byte, min(n, firstRead)), 0
	for {
		if _, err := io.ReadFull(r, body[done:]); err != nil {
			return nil, cut(err)
		}
		if done = len(body); done == n {
			return body, nil
		}
		longer := make([]byte, min(n, 2*done))
		copy(longer, body)
		body = longer
	}
}

func checkLength(t Type, n int) error {
	switch limit := maxBody(t); {
	case limit < 0:
		return malformed("frame of unknown type %d", t)
	case n > limit:
		return malformed("frame of type %d with %d bytes, at most %d", t, n, limit)
	}
	return nil
}

// cut turns an end in mid-frame into io.ErrUnexpectedEOF.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// AppendFrame appends the frame of m to b. It returns an error that wraps
// ErrMalformed for a message that a Reader would refuse.
func AppendFrame(b []byte, m Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	body, err := m.append(nil)
	if err != nil {
		return nil, fmt.Errorf("wire: encode message of type %d: %w", m.Type(), err)
	}
	if err := checkLength(m.Type(), len(body)); err != nil {
		return nil, err
	}
	b = binary.AppendUvarint(b, uint64(len(body))+1)
	b = append(b, byte(m.Type()))
	return append(b, body...), nil
}
