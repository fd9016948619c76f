package wire

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"testing"

	"github.com/starling-sync/starling/crdt/vectortest"
)

// packed is a vector of a batch by its bytes, codec first.
func packed(name, comment, expect string, raw []byte) *vectortest.Vector {
	return vectortest.New("batch-"+name, comment, expect).Hex("batch", raw)
}

// elidedVectors are of the zero writer, whose keys end as they are.
func elidedVectors(t *testing.T) []*vectortest.Vector {
	b, text := elidable(t, 4, 2), typed(t, 1, 3)
	grouped := &Batch{Docs: b.Docs, Changes: []BatchChange{b.Changes[0], b.Changes[2], b.Changes[1], b.Changes[3]}}
	badOf := func(b *Batch, name, comment string, alter func(*elidedBatch)) *vectortest.Vector {
		return packed("elided-"+name, comment, "ErrMalformed", append([]byte{codecElided}, elidedOf(t, b, alter)...))
	}
	bad := func(name, comment string, alter func(*elidedBatch)) *vectortest.Vector {
		return badOf(b, name, comment, alter)
	}
	run := func(alter func([]byte) []byte) func(*elidedBatch) {
		return func(e *elidedBatch) { e.Run = alter(e.Run) }
	}
	at := func(i int, delta byte) func(*elidedBatch) {
		return run(func(r []byte) []byte { r[i] += delta; return r })
	}
	in := func(stream, i int, delta byte) func(*elidedBatch) {
		return run(func(r []byte) []byte { r[streamAt(r, stream)+i] += delta; return r })
	}
	return []*vectortest.Vector{
		describeBatch(packed("elided", "four changes to two documents, elided", "ok", append([]byte{codecElided}, elidedOf(t, b, nil)...)), grouped),
		bad("cut", "the last byte of the run is missing", run(func(r []byte) []byte { return r[:len(r)-1] })),
		bad("trailing", "a byte behind the run", run(func(r []byte) []byte { return append(r, 0) })),
		bad("nothing", "an empty run", run(func([]byte) []byte { return nil })),
		bad("unknown", "a stream 14", at(0, 0x40)),
		bad("no-streams", "no streams", run(func(r []byte) []byte { return make([]byte, 2) })),
		bad("missing", "no counts", run(func(r []byte) []byte { r[1] &^= 1; return slices.Delete(r, 2, 3) })),
		bad("beyond", "the first stream is longer than the run", at(2, 120)),
		bad("borrowed", "a stream that takes a byte of the next", run(func(r []byte) []byte { r[2]++; r[3]--; return r })),
		bad("document", "a document more than the run has", func(e *elidedBatch) { e.Docs = append(e.Docs, Document{Kind: 1, Entity: "x"}) }),
		bad("no-documents", "a run of no documents", func(e *elidedBatch) { e.Docs = nil }),
		bad("twice", "a document twice", func(e *elidedBatch) { e.Docs[1] = e.Docs[0] }),
		bad("no-changes", "a document with no changes", in(0, 0, 254)),
		bad("number", "number 0 of a change", in(0, 1, 255)),
		bad("key", "a key beyond the next", in(7, 1, 2)),
		bad("type", "a type of value that is not known", in(9, 0, 3)),
		describeBatch(packed("elided-text", "a text that is typed", "ok", append([]byte{codecElided}, elidedOf(t, text, nil)...)), text),
		badOf(text, "on-nothing", "the first operation of a document goes on", in(6, 0, 80)),
		badOf(text, "form", "an operation goes on at the head of a text", in(6, 2, 32)),
		bad("pred", "a predecessor that is not before", in(12, 2, 255)),
	}
}

// streamAt is where stream i begins in a run whose streams are all short.
func streamAt(run []byte, i int) int {
	there := binary.BigEndian.Uint16(run)
	at := 2 + bits.OnesCount16(there)
	for _, n := range run[2 : 2+bits.OnesCount16(there&(1<<i-1))] {
		at += int(n)
	}
	return at
}

func batchVectors(t *testing.T) []*vectortest.Vector {
	plain := func(b *Batch) []byte { return append([]byte{codecPlain}, plainOf(t, b)...) }
	good := func(name, comment string, b *Batch) *vectortest.Vector {
		return describeBatch(packed(name, comment, "ok", plain(b)), b)
	}
	bad := func(name, comment, text string) *vectortest.Vector {
		return packed(name, comment, "ErrMalformed", unhex(t, "01"+text))
	}
	return []*vectortest.Vector{
		good("one", "one change to one document", batchOf(1, 3)),
		good("no-entity", "a document of a kind without entities", entity("")),
		good("entity-limit", "an entity of 512 bytes", entity(string(bytes.Repeat([]byte("é"), MaxEntity/2)))),
		good("four", "four changes to two documents", libraryBatch()),
		good("order-of-use", "documents in order of first use", indexed(0, 1, 0, 2, 1)),
		packed("nothing", "no bytes", "ErrMalformed", nil),
		packed("codec-0", "codec 0", "ErrUnsupported", unhex(t, "0082818201616181820041aa")),
		packed("codec-3", "codec 3", "ErrUnsupported", unhex(t, "0382818201616181820041aa")),
		bad("empty", "no CBOR", ""),
		bad("no-changes", "a document without changes", "82 8182016161 80"),
		bad("no-documents", "a change without documents", "82 80 81820041aa"),
		bad("neither", "neither documents nor changes", "82 80 80"),
		bad("null-table", "null in place of documents", "82 f6 81820041aa"),
		bad("kind-zero", "kind 0", "82 8182006161 81820041aa"),
		bad("kind-256", "kind 256", "82 81821901006161 81820041aa"),
		bad("kind-long", "kind 1 in two bytes", "82 818218016161 81820041aa"),
		bad("entity-above", "an entity of 513 bytes", "82 818201790201"+string(bytes.Repeat([]byte("61"), MaxEntity+1))+"81820041aa"),
		bad("entity-bytes", "an entity as bytes", "82 8182014161 81820041aa"),
		bad("entity-utf8", "an entity that is not UTF-8", "82 81820161ff 81820041aa"),
		bad("entity-surrogate", "an entity with half a surrogate pair", "82 81820163eda080 81820041aa"),
		bad("index-beyond", "a change to a document that is not in the table", "82 8182016161 81820141aa"),
		bad("index-behind", "a change to the next document, behind the end of the table", "82 8182016161 82820041aa820141aa"),
		bad("index-32-bits", "an index of 32 bits", "82 8182016161 82820041aa821affffffff41aa"),
		bad("index-33-bits", "an index over 32 bits", "82 8182016161 82820041aa821b000000010000000041aa"),
		bad("index-long", "index 0 in two bytes", "82 8182016161 8182180041aa"),
		bad("unused", "a document that no change touches", "82 828201616182016162 81820041aa"),
		bad("order", "documents that are not in order of first use", "82 828201616182016162 82820141aa820041aa"),
		bad("twice", "a document twice", "82 828201616182016161 82820041aa820141aa"),
		bad("change-empty", "a change without bytes", "82 8182016161 81820040"),
		bad("change-text", "a change as text", "82 8182016161 8182006161"),
		bad("change-null", "null in place of a change", "82 8182016161 818200f6"),
		bad("change-long", "a length of 1 in two bytes", "82 8182016161 8182005801aa"),
		bad("change-beyond", "a change of 4 GiB", "82 8182016161 8182005affffffff"),
		bad("three-fields", "a third field", "83 8182016161 81820041aa 00"),
		bad("indefinite", "a list of indefinite length", "82 9f82016161ff 81820041aa"),
		bad("tag", "a tag before a change", "82 8182016161 818200c241aa"),
		bad("cut", "the last byte is missing", "82 8182016161 81820041"),
		bad("trailing-byte", "a byte behind the CBOR", "82 8182016161 81820041aa 00"),
	}
}

func zstdVectors(t *testing.T) []*vectortest.Vector {
	small, library := batchOf(2, 70), libraryBatch()
	plain := plainOf(t, small)
	stored, half := block(blockRaw, len(plain), plain...), len(plain)/2
	frame, empty := rawZstd(plain), undeclared(block(blockRaw, 0))
	skippable := unhex(t, "502a4d18 02000000 0102")
	good := func(name, comment string, b *Batch, raw []byte) *vectortest.Vector {
		return describeBatch(packed("zstd-"+name, comment, "ok", append([]byte{codecZstd}, raw...)), b)
	}
	bad := func(name, comment string, raw ...[]byte) *vectortest.Vector {
		return packed("zstd-"+name, comment, "ErrMalformed", slices.Concat([]byte{codecZstd}, slices.Concat(raw...)))
	}
	run := bytes.LastIndex(plain, bytes.Repeat([]byte{7}, 70)) // the second change ends the plain text
	return []*vectortest.Vector{
		good("stored", "one block, not compressed, size declared", small, frame),
		good("blocks", "three blocks, size not declared", small, undeclared(block(blockRaw, half, plain[:half]...),
			block(blockRaw, len(plain)-half, plain[half:]...), block(blockRaw, 0))),
		good("repeated", "a block that repeats a byte", small, declared(uint32(len(plain)), block(blockRaw, run, plain[:run]...), block(blockRLE, 70, 7))),
		good("small", "compressed, of so few bytes that the size is not declared", small, unhex(t, smallFrame)),
		good("libzstd", "by libzstd, size declared", library, unhex(t, libzstdDeclared)),
		good("libzstd-streamed", "by libzstd from a pipe, size not declared", library, unhex(t, libzstdStreamed)),
		bad("libzstd-checksum", "by libzstd, with a checksum", unhex(t, libzstdChecksum)),
		bad("empty", "no frame"),
		bad("magic", "another magic number", []byte{0x27}, frame[1:]),
		bad("cut-header", "ends within the header of the frame", frame[:7]),
		bad("cut-block", "ends within a block", frame[:len(frame)-1]),
		bad("cut-blocks", "ends before the last block", undeclared(stored, block(blockRaw, 0))[:6+len(stored)]),
		bad("trailing-byte", "a byte behind the frame", frame, []byte{0}),
		bad("two-frames", "an empty frame behind the frame", frame, empty),
		bad("skippable-first", "a skippable frame before the frame", skippable, frame),
		bad("skippable-last", "a skippable frame behind the frame", frame, skippable),
		bad("dictionary", "names a dictionary", zstdFrame{0xa1, slices.Concat([]byte{7}, frame[5:9]), nil}.bytes(), frame[9:]),
		bad("reserved-bit", "the reserved bit of the descriptor is set", zstdFrame{0xa8, frame[5:9], nil}.bytes(), frame[9:]),
		bad("unused-bit", "the unused bit of the descriptor is set", zstdFrame{0xb0, frame[5:9], nil}.bytes(), frame[9:]),
		bad("window", "a window of 9 MiB", zstdFrame{0x00, []byte{0x69}, [][]byte{stored}}.bytes()),
		bad("reserved-block", "a block of the reserved type", undeclared(block(blockReserved, 0), stored)),
		bad("block-above", "a block of 128 KiB and a byte", undeclared(block(blockRLE, maxBlock+1, 7))),
		bad("block-window", "a block larger than the window", zstdFrame{0x00, []byte{0x00}, [][]byte{block(blockRLE, 1025, 7)}}.bytes()),
		bad("garbage", "a compressed block that is none", undeclared(block(blockCompressed, 4, 0xff, 0xff, 0xff, 0xff))),
		bad("declares-less", "declares a byte less than it holds", declared(uint32(len(plain)-1), stored)),
		bad("declares-more", "declares a byte more than it holds", declared(uint32(len(plain)+1), stored)),
		bad("declares-limit", "declares 16 MiB and holds nothing", declared(MaxBatch, block(blockRaw, 0))),
		bad("declares-above", "declares 16 MiB and a byte, and holds it", declared(MaxBatch+1, append(rle(128), block(blockRaw, 1, 7))...)),
		bad("declares-2-64", "declares 2^64-1 bytes", zstdFrame{0xe0, bytes.Repeat([]byte{0xff}, 8), rle(1)}.bytes()),
		bad("bomb", "declares nothing and holds 16 MiB and a byte", undeclared(append(rle(128), block(blockRaw, 1, 7))...)),
		bad("bomb-declares-little", "declares 300 bytes and holds 16 MiB", declared(300, rle(128)...)),
		bad("not-cbor", "zeros", declared(200, block(blockRLE, 200, 0))),
	}
}
