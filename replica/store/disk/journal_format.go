package disk

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"iter"

	"github.com/starling-sync/starling/replica/store"
)

// An operation in the journal is kind ‖ length of key ‖ key, and for a put
// length of value ‖ value, which is sealed already; lengths are uvarints.
const (
	kindDelete = 0
	kindPut    = 1
)

// writeOp leaves errors to w.Flush.
func writeOp(w *bufio.Writer, o op) {
	if o.value == nil {
		w.WriteByte(kindDelete)
		writeBytes(w, o.key)
		return
	}
	w.WriteByte(kindPut)
	writeBytes(w, o.key)
	writeBytes(w, o.value)
}

func writeBytes(w *bufio.Writer, b []byte) {
	var n [binary.MaxVarintLen64]byte
	w.Write(n[:binary.PutUvarint(n[:], uint64(len(b)))])
	w.Write(b)
}

// readOp returns io.EOF at the end of the stream.
func readOp(r *bufio.Reader) (op, error) {
	kind, err := r.ReadByte()
	if err != nil {
		return op{}, err
	}
	if kind > kindPut {
		return op{}, fmt.Errorf("operation of kind %d is unknown", kind)
	}
	key, err := readBytes(r, 2+store.MaxKey)
	if err != nil || kind == kindDelete {
		return op{key: key}, err
	}
	value, err := readBytes(r, recordOverhead+store.MaxValue)
	return op{key: key, value: value}, err
}

func readBytes(r *bufio.Reader, limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err == nil && n > limit {
		err = fmt.Errorf("%d bytes where %d are allowed", n, limit)
	}
	if err != nil {
		return nil, unexpected(err)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return b, unexpected(err)
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// chunkReader is the stream of a journal of so many chunks.
type chunkReader struct {
	get    func(key []byte) ([]byte, error)
	chunks uint32
	next   uint32
	rest   []byte
}

func (r *chunkReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.next == r.chunks {
			return 0, io.EOF
		}
		contents, err := r.get(chunkKey(r.next))
		if err != nil {
			return 0, fmt.Errorf("chunk %d of %d: %w", r.next, r.chunks, err)
		}
		r.rest = contents
		r.next++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// ops returns the operations of a stream.
func readOps(r io.Reader) iter.Seq2[op, error] {
	return func(yield func(op, error) bool) {
		buf := bufio.NewReader(r)
		for {
			o, err := readOp(buf)
			if err == io.EOF || !yield(o, err) || err != nil {
				return
			}
		}
	}
}
