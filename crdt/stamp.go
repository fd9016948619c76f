package crdt

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"math"
)

// Writer is the Automerge actor of everything that a device writes during
// one lifetime of its database.
type Writer [16]byte

// writerSize is the length in bytes of a writer in a key.
const writerSize = 22

var writerEncoding = base64.RawURLEncoding.Strict()

// String returns the 22 characters that stand in keys (base64url, RFC 4648
// section 5, without padding).
func (w Writer) String() string { return writerEncoding.EncodeToString(w[:]) }

// Compare orders writers as bytes.
func (w Writer) Compare(o Writer) int { return bytes.Compare(w[:], o[:]) }

// hex is how automerge-go takes actors.
func (w Writer) hex() string { return hex.EncodeToString(w[:]) }

// parseWriter is the inverse of Writer.String and accepts nothing else.
func parseWriter(s string) (w Writer, ok bool) {
	if len(s) != writerSize {
		return w, false
	}
	n, err := writerEncoding.Decode(w[:], []byte(s))
	return w, err == nil && n == len(w)
}

// Stamp is a reading of a hybrid clock: milliseconds since 1970 in the upper
// 48 bits, a counter in the lower 16. Stamps are compared as they are, never
// clamped by a reader's clock, because then readers would disagree.
type Stamp uint64

const (
	counterBits = 16
	maxMillis   = 1<<(64-counterBits) - 1
	// MaxStamp is the latest stamp there is.
	MaxStamp Stamp = math.MaxUint64
)

// StampOf returns the first stamp of a millisecond. Instants before 1970 or
// beyond 48 bits give the nearest stamp.
func StampOf(ms int64) Stamp {
	return Stamp(min(max(ms, 0), maxMillis)) << counterBits
}

// Millis returns the milliseconds since 1970.
func (s Stamp) Millis() int64 { return int64(s >> counterBits) }

// Next returns one tick later. A full counter carries into the milliseconds.
// MaxStamp stays what it is.
func (s Stamp) Next() Stamp {
	if s == MaxStamp {
		return s
	}
	return s + 1
}

// After returns the stamp of a choice that is made at now by someone who saw
// the entries of the register: the later of now and one tick above them all.
// So a choice wins over whatever it replaced, and a clock that is wrong by
// years spoils the numbers of one register and nothing else.
func After(now int64, register []Entry) Stamp {
	s := StampOf(now)
	for i := range register {
		s = max(s, register[i].Stamp.Next())
	}
	return s
}
