package change

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
)

// frame is a chunk taken apart: magic, checksum, type, length, contents.
type frame struct {
	checksum []byte
	kind     byte
	contents []byte
}

// readFrame takes apart what takes at most so many bytes.
func readFrame(raw []byte, most uint64) (frame, error) {
	if uint64(len(raw)) > most {
		return frame{}, fmt.Errorf("longer than %d bytes", most)
	}
	r := reader{raw}
	m, err := r.take(uint64(len(magic)), "magic")
	if err != nil {
		return frame{}, err
	}
	if !bytes.Equal(m, magic[:]) {
		return frame{}, fmt.Errorf("magic is %x", m)
	}
	var f frame
	if f.checksum, err = r.take(checksumSize, "checksum"); err != nil {
		return frame{}, err
	}
	kind, err := r.take(1, "chunk type")
	if err != nil {
		return frame{}, err
	}
	f.kind = kind[0]
	if f.contents, err = r.bytes(most, "chunk"); err != nil {
		return frame{}, err
	}
	return f, r.end("the chunk")
}

// inflaters are kept, as a new one takes tens of kilobytes.
var inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// inflate expands DEFLATE data to at most so many bytes. It must end where the
// input ends.
func inflate(deflated []byte, most int) ([]byte, error) {
	in := bytes.NewReader(deflated)
	z := inflaters.Get().(io.Reader)
	defer inflaters.Put(z)
	if err := z.(flate.Resetter).Reset(in, nil); err != nil {
		return nil, fmt.Errorf("inflate: %w", err)
	}
	out, err := readAtMost(z, 4*len(deflated)+bytes.MinRead, most)
	if errors.Is(err, errTooLong) {
		return nil, fmt.Errorf("inflates to more than %d bytes", most)
	}
	if err != nil {
		return nil, fmt.Errorf("inflate: %w", err)
	}
	if in.Len() > 0 {
		return nil, errors.New("data behind the compressed contents")
	}
	return out, nil
}

var errTooLong = errors.New("too long")

// readAtMost reads r to its end, which must come after most bytes at the latest. It
// expects about so many, and allocates twice what there is, or most, at most.
func readAtMost(r io.Reader, expected, most int) ([]byte, error) {
	out := make([]byte, 0, min(expected, most+1))
	for {
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case errors.Is(err, io.EOF) && len(out) <= most:
			return out, nil
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case len(out) > most:
			return nil, errTooLong
		case len(out) == cap(out):
			longer := make([]byte, len(out), min(2*cap(out), most+1))
			copy(longer, out)
			out = longer
		}
	}
}

// buildChunk writes an uncompressed change chunk, and returns its hash too.
func buildChunk(body []byte) ([]byte, Hash) {
	b := make([]byte, len(magic)+checksumSize, len(magic)+checksumSize+1+lenUint(uint64(len(body)))+len(body))
	copy(b, magic[:])
	b = append(appendUint(append(b, typeChange), uint64(len(body))), body...)
	hash := Hash(sha256.Sum256(b[len(magic)+checksumSize:]))
	copy(b[len(magic):], hash[:checksumSize])
	return b, hash
}
