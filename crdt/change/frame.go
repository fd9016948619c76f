package change

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
)

// frame is a chunk taken apart: magic, checksum, type, length, contents.
type frame struct {
	checksum []byte
	kind     byte
	contents []byte
}

func readFrame(raw []byte) (frame, error) {
	if len(raw) > MaxSize {
		return frame{}, fmt.Errorf("longer than %d bytes", MaxSize)
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
	if f.kind = kind[0]; f.kind != typeChange && f.kind != typeDeflated {
		return frame{}, fmt.Errorf("chunk type %d is not a change", f.kind)
	}
	if f.contents, err = r.bytes(MaxSize, "chunk"); err != nil {
		return frame{}, err
	}
	return f, r.end("the chunk")
}

// inflate expands DEFLATE data, which must end where the input ends.
func inflate(deflated []byte) ([]byte, error) {
	in := bytes.NewReader(deflated)
	z := flate.NewReader(in)
	out, err := io.ReadAll(io.LimitReader(z, MaxInflated+1))
	if err != nil {
		return nil, fmt.Errorf("inflate: %w", err)
	}
	if len(out) > MaxInflated {
		return nil, fmt.Errorf("inflates to more than %d bytes", MaxInflated)
	}
	if in.Len() > 0 {
		return nil, errors.New("data behind the compressed contents")
	}
	return out, nil
}

// buildChunk writes an uncompressed change chunk.
func buildChunk(checksum, body []byte) []byte {
	b := make([]byte, 0, len(magic)+checksumSize+1+maxLEB+len(body))
	return appendChunk(append(append(b, magic[:]...), checksum...), body)
}
