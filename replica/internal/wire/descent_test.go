package wire

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/vectortest"
)

// sumsOf are the sums below a prefix of n bytes.
func sumsOf(n int) *Probed {
	m := &Probed{Prefix: bytes.Repeat([]byte{7}, n)}
	for i := range Branches {
		m.Sums = append(m.Sums, [32]byte{byte(i)})
	}
	return m
}

// leavesOf are n documents below a byte.
func leavesOf(n int) *Probed { return leavesBelow(make([]byte, 1), n) }

// longLeavesOf are n documents below the longest prefix that has so many.
func longLeavesOf(n int) *Probed { return leavesBelow(make([]byte, MaxPrefix-1), n) }

func leavesBelow(prefix []byte, n int) *Probed {
	m := &Probed{Prefix: prefix}
	for i := range n {
		l := Leaf{Hash: [32]byte{byte(i)}}
		l.ID[14], l.ID[15] = byte(i>>8), byte(i)
		m.Leaves = append(m.Leaves, l)
	}
	return m
}

func drawPrefix(t *rapid.T, most int) []byte {
	return rapid.SliceOfN(rapid.Byte(), 0, most).Draw(t, "prefix")
}

// drawProbed draws sums, or documents that all have the prefix.
func drawProbed(t *rapid.T) *Probed {
	m := &Probed{Prefix: drawPrefix(t, MaxPrefix-1)}
	if rapid.Bool().Draw(t, "sums") {
		for range Branches {
			m.Sums = append(m.Sums, [32]byte{byte(rapid.Byte().Draw(t, "sum"))})
		}
		return m
	}
	m.Prefix = append(m.Prefix[:min(len(m.Prefix), MaxPrefix-1)], 7)
	var ids [][16]byte
	for _, id := range drawWriters(t) {
		copy(id[:], m.Prefix)
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range slices.Compact(ids) {
		m.Leaves = append(m.Leaves, Leaf{ID: id, Hash: drawArray[[32]byte](t, "leaf")})
	}
	return m
}

// TestBranchesAreRefused gives bodies of a Probed, and of its like, that say nothing
// or something else than they should.
func TestBranchesAreRefused(t *testing.T) {
	sums, leaf := strings.Repeat(dig, Branches), w1[3:]+dig
	refuse(t, map[Type]map[string]string{
		TypePrint: {"empty": "", "cut": "01020304" + ins[2:], "trailing byte": "01020304" + ins + "00"},
		TypeProbe: {"sixteen bytes": w1[3:]},
		TypeProbed: {
			"empty": "", "no form": "00", "long prefix": "10" + w1[3:] + "01", "prefix beyond the end": "03 0101", "prefix and no form": "02 0101",
			"form of 2": "0002", "documents at the root": "0001" + leaf, "nothing at the root": "0001", "one sum": "0000" + dig, "no sums": "0000", "sums and a byte": "0000" + sums + "00", "a sum too few": "0000" + sums[64:],
			"half a document": "0101 01" + w1[3:], "document and a byte": "0101 01" + leaf + "00", "document of another branch": "0102 01" + leaf,
			"descending": "0101 01" + w1[3:33] + "02" + dig + leaf, "twice": "0101 01" + leaf + leaf, "sums below the longest prefix": "0f" + w1[5:] + "00" + sums,
		},
	})
	accept(t, map[Type]string{
		TypePrint: "01020304" + ins, TypeProbe: w1[5:], TypeProbed: "0101 01" + leaf + w1[3:33] + "02" + dig,
	})
	accept(t, map[Type]string{TypeProbe: "", TypeProbed: "0000" + sums})
}

func describeProbed(v *vectortest.Vector, m *Probed) {
	v.Hex("prefix", m.Prefix)
	for _, s := range m.Sums {
		v.Hex("sum", s[:])
	}
	for _, l := range m.Leaves {
		v.Text("document", fmt.Sprintf("%x %x", l.ID, l.Hash))
	}
}

func printVectors(t *testing.T) []*vectortest.Vector {
	digest, print := [4]byte(tail(t, vecDigest, 4)), [8]byte(tail(t, vecNonce, 8))
	bad := func(name, comment, body string) *vectortest.Vector {
		return refused(t, TypePrint, "print-"+name, comment, "ErrMalformed", body)
	}
	return []*vectortest.Vector{
		said(t, "print-one", "the beginnings of a digest and a fingerprint", &Print{Digest: digest, Fingerprint: print}),
		bad("empty", "no body", ""),
		bad("cut", "one byte less", vecNonce+vecNonce[:6]),
	}
}

func probeVectors(t *testing.T) []*vectortest.Vector {
	bad := func(name, comment, body string) *vectortest.Vector {
		return refused(t, TypeProbe, "probe-"+name, comment, "ErrMalformed", body)
	}
	return []*vectortest.Vector{
		said(t, "probe-root", "no prefix", &Probe{Prefix: []byte{}}),
		said(t, "probe-longest", "a prefix of 15 bytes", &Probe{Prefix: tail(t, vecID1, 15)}),
		bad("id", "a whole id", vecID1),
		bad("seventeen", "a prefix of 17 bytes", vecID1+"00"),
		bad("digest", "a prefix of 32 bytes", vecDigest),
	}
}

func probedVectors(t *testing.T) []*vectortest.Vector {
	first, second, hash := [16]byte(tail(t, vecID1, 16)), [16]byte(tail(t, vecID2, 16)), [32]byte(tail(t, vecDigest, 32))
	sums := strings.Repeat(vecDigest, Branches)
	bad := func(name, comment, body string) *vectortest.Vector {
		return refused(t, TypeProbed, "probed-"+name, comment, "ErrMalformed", body)
	}
	return []*vectortest.Vector{
		said(t, "probed-nothing", "no document below a byte", &Probed{Prefix: []byte{7}}),
		said(t, "probed-top", "256 sums at the root", sumsOf(0)),
		said(t, "probed-two", "two documents below a prefix of 15 bytes", &Probed{Prefix: first[:15], Leaves: []Leaf{{ID: first, Hash: hash}, {ID: second, Hash: hash}}}),
		said(t, "probed-sums", "256 sums below a byte", sumsOf(1)),
		bad("empty", "no body", ""),
		bad("no-form", "ends behind the prefix", "0160"),
		bad("form-2", "a form that is neither 0 nor 1", "0002"),
		bad("long-prefix", "a prefix of 16 bytes", "10"+vecID1+"01"),
		bad("cut-prefix", "ends within the prefix", "0360"),
		bad("few-sums", "255 sums", "0000"+sums[len(vecDigest):]),
		bad("many-sums", "256 sums and a byte", "0000"+sums+"00"),
		bad("deep-sums", "sums below a prefix of 15 bytes", "0f"+vecID1[:len(vecID1)-2]+"00"+sums),
		bad("root", "documents at the root", "0001"+vecID1+vecDigest),
		bad("root-nothing", "no document at the root, and no sums", "0001"),
		bad("cut", "ends within a document", "0160 01"+vecID1+vecDigest[2:]),
		bad("descending", "documents in descending order", "0160 01"+vecID2+vecDigest+vecID1+vecDigest),
		bad("twice", "a document twice", "0160 01"+vecID1+vecDigest+vecID1+vecDigest),
		bad("elsewhere", "a document that does not have the prefix", "0161 01"+vecID1+vecDigest),
	}
}
