package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// A frame is: length of what follows (unsigned LEB128, shortest form), type
// byte, body.

// Reader reads messages from a stream. It is for one goroutine.
type Reader struct {
	r interface {
		io.Reader
		io.ByteReader
	}
}

// NewReader returns a Reader of r, which should be buffered.
func NewReader(r interface {
	io.Reader
	io.ByteReader
}) *Reader {
	return &Reader{r: r}
}

// Read returns the next message. It returns io.EOF when the stream ended
// between two frames, and an error that wraps ErrMalformed when a frame
// breaks the format; the stream is of no use after any error.
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
	body := make([]byte, n-1)
	if _, err := io.ReadFull(r.r, body); err != nil {
		return nil, cut(err)
	}
	return Decode(Type(t), body)
}

// readLength reads the length of a frame in shortest form.
func readLength(r io.ByteReader) (uint64, error) {
	var n uint64
	for i := range 4 {
		b, err := r.ReadByte()
		if err != nil {
			if i > 0 {
				err = cut(err)
			}
			return 0, err
		}
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if b == 0 {
				return 0, malformed("frame length")
			}
			return n, nil
		}
	}
	return 0, malformed("frame length")
}

func checkLength(t Type, n uint64) error {
	limit := uint64(MaxControl)
	if t == TypeEnvelope {
		limit = MaxEnvelope
	}
	if n > limit {
		return malformed("frame of type %d with %d bytes", t, n)
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

// AppendFrame appends the frame of m to b.
func AppendFrame(b []byte, m Message) ([]byte, error) {
	body, err := m.append(nil)
	if err != nil {
		return nil, fmt.Errorf("wire: encode message of type %d: %w", m.Type(), err)
	}
	if err := checkLength(m.Type(), uint64(len(body))); err != nil {
		return nil, err
	}
	b = binary.AppendUvarint(b, uint64(len(body))+1)
	b = append(b, byte(m.Type()))
	return append(b, body...), nil
}
