package wire

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/starling-sync/starling/crdt/change"
)

// zstdFrame puts a zstd frame together by hand (RFC 8878, section 3.1.1).
type zstdFrame struct {
	descriptor byte
	fields     []byte // window descriptor, dictionary id and content size
	blocks     [][]byte
}

// The types of blocks.
const (
	blockRaw = iota
	blockRLE
	blockCompressed
	blockReserved
)

// block returns a block; size is what its header says. The last of a frame is
// marked by bytes.
func block(typ, size int, content ...byte) []byte {
	head := uint32(size)<<3 | uint32(typ)<<1
	return append([]byte{byte(head), byte(head >> 8), byte(head >> 16)}, content...)
}

func (f zstdFrame) bytes() []byte {
	out := append([]byte{0x28, 0xb5, 0x2f, 0xfd, f.descriptor}, f.fields...)
	for i, b := range f.blocks {
		b = bytes.Clone(b)
		if i == len(f.blocks)-1 {
			b[0] |= 1
		}
		out = append(out, b...)
	}
	return out
}

// undeclared returns a frame with a window of 8 MiB that does not say what it
// holds, and declared one in a single segment that says it.
func undeclared(blocks ...[]byte) []byte {
	return zstdFrame{0x00, []byte{0x68}, blocks}.bytes()
}

func declared(size uint32, blocks ...[]byte) []byte {
	return zstdFrame{0xa0, binary.LittleEndian.AppendUint32(nil, size), blocks}.bytes()
}

// rawZstd is a frame that holds plain, up to 128 KiB, as it is.
func rawZstd(plain []byte) []byte {
	return declared(uint32(len(plain)), block(blockRaw, len(plain), plain...))
}

// rle returns n blocks of 128 KiB of one byte, of four bytes each.
func rle(n int) [][]byte { return slices.Repeat([][]byte{block(blockRLE, maxBlock, 'a')}, n) }

// TestFramesOfOneForm pins what may stand in a batch besides blocks: nothing.
func TestFramesOfOneForm(t *testing.T) {
	plain := plainOf(t, batchOf(1, 20))
	good := block(blockRaw, len(plain), plain...)
	frame := rawZstd(plain)
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2}
	empty := declared(0, block(blockRaw, 0))
	size := byte(len(plain))
	ok := map[string][]byte{
		"raw block":           frame,
		"size in one byte":    zstdFrame{0x20, []byte{size}, [][]byte{good}}.bytes(),
		"size in eight bytes": zstdFrame{0xe0, []byte{size, 0, 0, 0, 0, 0, 0, 0}, [][]byte{good}}.bytes(),
		"no size":             undeclared(good),
		"empty last block":    undeclared(good, block(blockRaw, 0)),
		"largest window":      zstdFrame{0x00, []byte{0x68}, [][]byte{good}}.bytes(),
		"smallest window":     zstdFrame{0x00, []byte{0x00}, [][]byte{good}}.bytes(),
		"window and size":     zstdFrame{0x80, []byte{0x68, size, 0, 0, 0}, [][]byte{good}}.bytes(),
		"by the encoder":      encoder.EncodeAll(plain, nil),
	}
	for name, packed := range ok {
		got, err := inflate(packed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, packed := range map[string][]byte{
		"nothing":                   nil,
		"magic only":                frame[:4],
		"header only":               frame[:9],
		"cut in a block header":     frame[:11],
		"cut in a block":            frame[:len(frame)-1],
		"no last block":             bytes.Replace(frame, []byte{byte(len(plain)<<3) | 1}, []byte{byte(len(plain) << 3)}, 1),
		"trailing byte":             append(bytes.Clone(frame), 0),
		"trailing bytes of a frame": append(bytes.Clone(frame), frame[:3]...),
		"two frames":                append(bytes.Clone(frame), empty...),
		"empty frame first":         append(bytes.Clone(empty), frame...),
		"skippable frame first":     append(bytes.Clone(skippable), frame...),
		"skippable frame behind":    append(bytes.Clone(frame), skippable...),
		"skippable frame only":      skippable,
		"skippable frame as blocks": disguised(frame),
		"other magic":               append([]byte{0x27}, frame[1:]...),
		"checksum":                  checksummed(t, plain),
		"dictionary":                zstdFrame{0x21, []byte{7, size}, [][]byte{good}}.bytes(),
		"dictionary zero":           zstdFrame{0x21, []byte{0, size}, [][]byte{good}}.bytes(),
		"reserved bit":              zstdFrame{0x28, []byte{size}, [][]byte{good}}.bytes(),
		"unused bit":                zstdFrame{0x30, []byte{size}, [][]byte{good}}.bytes(),
		"window over 8 MiB":         zstdFrame{0x00, []byte{0x69}, [][]byte{good}}.bytes(),
		"reserved block":            undeclared(block(blockReserved, 0), good),
		"block over 128 KiB":        undeclared(block(blockRLE, maxBlock+1, 'a')),
		"block over the window":     zstdFrame{0x00, []byte{0x00}, [][]byte{block(blockRLE, 1025, 'a')}}.bytes(),
		"compressed garbage":        undeclared(block(blockCompressed, 4, 0xff, 0xff, 0xff, 0xff)),
		"declares one byte more":    zstdFrame{0x20, []byte{size + 1}, [][]byte{good}}.bytes(),
		"declares one byte less":    zstdFrame{0x20, []byte{size - 1}, [][]byte{good}}.bytes(),
	} {
		if _, err := inflate(packed); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			wantError(t, name, err, ErrMalformed)
		}
	}
}

// disguised puts a skippable frame before another one, so that the content of
// the first looks like the header of one block that is all of the rest.
func disguised(frame []byte) []byte {
	content := block(blockRaw, 29+len(frame), make([]byte, 29)...)
	content[0] |= 1
	return slices.Concat([]byte{0x50, 0x2a, 0x4d, 0x18, byte(len(content)), 0, 0, 0}, content, frame)
}

func checksummed(t *testing.T, plain []byte) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(true), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(plain, nil)
}

// stream compresses n bytes into blocks that do not tell what they inflate
// to, in a frame that does not either.
func stream(t *testing.T, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	e, err := zstd.NewWriter(&out, zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	part := bytes.Repeat([]byte("ab"), 1<<19)
	for ; n > 0; n -= len(part) {
		if _, err := e.Write(part[:min(n, len(part))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// redeclared puts the blocks of a stream into a frame that says that they
// have size bytes.
func redeclared(t *testing.T, packed []byte, size uint32) []byte {
	t.Helper()
	var h zstd.Header
	blocks, err := h.DecodeAndStrip(packed)
	if err != nil || h.HasFCS {
		t.Fatalf("%v, declares %v", err, h.HasFCS)
	}
	return append(declared(size), blocks...)
}

// TestBombs measures what a frame costs that inflates to more than it says or
// may. What can be seen in the headers costs nothing.
func TestBombs(t *testing.T) {
	const nothing, all = 64 << 10, 5 * MaxBatch / 2 // all: the buffer, and a longer one for one block more
	large := stream(t, 4*MaxBatch)
	for name, c := range map[string]struct {
		packed []byte
		most   uint64
	}{
		"declares nothing, blocks tell":            {undeclared(rle(129)...), nothing},
		"declares nothing, a million blocks":       {undeclared(rle(MaxEnvelope/4 - 3)...), nothing},
		"declares nothing, blocks do not tell":     {large, all},
		"declares little, blocks tell":             {declared(300, rle(129)...), nothing},
		"declares little, blocks do not tell":      {redeclared(t, large, 300), 1 << 20},
		"declares the limit, blocks do not tell":   {redeclared(t, large, MaxBatch), all},
		"declares the limit and holds nothing":     {declared(MaxBatch, block(blockRaw, 0)), nothing},
		"declares the limit and holds a block":     {declared(MaxBatch, rle(1)...), nothing},
		"declares one more than the limit":         {declared(MaxBatch+1, rle(129)...), nothing},
		"declares 1 GiB, blocks could hold it":     {declared(1<<30, slices.Repeat([][]byte{block(blockCompressed, 2, 0, 0)}, 8192)...), nothing},
		"declares 4 GiB":                           {declared(math.MaxUint32, rle(129)...), nothing},
		"declares 2^64-1, which may mean nothing":  {zstdFrame{0xe0, bytes.Repeat([]byte{0xff}, 8), rle(129)}.bytes(), nothing},
		"declares nothing, window of 1 TiB":        {zstdFrame{0x00, []byte{0xf0}, rle(1)}.bytes(), nothing},
		"declares nothing, one block of two bytes": {undeclared(block(blockCompressed, 2, 0, 0)), 1 << 20},
	} {
		if len(c.packed) >= MaxEnvelope {
			t.Fatalf("%s: %d bytes do not fit into an envelope", name, len(c.packed))
		}
		for what, open := range map[string]func([]byte) error{
			"batch": func(data []byte) error { _, err := DecodeBatch(change.Context{}, data); return err },
			"part":  func(data []byte) error { _, err := DecodeSaved(data, nil); return err },
		} {
			var err error
			got := allocated(func() { err = open(append([]byte{codecZstd}, c.packed...)) })
			wantError(t, what+" that "+name, err, ErrMalformed)
			if got > c.most+uint64(len(c.packed)) {
				t.Errorf("%s that %s: %d bytes allocated, at most %d", what, name, got, c.most)
			}
		}
	}
}

// TestInflateAtTheLimit inflates to exactly the most that is allowed, and
// to one byte more.
func TestInflateAtTheLimit(t *testing.T) {
	for name, packed := range map[string][]byte{
		"blocks tell":             undeclared(rle(128)...),
		"declared":                declared(MaxBatch, rle(128)...),
		"blocks do not tell":      stream(t, MaxBatch),
		"declared, do not tell":   redeclared(t, stream(t, MaxBatch), MaxBatch),
		"a byte behind the block": undeclared(append(rle(127), block(blockRLE, maxBlock-1, 'a'), block(blockRaw, 1, 'b'))...),
	} {
		if got, err := inflate(packed); err != nil || len(got) != MaxBatch {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for name, packed := range map[string][]byte{
		"blocks tell":        undeclared(append(rle(128), block(blockRaw, 1, 'b'))...),
		"blocks do not tell": stream(t, MaxBatch+1),
	} {
		_, err := inflate(packed)
		wantError(t, name+", one more", err, ErrMalformed)
	}
}
