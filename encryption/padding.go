package encryption

import (
	"fmt"
	"math/bits"
)

// paddedSize returns the size of the bucket that n bytes fall into: 256, 512 or
// 1,024, beyond that Padmé (Nikitin and others, "Reducing Metadata Leakage from
// Encrypted Files and Communication with PURBs", PETS 2019), which adds at most
// 12 % and tells only O(log log n) bits about n.
func paddedSize(n int) int {
	for _, bucket := range []int{256, 512, 1024} {
		if n <= bucket {
			return bucket
		}
	}
	e := bits.Len(uint(n)) - 1 // floor(log2 n)
	s := bits.Len(uint(e))     // bits that write e
	mask := 1<<(e-s) - 1
	return (n + mask) &^ mask
}

// envelopeSize is paddedSize with a bucket of minEnvelope.
func envelopeSize(n int) int {
	if n <= minEnvelope {
		return minEnvelope
	}
	return paddedSize(n)
}

// pad appends zeros to plain, so that with overhead more bytes around it the
// whole lands on a bucket.
func pad(plain []byte, overhead int) []byte {
	return append(plain, make([]byte, paddedSize(len(plain)+overhead)-len(plain)-overhead)...)
}

// unpad decodes the one value that padded holds, and refuses any padding but the
// one that pad makes. It returns how many bytes the value takes.
func unpad(padded []byte, overhead, limit int, v any) (used int, err error) {
	used, err = unpadded(padded, limit, v)
	if err == nil && paddedSize(used+overhead) != len(padded)+overhead {
		err = errPadding
	}
	return used, err
}

var errPadding = fmt.Errorf("%w: padding of another length", ErrMalformed)

// unpadded is unpad for any length of the padding.
func unpadded(padded []byte, limit int, v any) (used int, err error) {
	rest, err := decodeFirst(padded, limit, v)
	if err != nil {
		return 0, err
	}
	for _, b := range rest {
		if b != 0 {
			return 0, fmt.Errorf("%w: padding is not zero", ErrMalformed)
		}
	}
	return len(padded) - len(rest), nil
}
