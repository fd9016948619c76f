package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/vectortest"
)

// Frames of other implementations, of the four changes to two documents that
// libraryBatch is.
const (
	// libzstd 1.5.4, level 19: single segment, size declared.
	libzstdDeclared = "28b52ffd600b010503001285121890e901a7fdb74512bcb6996dd5eea2cd92c829ce1f3091014b9d84feb5bb4cf63523a3a3bcafeb82ece3a6db846de81c1d539c6fdcb955c7d5a733801fd8528960413bd8a15426faff06000b52b177930e688c41127dd0707947e719"
	// libzstd 1.5.4 from a pipe, level 3: window of 2 MiB, size not declared.
	libzstdStreamed = "28b52ffd00581d03002205131990a70ea75d641752226a095236f23f40e1cbcd81a03b934648a81c62ca73bb374372c7c6f6697243442159fba53ab2972bdb28209f70570557a1bb1d140f48e898403214417db5832bff1f07000b2401da319018d08441ba7dd0707947e719"
	// libzstd 1.5.4, level 19, with a checksum.
	libzstdChecksum = "28b52ffd640b010503001285121890e901a7fdb74512bcb6996dd5eea2cd92c829ce1f3091014b9d84feb5bb4cf63523a3a3bcafeb82ece3a6db846de81c1d539c6fdcb955c7d5a733801fd8528960413bd8a15426faff06000b52b177930e688c41127dd0707947e71962340c16"
)

// smallFrame is by the encoder that this package uses: two changes of 70
// bytes, so few that the size is not declared.
const smallFrame = "28b52ffd0000c5000078828182016463686174828200584607020428d704407075"

func libraryBatch() *Batch {
	b := &Batch{Docs: []Document{{Kind: 1, Entity: "signal:+4912345"}, {Kind: 2, Entity: "contact:ann"}}}
	for i := range 4 {
		raw := append([]byte("change "), byte('0'+i), ':', ' ')
		raw = append(raw, bytes.Repeat([]byte("read muted archived pinned "), 4)...)
		b.Changes = append(b.Changes, BatchChange{Doc: uint32(i % 2), Raw: raw})
	}
	return b
}

func makeVectors(t *testing.T) []*vectortest.Vector {
	return slices.Concat(frameVectors(t), helloVectors(t), frontierVectors(t), memberVectors(t), epochVectors(t),
		envelopeVectors(t), ackVectors(t), compareVectors(t), offerVectors(t), wantVectors(t), partVectors(t),
		neighbourVectors(t), refusalVectors(t), printVectors(t), probeVectors(t), probedVectors(t), resumeVectors(t), furtherVectors(t), batchVectors(t), elidedVectors(t), placedVectors(t), zstdVectors(t))
}

// said is a vector of a good message, and refused one of a body that is none.
func said(t *testing.T, name, comment string, m Message) *vectortest.Vector {
	return describe(vectortest.New(name, comment, "ok").Hex("frame", frameOf(t, m)), m)
}

func refused(t *testing.T, typ Type, name, comment, expect, body string) *vectortest.Vector {
	return vectortest.New(name, comment, expect).Hex("frame", rawFrame(typ, unhex(t, body)))
}

// What the bodies below are made of.
const (
	vecWriter1 = "50 00112233445566778899aabbccddeeff"
	vecWriter2 = "50 00112233445566778899aabbccddef00"
	vecHead    = "5820 101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
	vecDigest  = "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f"
	vecNonce   = "5051525354555657"
)

// tail returns the last n bytes of a text, which may have a CBOR head.
func tail(t *testing.T, text string, n int) []byte {
	raw := unhex(t, text)
	return raw[len(raw)-n:]
}

func frameVectors(t *testing.T) []*vectortest.Vector {
	one := func(name, comment, expect, frame string) *vectortest.Vector {
		return vectortest.New("frame-"+name, comment, expect).Hex("frame", unhex(t, frame))
	}
	return []*vectortest.Vector{
		one("length-zero", "a length of zero, without room for the type", "ErrMalformed", "00"),
		one("length-long", "a length of 9 in two bytes", "ErrMalformed", "8900 06"+vecNonce),
		one("length-five-bytes", "a length of 9 in five bytes", "ErrMalformed", "8980808000 06"+vecNonce),
		one("length-huge", "a length that takes five bytes", "ErrMalformed", "ffffffff0f 06"+vecNonce),
		one("type-zero", "type 0", "ErrMalformed", "09 00"+vecNonce),
		one("type-eight", "type 8, the first that has no meaning", "ErrMalformed", "09 08"+vecNonce),
		one("type-last", "type 255", "ErrMalformed", "09 ff"+vecNonce),
		one("cut-length", "ends within the length", "ErrUnexpectedEOF", "89"),
		one("cut-type", "ends before the type", "ErrUnexpectedEOF", "09"),
		one("cut-body", "ends within the body", "ErrUnexpectedEOF", "0906"+vecNonce[2:]),
		one("hello-limit", "announces a hello of 4,096 bytes and ends", "ErrUnexpectedEOF", "8120 01"),
		one("hello-above", "announces a hello of 4,097 bytes", "ErrMalformed", "8220 01"),
		one("frontier-limit", "announces a frontier of 249,891 bytes and ends", "ErrUnexpectedEOF", "a4a00f 02"),
		one("frontier-above", "announces a frontier of 249,892 bytes", "ErrMalformed", "a5a00f 02"),
		one("members-limit", "announces operations of 16,789,507 bytes and ends", "ErrUnexpectedEOF", "84e08008 03"),
		one("members-above", "announces operations of 16,789,508 bytes", "ErrMalformed", "85e08008 03"),
		one("envelope-limit", "announces an envelope of 1 MiB and ends", "ErrUnexpectedEOF", "818040 04"),
		one("envelope-above", "announces an envelope of 1 MiB and a byte", "ErrMalformed", "828040 04"),
		one("ack-limit", "announces an acknowledgement of 110,595 bytes and ends", "ErrUnexpectedEOF", "84e006 05"),
		one("ack-above", "announces an acknowledgement of 110,596 bytes", "ErrMalformed", "85e006 05"),
		one("offer-limit", "announces an offer of 458,755 bytes and ends", "ErrUnexpectedEOF", "84801c 09"),
		one("offer-above", "announces an offer of 458,756 bytes", "ErrMalformed", "85801c 09"),
		one("want-limit", "announces a request of 17,427 bytes and ends", "ErrUnexpectedEOF", "948801 0a"),
		one("want-above", "announces a request of 17,428 bytes", "ErrMalformed", "958801 0a"),
		one("part-limit", "announces a part of 9,437,201 bytes and ends", "ErrUnexpectedEOF", "9280c004 0b"),
		one("part-above", "announces a part of 9,437,202 bytes", "ErrMalformed", "9380c004 0b"),
		one("neighbours-limit", "announces neighbours of 1,090 bytes and ends", "ErrUnexpectedEOF", "c308 0c"),
		one("neighbours-above", "announces neighbours of 1,091 bytes", "ErrMalformed", "c408 0c"),
		one("print-above", "announces a print of 13 bytes", "ErrMalformed", "0e 0d"),
		one("probe-limit", "announces a prefix of 15 bytes and ends", "ErrUnexpectedEOF", "10 0e"),
		one("probe-above", "announces a prefix of 16 bytes", "ErrMalformed", "11 0e"),
		one("probed-limit", "announces a branch of 24,592 bytes and ends", "ErrUnexpectedEOF", "91c001 0f"),
		one("probed-above", "announces a branch of 24,593 bytes", "ErrMalformed", "92c001 0f"),
		one("type-thirteen", "type 13", "ErrMalformed", "09 0d"+vecNonce),
	}
}

func helloVectors(t *testing.T) []*vectortest.Vector {
	instance, digest := [8]byte(tail(t, vecNonce, 8)), [32]byte(tail(t, vecDigest, 32))
	body := "01" + vecNonce + vecDigest + "00"
	bad := func(name, comment, expect, body string) *vectortest.Vector {
		return refused(t, TypeHello, "hello-"+name, comment, expect, body)
	}
	return []*vectortest.Vector{
		said(t, "hello-good", "nothing waits to be sealed", &Hello{Instance: instance, Digest: digest}),
		said(t, "hello-backlog", "changes wait to be sealed", &Hello{Instance: instance, Digest: digest, Backlog: true}),
		bad("empty", "no body", "ErrMalformed", ""),
		bad("version-2", "version 2", "ErrUnsupported", "02"+body[2:]),
		bad("version-2-longer", "version 2, which may be longer", "ErrUnsupported", "02"+body[2:]+"00112233"),
		bad("version-0", "version 0", "ErrUnsupported", "00"+body[2:]),
		bad("cut", "one byte less", "ErrMalformed", body[:len(body)-2]),
		bad("trailing-byte", "one byte more", "ErrMalformed", body+"00"),
		bad("backlog-2", "a flag that is neither 0 nor 1", "ErrMalformed", body[:len(body)-2]+"02"),
	}
}

func frontierVectors(t *testing.T) []*vectortest.Vector {
	members, head := [32]byte(tail(t, vecDigest, 32)), [32]byte(tail(t, vecHead, 32))
	first, second := [16]byte(tail(t, vecWriter1, 16)), [16]byte(tail(t, vecWriter2, 16))
	bad := func(name, comment, list string) *vectortest.Vector {
		return refused(t, TypeFrontier, "frontier-"+name, comment, "ErrMalformed", vecDigest+list)
	}
	entry := func(writer, seq string) string { return "83" + writer + seq + vecHead }
	return []*vectortest.Vector{
		said(t, "frontier-empty", "of a device that holds nothing", &Frontier{Members: members}),
		said(t, "frontier-two", "two writers, the smallest and the largest number", &Frontier{Members: members, Entries: []Entry{
			{Writer: first, Seq: 1, Head: head}, {Writer: second, Seq: 1<<64 - 1, Head: head},
		}}),
		refused(t, TypeFrontier, "frontier-cut-digest", "31 bytes", "ErrMalformed", vecDigest[2:]),
		bad("no-list", "ends behind the digest", ""),
		bad("null", "null in place of the empty list", "f6"),
		bad("descending", "writers in descending order", "82"+entry(vecWriter2, "01")+entry(vecWriter1, "01")),
		bad("twice", "a writer twice", "82"+entry(vecWriter1, "01")+entry(vecWriter1, "02")),
		bad("zero", "number 0", "81"+entry(vecWriter1, "00")),
		bad("long-number", "number 1 in two bytes", "81"+entry(vecWriter1, "1801")),
		bad("float-number", "number 1 as a float", "81"+entry(vecWriter1, "f93c00")),
		bad("negative-number", "number -1", "81"+entry(vecWriter1, "20")),
		bad("big-number", "a number over 64 bits", "81"+entry(vecWriter1, "c249010000000000000000")),
		bad("long-count", "the count in two bytes", "9801"+entry(vecWriter1, "01")),
		bad("indefinite", "a list of indefinite length", "9f"+entry(vecWriter1, "01")+"ff"),
		bad("tag", "a tag before the number", "81"+entry(vecWriter1, "c101")),
		bad("short-writer", "a writer of 15 bytes", "81"+entry("4f"+vecWriter1[5:], "01")),
		bad("text-writer", "a writer as text", "81"+entry("70 61616161616161616161616161616161", "01")),
		bad("two-fields", "an entry without a head", "8182"+vecWriter1+"01"),
		bad("four-fields", "an entry with a fourth field", "8184"+vecWriter1+"01"+vecHead+"00"),
		bad("count-above", "counts 4,097 entries", "991001"+entry(vecWriter1, "01")),
		bad("trailing-byte", "a byte behind the list", "8000"),
	}
}

func epochVectors(t *testing.T) []*vectortest.Vector {
	bad := func(name, comment, body string) *vectortest.Vector {
		return refused(t, TypeEpochs, "epochs-"+name, comment, "ErrMalformed", body)
	}
	return []*vectortest.Vector{
		said(t, "epochs-none", "no record", &Epochs{}),
		said(t, "epochs-two", "two records", &Epochs{Records: [][]byte{{1}, bytes.Repeat([]byte{2}, 30)}}),
		bad("empty", "no body", ""),
		bad("null", "null in place of the empty list", "f6"),
		bad("empty-record", "a record without bytes", "8140"),
		bad("seventeen", "17 records", "91"+strings.Repeat("4101", 17)),
		bad("long-length", "a length of 1 in two bytes", "81580101"),
		bad("trailing-byte", "a byte behind the list", "8000"),
	}
}

func memberVectors(t *testing.T) []*vectortest.Vector {
	bad := func(name, comment, body string) *vectortest.Vector {
		return refused(t, TypeMembers, "members-"+name, comment, "ErrMalformed", body)
	}
	above := vectortest.New("members-operation-above", "an operation of 4,097 bytes", "ErrMalformed").
		Hex("frame", rawFrame(TypeMembers, append(unhex(t, "81591001"), make([]byte, MaxOp+1)...)))
	return []*vectortest.Vector{
		said(t, "members-none", "no operation", &Members{}),
		said(t, "members-two", "two operations", &Members{Ops: [][]byte{{1}, bytes.Repeat([]byte{2}, 30)}}),
		said(t, "members-operation-limit", "an operation of 4,096 bytes", membersOf(1, MaxOp)),
		above,
		bad("empty", "no body", ""),
		bad("null", "null in place of the empty list", "f6"),
		bad("empty-operation", "an operation without bytes", "8140"),
		bad("null-operation", "null in place of an operation", "81f6"),
		bad("text-operation", "an operation as text", "816101"),
		bad("long-length", "a length of 1 in two bytes", "81580101"),
		bad("indefinite-operation", "an operation in chunks", "815f4101ff"),
		bad("cut", "fewer operations than counted", "824101"),
		bad("length-beyond", "an operation of 4 GiB", "815affffffff"),
		bad("count-beyond", "counts 2^64-1 operations", "9bffffffffffffffff"),
		bad("trailing-byte", "a byte behind the list", "81410100"),
	}
}

func envelopeVectors(t *testing.T) []*vectortest.Vector {
	return []*vectortest.Vector{
		said(t, "envelope-one", "an envelope is any bytes here", &Envelope{Raw: unhex(t, vecDigest)}),
		refused(t, TypeEnvelope, "envelope-empty", "no bytes", "ErrMalformed", ""),
		vectortest.New("envelope-cut", "ends before its length", "ErrUnexpectedEOF").Hex("frame", unhex(t, "0a04"+vecNonce)),
	}
}

func ackVectors(t *testing.T) []*vectortest.Vector {
	first, second := [16]byte(tail(t, vecWriter1, 16)), [16]byte(tail(t, vecWriter2, 16))
	bad := func(name, comment, body string) *vectortest.Vector {
		return refused(t, TypeAck, "ack-"+name, comment, "ErrMalformed", body)
	}
	return []*vectortest.Vector{
		said(t, "ack-empty", "the backlog is sent", &Ack{}),
		said(t, "ack-two", "two writers", &Ack{Entries: []Acked{{Writer: first, Seq: 23}, {Writer: second, Seq: 24}}}),
		bad("no-body", "no body", ""),
		bad("null", "null in place of the empty list", "f6"),
		bad("descending", "writers in descending order", "8282"+vecWriter2+"0182"+vecWriter1+"01"),
		bad("twice", "a writer twice", "8282"+vecWriter1+"0182"+vecWriter1+"01"),
		bad("zero", "number 0", "8182"+vecWriter1+"00"),
		bad("long-number", "number 24 in three bytes", "8182"+vecWriter1+"190018"),
		bad("three-fields", "an entry with a third field", "8183"+vecWriter1+"0100"),
		bad("trailing-byte", "a byte behind the list", "8000"),
	}
}

func compareVectors(t *testing.T) []*vectortest.Vector {
	nonce, digest, print := [8]byte(tail(t, vecNonce, 8)), [32]byte(tail(t, vecDigest, 32)), [32]byte(tail(t, vecHead, 32))
	both := vecNonce + vecDigest + vecDigest
	return []*vectortest.Vector{
		said(t, "compare-one", "a question", &Compare{Nonce: nonce}),
		refused(t, TypeCompare, "compare-cut", "7 bytes", "ErrMalformed", vecNonce[2:]),
		refused(t, TypeCompare, "compare-trailing-byte", "9 bytes", "ErrMalformed", vecNonce+"00"),
		said(t, "compared-one", "an answer", &Compared{Nonce: nonce, Digest: digest, Fingerprint: print}),
		refused(t, TypeCompared, "compared-cut", "71 bytes", "ErrMalformed", both[2:]),
		refused(t, TypeCompared, "compared-trailing-byte", "73 bytes", "ErrMalformed", both+"00"),
	}
}
