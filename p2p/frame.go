package p2p

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/starling-sync/starling/encryption"
)

// Limits of what is read before the other end is authenticated, in bytes.
const (
	maxName       = 64 // the frame that names the protocol
	maxHelloFrame = encryption.MaxHelloFrame
	maxCard       = 4 << 10
	maxLinkFrame  = 4 << 10 // the first frame of a linking; the session bounds the others
)

// writeFrame sends b behind its length, in one write, so that a frame is one
// packet wherever it fits.
func writeFrame(w io.Writer, b []byte) error {
	buf := make([]byte, 4, 4+len(b))
	binary.BigEndian.PutUint32(buf, uint32(len(b)))
	if _, err := w.Write(append(buf, b...)); err != nil {
		return fmt.Errorf("write frame of %d bytes: %w", len(b), err)
	}
	return nil
}

// readFrame reads one frame of at most limit bytes. Memory grows with what
// arrives and not with what the length promises.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("read frame: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if uint64(n) > uint64(limit) {
		return nil, fmt.Errorf("read frame: %d bytes, limit %d", n, limit)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(b) != int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("read frame of %d bytes: %w", n, err)
	}
	return b, nil
}
