package change

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Limits on one change. They bound what a hostile writer can make a reader
// allocate, and are far above what an edit by a person needs.
const (
	MaxSize     = 1 << 20   // bytes of a chunk as it is exchanged
	MaxInflated = 4 << 20   // bytes of a compressed chunk's contents
	MaxDeps     = 64        // direct dependencies
	MaxActors   = 1024      // other actors that operations refer to
	MaxCounter  = 1<<32 - 1 // sequence and operation numbers
	MaxOps      = 1 << 17   // operations; the smallest takes less than a byte
	MaxPreds    = 1 << 18   // predecessors of all operations; the smallest takes less than a byte
)

// ActorSize is the length in bytes of an actor id. Automerge allows any.
const ActorSize = 16

// Chunk types of the Automerge binary format.
const (
	typeChange   = 1
	typeDeflated = 2
)

const checksumSize = 4

var magic = [4]byte{0x85, 0x6f, 0x4a, 0x83}

// ErrMalformed is wrapped by every error of Parse: the bytes are not a change
// that this project accepts, now or ever.
var ErrMalformed = errors.New("malformed change")

// Hash is the SHA-256 digest that names a change.
type Hash [32]byte

// String returns 64 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Compare orders hashes as bytes.
func (h Hash) Compare(o Hash) int { return bytes.Compare(h[:], o[:]) }

// Change is one Automerge change whose frame and header were checked. It is
// a value; nothing changes the bytes that it refers to.
type Change struct {
	// Raw is the chunk as it was given to Parse, which keeps it.
	Raw []byte
	// Hash is the SHA-256 of the uncompressed chunk.
	Hash Hash
	// Actor is the writer of the change.
	Actor [ActorSize]byte
	// Seq numbers the changes of Actor in one document, from 1.
	Seq uint64
	// StartOp is the number of the first operation, from 1.
	StartOp uint64
	// Time is what the writer's commit recorded. Go writers of Automerge
	// use milliseconds, JavaScript uses seconds, this project writes 0.
	Time int64
	// Deps are sorted.
	Deps []Hash
	// Actors are the other actors that operations refer to, sorted.
	Actors [][ActorSize]byte

	// Len is the number of operations, at least 1.
	Len uint64

	plain   []byte
	columns columns
	ops     []Op // all of them if they are few; else nil, and the columns are read
}

// fewOps is up to how many operations a Change keeps as they were read. One byte of a
// column can stand for thousands.
const fewOps = 16

// LastOp is the number of the last operation.
func (c *Change) LastOp() uint64 { return c.StartOp + c.Len - 1 }

// Plain returns the chunk in its uncompressed form, which is Raw itself
// unless Raw is compressed. The caller must not change it.
func (c *Change) Plain() []byte { return c.plain }

// Parse checks that raw is exactly one change chunk and reads its header. It
// keeps raw. Every error wraps ErrMalformed.
func Parse(raw []byte) (Change, error) {
	c, err := parse(raw)
	if err != nil {
		return Change{}, fmt.Errorf("parse change of %d bytes: %w: %w", len(raw), ErrMalformed, err)
	}
	return c, nil
}

func parse(raw []byte) (Change, error) {
	f, err := readFrame(raw, MaxSize)
	if err != nil {
		return Change{}, err
	}
	c := Change{Raw: raw}
	body := f.contents
	switch f.kind {
	case typeChange:
		c.plain, c.Hash = raw, sha256.Sum256(raw[len(magic)+checksumSize:])
	case typeDeflated:
		if body, err = inflate(f.contents, MaxInflated); err != nil {
			return Change{}, err
		}
		c.plain, c.Hash = buildChunk(body)
	default:
		return Change{}, fmt.Errorf("chunk type %d is not a change", f.kind)
	}
	if !bytes.Equal(c.Hash[:checksumSize], f.checksum) {
		return Change{}, errors.New("checksum does not match the contents")
	}
	if err := c.readHeader(body); err != nil {
		return Change{}, err
	}
	return c, c.readOps()
}
