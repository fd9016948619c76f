package change

import (
	"errors"
	"fmt"
	"math/bits"
)

// maxLEB is the length in bytes of the longest LEB128 number of 64 bits.
const maxLEB = 10

// reader consumes bytes from the front.
type reader struct{ rest []byte }

func (r *reader) take(n uint64, what string) ([]byte, error) {
	if n > uint64(len(r.rest)) {
		return nil, fmt.Errorf("%s: want %d bytes, have %d", what, n, len(r.rest))
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b, nil
}

// bytes reads a length up to limit and that many bytes.
func (r *reader) bytes(limit uint64, what string) ([]byte, error) {
	n, err := r.uint(limit, what+" length")
	if err != nil {
		return nil, err
	}
	return r.take(n, what)
}

func (r *reader) end(what string) error {
	if len(r.rest) > 0 {
		return fmt.Errorf("%d bytes behind %s", len(r.rest), what)
	}
	return nil
}

var (
	errLEBLong  = errors.New("number not in its shortest form")
	errLEBRange = errors.New("number exceeds 64 bits")
	errLEBShort = errors.New("number is cut off")
)

// uint reads an unsigned LEB128 number in its shortest form.
func (r *reader) uint(limit uint64, what string) (uint64, error) {
	v, n, err := readUint(r.rest)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	if v > limit {
		return 0, fmt.Errorf("%s: %d exceeds %d", what, v, limit)
	}
	r.rest = r.rest[n:]
	return v, nil
}

func readUint(b []byte) (v uint64, n int, err error) {
	for i, c := range b {
		if i == maxLEB || i == maxLEB-1 && c > 1 {
			return 0, 0, errLEBRange
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				return 0, 0, errLEBLong
			}
			return v, i + 1, nil
		}
	}
	return 0, 0, errLEBShort
}

// int reads a signed LEB128 number in its shortest form.
func (r *reader) int(what string) (int64, error) {
	v, n, err := readInt(r.rest)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	r.rest = r.rest[n:]
	return v, nil
}

func readInt(b []byte) (v int64, n int, err error) {
	for i, c := range b {
		if i == maxLEB || i == maxLEB-1 && c != 0 && c != 0x7f {
			return 0, 0, errLEBRange
		}
		v |= int64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if i > 0 && redundant(b[i-1], c) {
				return 0, 0, errLEBLong
			}
			if shift := 7 * (i + 1); c&0x40 != 0 && shift < 64 {
				v |= -1 << shift
			}
			return v, i + 1, nil
		}
	}
	return 0, 0, errLEBShort
}

// redundant says whether the last byte of a signed number only repeats the
// sign that the byte before it already shows.
func redundant(before, last byte) bool {
	return last == 0 && before&0x40 == 0 || last == 0x7f && before&0x40 != 0
}

func appendUint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// lenUint returns how many bytes appendUint writes.
func lenUint(v uint64) int { return max(1, (bits.Len64(v)+6)/7) }

// appendInt writes a signed number in its shortest form.
func appendInt(b []byte, v int64) []byte {
	for {
		c := byte(v) & 0x7f
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
