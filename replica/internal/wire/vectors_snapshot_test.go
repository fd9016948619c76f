package wire

import (
	"testing"

	"github.com/starling-sync/starling/crdt/vectortest"
)

// Ids of documents and devices, and the id of nothing, without a CBOR head.
const (
	vecID1  = "60616263646566676869 6a6b6c6d6e6f"
	vecID2  = "60616263646566676869 6a6b6c6d6e70"
	vecZero = "00000000000000000000000000000000"
)

func offerVectors(t *testing.T) []*vectortest.Vector {
	first, second := [16]byte(tail(t, vecWriter1, 16)), [16]byte(tail(t, vecWriter2, 16))
	head, members, device := [32]byte(tail(t, vecHead, 32)), [32]byte(tail(t, vecDigest, 32)), [16]byte(tail(t, vecID1, 16))
	bad := func(name, comment, body string) *vectortest.Vector {
		return refused(t, TypeOffer, "offer-"+name, comment, "ErrMalformed", body)
	}
	chain := func(writer, seq string) string {
		return "85" + writer + seq + vecHead + "50" + vecID1 + "5820" + vecDigest
	}
	return []*vectortest.Vector{
		said(t, "offer-none", "no chain", &Offer{}),
		said(t, "offer-two", "two writers, the smallest and the largest number", &Offer{Chains: []Chain{
			{Writer: first, Seq: 1, Head: head, Device: device, Members: members},
			{Writer: second, Seq: 1<<64 - 1, Head: head, Device: device, Members: members},
		}}),
		bad("empty", "no body", ""),
		bad("null", "null in place of the empty list", "f6"),
		bad("descending", "writers in descending order", "82"+chain(vecWriter2, "01")+chain(vecWriter1, "01")),
		bad("twice", "a writer twice", "82"+chain(vecWriter1, "01")+chain(vecWriter1, "02")),
		bad("zero", "number 0", "81"+chain(vecWriter1, "00")),
		bad("long-number", "number 1 in two bytes", "81"+chain(vecWriter1, "1801")),
		bad("short-writer", "a writer of 15 bytes", "81"+chain("4f"+vecWriter1[5:], "01")),
		bad("short-device", "a device of 15 bytes", "8185"+vecWriter1+"01"+vecHead+"4f"+vecID1[2:]+"5820"+vecDigest),
		bad("short-members", "a digest of 31 bytes", "8185"+vecWriter1+"01"+vecHead+"50"+vecID1+"581f"+vecDigest[2:]),
		bad("four-fields", "a chain without the digest of members", "8184"+vecWriter1+"01"+vecHead+"50"+vecID1),
		bad("six-fields", "a chain with a sixth field", "8186"+chain(vecWriter1, "01")[2:]+"00"),
		bad("cut", "fewer chains than counted", "82"+chain(vecWriter1, "01")),
		bad("trailing-byte", "a byte behind the list", "8000"),
	}
}

func wantVectors(t *testing.T) []*vectortest.Vector {
	first, second := [16]byte(tail(t, vecID1, 16)), [16]byte(tail(t, vecID2, 16))
	bad := func(name, comment, body string) *vectortest.Vector {
		return refused(t, TypeWant, "want-"+name, comment, "ErrMalformed", body)
	}
	return []*vectortest.Vector{
		said(t, "want-first", "the first documents", &Want{}),
		said(t, "want-after", "the documents behind one", &Want{After: first}),
		said(t, "want-two", "two documents", &Want{IDs: [][16]byte{first, second}}),
		bad("empty", "no body", ""),
		bad("short-after", "an id of 15 bytes, and no list", vecZero[2:]),
		bad("no-list", "ends behind the id", vecZero),
		bad("null", "null in place of the empty list", vecZero+"f6"),
		bad("both", "documents behind one, and a document", vecID1+"8150"+vecID2),
		bad("descending", "documents in descending order", vecZero+"8250"+vecID2+"50"+vecID1),
		bad("twice", "a document twice", vecZero+"8250"+vecID1+"50"+vecID1),
		bad("short-id", "an id of 15 bytes", vecZero+"814f"+vecID1[2:]),
		bad("text-id", "an id as text", vecZero+"8170"+vecID1),
		bad("long-count", "the count in two bytes", vecZero+"980150"+vecID1),
		bad("trailing-byte", "a byte behind the list", vecZero+"8000"),
	}
}

// partVectors do not look into the documents.
func partVectors(t *testing.T) []*vectortest.Vector {
	last, packed := [16]byte(tail(t, vecID1, 16)), tail(t, vecDigest, 32)
	bad := func(name, comment, body string) *vectortest.Vector {
		return refused(t, TypePart, "part-"+name, comment, "ErrMalformed", body)
	}
	return []*vectortest.Vector{
		said(t, "part-more", "more documents follow", &Part{More: true, Last: last, Packed: packed}),
		said(t, "part-last", "the last documents, in a byte", &Part{Last: last, Packed: packed[:1]}),
		bad("empty", "no body", ""),
		bad("cut-last", "ends within the id", "00"+vecID1[2:]),
		bad("nothing", "no documents", "00"+vecID1),
		bad("more-2", "a flag that is neither 0 nor 1", "02"+vecID1+vecDigest),
		bad("more-255", "a flag of 255", "ff"+vecID1+vecDigest),
	}
}

func neighbourVectors(t *testing.T) []*vectortest.Vector {
	first, second := [16]byte(tail(t, vecID1, 16)), [16]byte(tail(t, vecID2, 16))
	bad := func(name, comment, body string) *vectortest.Vector {
		return refused(t, TypeNeighbours, "neighbours-"+name, comment, "ErrMalformed", body)
	}
	return []*vectortest.Vector{
		said(t, "neighbours-none", "connected with nobody else", &Neighbours{}),
		said(t, "neighbours-two", "two devices", &Neighbours{Devices: [][16]byte{first, second}}),
		said(t, "neighbours-limit", "64 devices", neighboursOf(MaxNearby)),
		vectortest.New("neighbours-above", "65 devices, in more bytes than a frame has", "ErrMalformed").Hex("frame", neighboursAbove(t)),
		bad("empty", "no body", ""),
		bad("null", "null in place of the empty list", "f6"),
		bad("descending", "devices in descending order", "8250"+vecID2+"50"+vecID1),
		bad("twice", "a device twice", "8250"+vecID1+"50"+vecID1),
		bad("short-device", "a device of 15 bytes", "814f"+vecID1[2:]),
		bad("null-device", "null in place of a device", "81f6"),
		bad("long-count", "the count in two bytes", "980150"+vecID1),
		bad("indefinite", "a list of indefinite length", "9f50"+vecID1+"ff"),
		bad("cut", "fewer devices than counted", "8250"+vecID1),
		bad("trailing-byte", "a byte behind the list", "8000"),
	}
}

// refusalVectors are of the two messages that are one id.
func refusalVectors(t *testing.T) []*vectortest.Vector {
	bad := func(typ Type, name, comment, body string) *vectortest.Vector {
		return refused(t, typ, name, comment, "ErrMalformed", body)
	}
	return []*vectortest.Vector{
		said(t, "decline", "nothing more of a writer", &Decline{Writer: [16]byte(tail(t, vecID1, 16))}),
		bad(TypeDecline, "decline-empty", "no writer", ""),
		bad(TypeDecline, "decline-short", "a writer of 15 bytes", vecID1[2:]),
		bad(TypeDecline, "decline-trailing-byte", "a byte behind the writer", vecID1+"00"),
		bad(TypeDecline, "decline-two", "two writers", vecID1+vecID2),
		said(t, "locked", "an epoch that cannot be opened", &Locked{Epoch: [16]byte(tail(t, vecID2, 16))}),
		bad(TypeLocked, "locked-empty", "no epoch", ""),
		bad(TypeLocked, "locked-short", "an epoch of 15 bytes", vecID2[2:]),
		bad(TypeLocked, "locked-trailing-byte", "a byte behind the epoch", vecID2+"00"),
	}
}

func neighboursAbove(t *testing.T) []byte {
	body, err := neighboursOf(MaxNearby + 1).append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return rawFrame(TypeNeighbours, body)
}
