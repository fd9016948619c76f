// Package savedtest takes saved documents of Automerge apart and writes them, for
// tests: also such as no core would write. It shares nothing with package change,
// whose reader it is to try, and checks nothing.
//
// Parts is a document as columns, with everything in the order of the format.
// Document is one as changes and operations, which are put in columns as they stand.
package savedtest

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Column is a column, not compressed. Its specification is that of the uncompressed
// form also where Marshal compresses it.
type Column struct {
	Spec  uint64
	Bytes []byte
}

// Parts is a document chunk taken apart.
type Parts struct {
	Actors  [][]byte
	Heads   [][]byte
	Changes []Column
	Ops     []Column
	Places  []uint64 // of the heads among the changes
	Tail    []byte   // behind everything
	// DeflateFrom is the length from which on columns are compressed, 0 for that of
	// the core.
	DeflateFrom int
}

const (
	deflateBit  = 8
	deflateFrom = 256
	prefix      = 8 // magic and checksum
)

var magic = []byte{0x85, 0x6f, 0x4a, 0x83}

// Marshal writes the chunk, with the checksum that it has to have.
func (p *Parts) Marshal() []byte {
	body := binary.AppendUvarint(nil, uint64(len(p.Actors)))
	for _, a := range p.Actors {
		body = append(binary.AppendUvarint(body, uint64(len(a))), a...)
	}
	body = binary.AppendUvarint(body, uint64(len(p.Heads)))
	for _, h := range p.Heads {
		body = append(body, h...)
	}
	var data []byte
	for _, columns := range [][]Column{p.Changes, p.Ops} {
		body = binary.AppendUvarint(body, uint64(len(columns)))
		for _, c := range columns {
			spec, b := c.Spec, c.Bytes
			if len(b) >= p.deflateFrom() {
				spec, b = spec|deflateBit, Deflate(b)
			}
			body = binary.AppendUvarint(binary.AppendUvarint(body, spec), uint64(len(b)))
			data = append(data, b...)
		}
	}
	body = append(body, data...)
	for _, place := range p.Places {
		body = binary.AppendUvarint(body, place)
	}
	return Chunk(append(body, p.Tail...))
}

func (p *Parts) deflateFrom() int {
	if p.DeflateFrom == 0 {
		return deflateFrom
	}
	return p.DeflateFrom
}

// Chunk frames the contents of a document.
func Chunk(body []byte) []byte {
	hashed := append(binary.AppendUvarint([]byte{0}, uint64(len(body))), body...)
	sum := sha256.Sum256(hashed)
	return append(append(append([]byte{}, magic...), sum[:4]...), hashed...)
}

// Deflate compresses a column.
func Deflate(b []byte) []byte {
	var out bytes.Buffer
	z, err := flate.NewWriter(&out, flate.DefaultCompression)
	if err == nil {
		_, err = z.Write(b)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("deflate to memory: %v", err)) // only a wrong level fails
	}
	return out.Bytes()
}

// Split takes a document that the core has written apart.
func Split(saved []byte) (*Parts, error) {
	if len(saved) <= prefix {
		return nil, errors.New("split: no chunk")
	}
	r := &splitter{rest: saved[prefix+1:]}
	r.uint() // the length
	p := &Parts{}
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		p.Actors = append(p.Actors, r.take(r.uint()))
	}
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		p.Heads = append(p.Heads, r.take(sha256.Size))
	}
	changes, ops := r.heads(), r.heads()
	p.Changes, p.Ops = r.columns(changes), r.columns(ops)
	for range p.Heads {
		p.Places = append(p.Places, r.uint())
	}
	p.Tail = r.rest
	if r.err != nil {
		return nil, fmt.Errorf("split: %w", r.err)
	}
	return p, nil
}

type splitter struct {
	rest []byte
	err  error
}

func (r *splitter) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.err = io.ErrUnexpectedEOF
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *splitter) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.err = io.ErrUnexpectedEOF
		return nil
	}
	b := bytes.Clone(r.rest[:n])
	r.rest = r.rest[n:]
	return b
}

func (r *splitter) heads() (heads [][2]uint64) {
	for n := r.uint(); n > 0 && r.err == nil; n-- {
		heads = append(heads, [2]uint64{r.uint(), r.uint()})
	}
	return heads
}

func (r *splitter) columns(heads [][2]uint64) (columns []Column) {
	for _, h := range heads {
		b := r.take(h[1])
		if h[0]&deflateBit != 0 {
			var err error
			if b, err = io.ReadAll(flate.NewReader(bytes.NewReader(b))); err != nil {
				r.err = err
			}
		}
		columns = append(columns, Column{h[0] &^ deflateBit, b})
	}
	return columns
}
