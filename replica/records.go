package replica

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/store"
)

// The tables. Their numbers are on disk and are never used for anything else.
const (
	tableMeta    store.Table = 1  // format, instance, counters, announced, events, epoch, roster, place, rewound, unsure, generation, suspects, base
	tableMembers store.Table = 2  // SHA-256 → signed membership operation
	tableLog     store.Table = 3  // writer, number → logRecord
	tableChains  store.Table = 4  // writer → chainRecord
	tablePending store.Table = 5  // number → pendingRecord, own changes not yet sealed
	tableDocs    store.Table = 6  // document id → docRecord; and, with tailMark behind it, → tailRecord
	tableIndex   store.Table = 7  // kind, entity → view of the document
	tablePrints  store.Table = 8  // bucket → sum, of the fingerprint
	tableLocal   store.Table = 9  // namespace, 0, key → bytes; never replicated
	tableEpochs  store.Table = 10 // SHA-256 → epoch record or rewrap
	tableKeys    store.Table = 11 // number → exported HPKE key of this device, oldest first
	tableHolds   store.Table = 12 // device → writer → number; what that device is known to have
	tableCommon  store.Table = 13 // device → commonRecord; what both had when they were last known to be equal
)

// The keys of tableMeta.
var (
	keyFormat    = []byte("format")
	keyInstance  = []byte("instance")
	keyCounters  = []byte("counters")
	keyAnnounced = []byte("announced")
	keyEvents    = []byte("events")
	keyEpoch     = []byte("epoch")
	keyRoster    = []byte("roster")
	keyPlace     = []byte("place")   // where the store lives, as Config.Place says
	keyRewound   = []byte("rewound") // why a new writer is needed; while it is

	keyUnsure     = []byte("unsure")     // there while own operations may be missing
	keyGeneration = []byte("generation") // how often the store was opened and closed; see Generation
	keySuspects   = []byte("suspects")   // envelopes that processes ended with; see Journal
	keyBase       = []byte("base")       // where the logs begin; none: all are whole
)

// formatVersion is the version of everything in this file.
const formatVersion = 1

type formatRecord struct {
	_       struct{} `cbor:",toarray"`
	Version int
	Account [32]byte
	Device  [16]byte
}

// counters are the numbers that grow with the records.
type counters struct {
	_       struct{} `cbor:",toarray"`
	Arrival uint64   // of the last envelope in tableLog
	Sealed  uint64   // pending records below this number are sealed
	Pending uint64   // number of the next pending record
}

// backlog says whether own changes wait to be sealed.
func (c counters) backlog() bool { return c.Sealed < c.Pending }

// baseRecord says behind which chain each log begins. What came before is in the
// documents alone.
type baseRecord struct {
	_       struct{} `cbor:",toarray"`
	Dropped uint64   // envelopes that were once in tableLog
	Chains  map[[16]byte]chainRecord
}

func (r *baseRecord) chains() map[encryption.WriterID]encryption.Chain {
	chains := make(map[encryption.WriterID]encryption.Chain, len(r.Chains))
	for w, c := range r.Chains { // order-free: a map is filled
		chains[w] = c.chain()
	}
	return chains
}

// commonRecord is a core.Common. Nothing but bytes on the wire depends on it.
type commonRecord struct {
	_        struct{} `cbor:",toarray"`
	Digest   [32]byte
	Roster   [32]byte
	Frontier map[[16]byte]uint64
}

type logRecord struct {
	_       struct{} `cbor:",toarray"`
	Arrival uint64   // envelopes were applied here in this order
	Raw     []byte
}

type chainRecord struct {
	_       struct{} `cbor:",toarray"`
	Device  [16]byte
	Seq     uint64
	Head    [32]byte
	Members [32]byte
}

func chainToRecord(c encryption.Chain) chainRecord {
	return chainRecord{Device: c.Device, Seq: c.Seq, Head: c.Head, Members: c.Members}
}

func (r chainRecord) chain() encryption.Chain {
	return encryption.Chain{Device: r.Device, Seq: r.Seq, Head: r.Head, Members: r.Members}
}

// pendingRecord is an own change that is not sealed. After is what its dependencies
// are called by number; of own ones the writer is left out.
type pendingRecord struct {
	_      struct{} `cbor:",toarray"`
	Kind   uint8    // 0: it was sealed ahead of its turn, and nothing else is here
	Entity string
	Raw    []byte
	After  []placeRecord
}

type placeRecord struct {
	_      struct{} `cbor:",toarray"`
	Writer []byte
	Seq    uint64
}

// pending returns the record of a change of w.
func (c *localChange) pending(w encryption.WriterID) *pendingRecord {
	p := &pendingRecord{Kind: uint8(c.ref.Kind), Entity: c.ref.Entity, Raw: c.raw}
	for _, place := range c.after {
		r := placeRecord{Seq: place.Seq}
		if place.Actor != w {
			r.Writer = place.Actor[:]
		}
		p.After = append(p.After, r)
	}
	return p
}

// change returns a change of w that waits.
func (p *pendingRecord) change(w encryption.WriterID) (localChange, error) {
	c := localChange{ref: account.Ref{Kind: account.Kind(p.Kind), Entity: p.Entity}, raw: p.Raw}
	for _, r := range p.After {
		place := change.Place{Actor: w, Seq: r.Seq}
		switch len(r.Writer) {
		case 0:
		case len(place.Actor):
			place.Actor = [16]byte(r.Writer)
		default:
			return c, fmt.Errorf("a writer of %d bytes", len(r.Writer))
		}
		c.after = append(c.after, place)
	}
	return c, nil
}

func (p *pendingRecord) isSealed() bool { return p.Kind == 0 }

// docRecord is a document with what it is about: what Automerge saved, and packs of the
// changes since then. Leaf is its part of the fingerprint. What came after it was written
// is in the tail (tail.go).
type docRecord struct {
	_      struct{} `cbor:",toarray"`
	Kind   uint8
	Entity string
	Leaf   [32]byte
	Saved  []byte
	Packs  [][]byte
}

func (r *docRecord) load(w crdt.Writer) (*crdt.Document, error) {
	return crdt.LoadDocument(r.Saved, w, r.Packs...)
}

func (r *docRecord) ref() account.Ref {
	return account.Ref{Kind: account.Kind(r.Kind), Entity: r.Entity}
}

func logKey(w encryption.WriterID, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(nil), w[:]...), seq)
}

func numberKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func indexKey(r account.Ref) []byte { return append([]byte{byte(r.Kind)}, r.Entity...) }

func localKey(namespace, key string) []byte {
	return append(append([]byte(namespace), 0), key...)
}

// encode returns v in core deterministic CBOR. The types of this package
// cannot fail to encode.
func encode(v any) []byte {
	b, err := encMode.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // unreachable: only our own plain types are passed
	}
	return b
}

var encMode = func() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // unreachable: the options are constant
	}
	return m
}()

// get reads and decodes one record. It returns false if there is none.
func get(s store.Store, t store.Table, key []byte, v any) (bool, error) {
	b, err := s.Get(t, key)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := cbor.Unmarshal(b, v); err != nil {
		return false, &store.DamagedError{Table: t, Key: key, Err: err}
	}
	return true, nil
}
