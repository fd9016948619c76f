package wire

import (
	"github.com/klauspost/compress/zstd"
)

// The coders hold no state between calls and are safe for concurrent use.
// They are made at once and not at their first use: they hold channels, and
// one that is made inside a bubble of testing/synctest is of no use outside.
var (
	encoder = newEncoder()
	decoder = newDecoder()
)

func newEncoder() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // unreachable: the options are constant
	}
	e.EncodeAll(nil, nil) // makes the channel
	return e
}

func newDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxBatch), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // unreachable: the options are constant
	}
	return d
}

// inflate returns what one zstd frame (RFC 8878) holds, at most MaxBatch
// bytes. It refuses everything around and in a frame that says nothing about
// its content. It allocates what the frame says or its blocks can hold, which
// the decoder outgrows by no more than one block before it refuses.
func inflate(packed []byte) ([]byte, error) {
	size, err := checkFrame(packed)
	if err != nil {
		return nil, err
	}
	plain, err := decoder.DecodeAll(packed, make([]byte, 0, size))
	if err != nil {
		return nil, malformed("zstd: %v", err)
	}
	return plain, nil
}

// frameOptions are the bits of a frame header descriptor that must be zero:
// dictionary id, checksum, reserved, unused.
const frameOptions = 0x1f

// checkFrame looks at everything in a frame that can be known without
// decompressing it, and returns the most that it can inflate to.
func checkFrame(packed []byte) (size uint64, err error) {
	var h zstd.Header
	blocks, err := h.DecodeAndStrip(packed)
	if err != nil {
		return 0, malformed("zstd: %v", err)
	}
	if h.Skippable || packed[4]&frameOptions != 0 {
		return 0, malformed("zstd: frame that is skippable, or with a dictionary or a checksum")
	}
	if h.WindowSize > MaxWindow || h.FrameContentSize > MaxBatch {
		return 0, malformed("zstd: frame with a window of %d and %d bytes", h.WindowSize, h.FrameContentSize)
	}
	if h.SingleSegment {
		h.WindowSize = h.FrameContentSize
	}
	least, most, err := checkBlocks(blocks, min(h.WindowSize, maxBlock))
	if err != nil {
		return 0, err
	}
	size = h.FrameContentSize
	if !h.HasFCS {
		size = min(most, MaxBatch)
	}
	if size < least || size > most {
		return 0, malformed("zstd: blocks of %d to %d bytes in a frame of %d", least, most, size)
	}
	return size, nil
}

// maxBlock is the most that one block of any frame inflates to.
const maxBlock = 128 << 10

// checkBlocks walks over the blocks of a frame, which must end where the
// bytes end, and returns bounds of what they inflate to. Each inflates to at
// most limit bytes.
func checkBlocks(b []byte, limit uint64) (least, most uint64, err error) {
	for last := false; !last; {
		if len(b) < 3 {
			return 0, 0, malformed("zstd: cut within a block")
		}
		head := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		last = head&1 != 0
		size := uint64(head >> 3) // of what is stored
		from, to := size, size    // of what it inflates to
		switch head >> 1 & 3 {
		case 0: // as it is
		case 1: // one byte, repeated
			size = 1
		case 2: // compressed
			from, to = 0, limit
		default:
			return 0, 0, malformed("zstd: block of a reserved type")
		}
		if b = b[3:]; to > limit || uint64(len(b)) < size {
			return 0, 0, malformed("zstd: block of %d bytes, at most %d, with %d stored of %d", to, limit, len(b), size)
		}
		least, most = least+from, most+to
		b = b[size:]
	}
	if len(b) != 0 {
		return 0, 0, malformed("zstd: %d bytes behind the frame", len(b))
	}
	return least, most, nil
}
