package crdt

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/starling-sync/starling/crdt/change"
)

// The coders of packs hold no state between calls and are safe for concurrent use. They
// are made at once and not at their first use: they hold channels, and one that is made
// inside a bubble of testing/synctest is of no use outside.
var (
	packing   = newPacking()
	unpacking = newUnpacking()
)

// The window is small, as packs are: the tables of a large one take megabytes.
func newPacking() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // unreachable: the options are constant
	}
	e.EncodeAll(nil, nil) // makes the channel
	return e
}

func newUnpacking() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(change.MaxSavedRestored))
	if err != nil {
		panic(err) // unreachable: the options are constant
	}
	return d
}

// deflate returns a pack of many.
func deflate(packs [][]byte) []byte {
	var plain []byte
	for _, p := range packs {
		plain = append(binary.AppendUvarint(plain, uint64(len(p))), p...)
	}
	return slices.Clip(packing.EncodeAll(plain, binary.AppendUvarint([]byte{packMany}, uint64(len(plain)))))
}

// inflate returns the packs in a pack of many.
func inflate(pack []byte) (packs [][]byte, err error) {
	size, n := binary.Uvarint(pack[1:])
	if n <= 0 || size > change.MaxSavedRestored {
		return nil, fmt.Errorf("%w: of %d bytes", errPack, size)
	}
	frame := pack[1+n:]
	plain, err := unpacking.DecodeAll(frame, make([]byte, 0, min(size, uint64(shrinksBy*len(frame)))))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPack, err)
	}
	if uint64(len(plain)) != size {
		return nil, fmt.Errorf("%w: of %d bytes, not %d", errPack, len(plain), size)
	}
	for len(plain) > 0 {
		size, n := binary.Uvarint(plain)
		if n <= 0 || size > uint64(len(plain)-n) {
			return nil, errPack
		}
		packs = append(packs, plain[n:n+int(size)])
		plain = plain[n+int(size):]
	}
	return packs, nil
}

// shrinksBy is more than what packs shrink by. More room than that is not made before
// they are seen.
const shrinksBy = 64

// inflated returns the size of a pack of ours before it was compressed.
func inflated(pack []byte) int {
	if pack[0] != packMany {
		return len(pack)
	}
	size, _ := binary.Uvarint(pack[1:])
	return int(size)
}
