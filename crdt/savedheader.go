package crdt

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

var savedMagic = []byte{0x85, 0x6f, 0x4a, 0x83}

const (
	savedTypeDocument = 0
	savedPrefix       = 4 + 4 // magic, checksum
)

var errSaved = errors.New("not one whole document in Automerge's format")

// headsIn checks that b is exactly one document chunk with a correct
// checksum, and returns its heads, sorted. Automerge itself would accept a
// chunk that is cut off, or skip what it cannot read.
func headsIn(b []byte) (heads []Hash, err error) {
	if len(b) < savedPrefix+1 || !bytes.Equal(b[:4], savedMagic) || b[savedPrefix] != savedTypeDocument {
		return nil, errSaved
	}
	sum := sha256.Sum256(b[savedPrefix:])
	if !bytes.Equal(sum[:4], b[4:savedPrefix]) {
		return nil, fmt.Errorf("%w: wrong checksum", errSaved)
	}
	r := savedReader{rest: b[savedPrefix+1:]}
	if n := r.uint(); r.failed || n != uint64(len(r.rest)) {
		return nil, fmt.Errorf("%w: wrong length", errSaved)
	}
	for range r.count(1 + len(Writer{})) {
		id := r.take(r.uint())
		if len(id) != len(Writer{}) {
			return nil, fmt.Errorf("%w: an actor of %d bytes", errSaved, len(id))
		}
	}
	for range r.count(len(Hash{})) {
		if id := r.take(uint64(len(Hash{}))); id != nil {
			heads = append(heads, Hash(id))
		}
	}
	if r.failed {
		return nil, fmt.Errorf("%w: cut off", errSaved)
	}
	slices.SortFunc(heads, Hash.Compare)
	return heads, nil
}

// savedReader consumes bytes from the front until something fails.
type savedReader struct {
	rest   []byte
	failed bool
}

func (r *savedReader) uint() uint64 {
	v, n := binary.Uvarint(r.rest) // the same encoding as unsigned LEB128
	if n <= 0 {
		r.failed = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *savedReader) take(n uint64) []byte {
	if r.failed || n > uint64(len(r.rest)) {
		r.failed = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// count reads how many items of at least size bytes follow.
func (r *savedReader) count(size int) uint64 {
	n := r.uint()
	if n > uint64(len(r.rest)/size) {
		r.failed = true
		return 0
	}
	return n
}
