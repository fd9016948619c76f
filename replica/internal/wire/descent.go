package wire

import "bytes"

// Print says in a few bytes what the sender's documents are like, to a device that
// holds the same envelopes. Other fingerprints under the same digest mean that
// documents differ.
type Print struct {
	Digest      [4]byte // the first bytes of the digest
	Fingerprint [8]byte // the first bytes of the fingerprint
}

// Probe asks for what is below a prefix of document ids in the tree of hashes.
type Probe struct {
	Prefix []byte // at most MaxPrefix bytes, none for the root
}

// Probed answers a Probe: with the documents below the prefix where these are few,
// and otherwise, and at the root, with a sum for each byte that an id may go on with.
type Probed struct {
	Prefix []byte
	Sums   [][32]byte // Branches of them, or none
	Leaves []Leaf     // ascending by id; those are all there are, when there are no Sums
}

// Leaf is a document in the tree of hashes.
type Leaf struct {
	ID   [16]byte
	Hash [32]byte // of the id and heads
}

// Branches is how many branches each inner node of the tree has.
const Branches = 256

const (
	sizePrint = 4 + 8
	sizeLeaf  = 16 + 32
)

// The forms of a Probed.
const (
	formSums   = 0
	formLeaves = 1
)

// Type implements Message.
func (*Print) Type() Type { return TypePrint }

// Type implements Message.
func (*Probe) Type() Type { return TypeProbe }

// Type implements Message.
func (*Probed) Type() Type { return TypeProbed }

func (m *Print) append(b []byte) ([]byte, error) {
	return append(append(b, m.Digest[:]...), m.Fingerprint[:]...), nil
}

func (m *Probe) append(b []byte) ([]byte, error) { return append(b, m.Prefix...), nil }

func (m *Probed) append(b []byte) ([]byte, error) {
	b = append(append(b, byte(len(m.Prefix))), m.Prefix...)
	if len(m.Sums) > 0 {
		b = append(b, formSums)
		for _, s := range m.Sums {
			b = append(b, s[:]...)
		}
		return b, nil
	}
	b = append(b, formLeaves)
	for _, l := range m.Leaves {
		b = append(append(b, l.ID[:]...), l.Hash[:]...)
	}
	return b, nil
}

func decodePrint(b []byte) (Message, error) {
	if len(b) != sizePrint {
		return nil, malformed("print of %d bytes", len(b))
	}
	return &Print{Digest: [4]byte(b[:4]), Fingerprint: [8]byte(b[4:])}, nil
}

func decodeProbed(b []byte) (Message, error) {
	if len(b) == 0 || int(b[0]) > MaxPrefix || len(b) < 1+int(b[0])+1 {
		return nil, malformed("branch of %d bytes", len(b))
	}
	m := &Probed{Prefix: b[1 : 1+b[0]]}
	form, rest := b[1+b[0]], b[2+b[0]:]
	switch {
	case form == formSums && len(rest) == Branches*32:
		for i := range Branches {
			m.Sums = append(m.Sums, [32]byte(rest[32*i:]))
		}
	case form == formLeaves && len(rest)%sizeLeaf == 0 && len(rest) <= MaxLeaves*sizeLeaf:
		for ; len(rest) > 0; rest = rest[sizeLeaf:] {
			m.Leaves = append(m.Leaves, Leaf{ID: [16]byte(rest), Hash: [32]byte(rest[16:])})
		}
	default:
		return nil, malformed("branch of form %d in %d bytes", form, len(rest))
	}
	return m, nil
}

func (*Print) check() error { return nil }

func (m *Probe) check() error {
	if len(m.Prefix) > MaxPrefix {
		return malformed("prefix of %d bytes", len(m.Prefix))
	}
	return nil
}

// check makes sure that what is said of a branch belongs to it. There are no sums
// below the longest prefix, because no more than Branches documents are there, and
// no documents at the root, because who looks at these reads all that it has.
func (m *Probed) check() error {
	switch {
	case len(m.Prefix) > MaxPrefix, len(m.Prefix) == MaxPrefix && len(m.Sums) > 0:
		return malformed("branch below a prefix of %d bytes", len(m.Prefix))
	case len(m.Sums) > 0 && (len(m.Sums) != Branches || len(m.Leaves) > 0):
		return malformed("branch of %d sums and %d documents", len(m.Sums), len(m.Leaves))
	case len(m.Prefix) == 0 && len(m.Sums) == 0:
		return malformed("root without sums")
	case len(m.Leaves) > MaxLeaves:
		return malformed("branch of %d documents", len(m.Leaves))
	}
	for i, l := range m.Leaves {
		if !bytes.HasPrefix(l.ID[:], m.Prefix) || i > 0 && bytes.Compare(m.Leaves[i-1].ID[:], l.ID[:]) >= 0 {
			return malformed("branch: document %d is not in order", i)
		}
	}
	return nil
}
