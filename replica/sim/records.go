package sim

import (
	"encoding/binary"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/store"
)

// The checks read the records of a replica by themselves, and do not ask it what
// they say. These are the tables and keys that they know; the numbers are on disk
// and never change.
const (
	tableMeta    store.Table = 1
	tableMembers store.Table = 2
	tableLog     store.Table = 3
	tableChains  store.Table = 4
	tableIndex   store.Table = 7
	tableEpochs  store.Table = 10
)

type logRecord struct {
	_       struct{} `cbor:",toarray"`
	Arrival uint64
	Raw     []byte
}

type chainRecord struct {
	_       struct{} `cbor:",toarray"`
	Device  [16]byte
	Seq     uint64
	Head    [32]byte
	Members [32]byte
}

type formatRecord struct {
	_       struct{} `cbor:",toarray"`
	Version int
	Account [32]byte
	Device  [16]byte
}

// record reads one record; false if there is none.
func record(s *store.Memory, t store.Table, key []byte, v any) bool {
	b, err := s.Get(t, key)
	return err == nil && cbor.Unmarshal(b, v) == nil
}

// chainOn returns the number of the last envelope of a writer on a disk.
func chainOn(s *store.Memory, w encryption.WriterID) uint64 {
	var c chainRecord
	record(s, tableChains, w[:], &c)
	return c.Seq
}

// writerOn returns the writer that a disk belongs to, the zero one if it is empty.
func writerOn(s *store.Memory) encryption.WriterID {
	var f formatRecord
	nonce, err := s.Get(tableMeta, []byte("instance"))
	if err != nil || len(nonce) != 16 || !record(s, tableMeta, []byte("format"), &f) {
		return encryption.WriterID{}
	}
	return encryption.WriterFor(f.Device, [16]byte(nonce))
}

// generationOn returns the number that a directory has.
func generationOn(s *store.Memory) (n uint64) {
	record(s, tableMeta, []byte("generation"), &n)
	return n
}

// marks are those that a disk shows.
type marks map[string]bool

// marksOn reads the marks out of the index.
func marksOn(s *store.Memory) marks {
	m := marks{}
	_ = s.Scan(tableIndex, nil, nil, func(key, value []byte) error { // nothing here fails
		m.read(key, value)
		return nil
	})
	return m
}

// read takes the marks in one record of the index.
func (m marks) read(key, value []byte) {
	switch account.Kind(key[0]) {
	case account.KindChat:
		var c model.Chat
		if cbor.Unmarshal(value, &c) == nil {
			for _, l := range c.Labels {
				m.add(l)
			}
		}
	case account.KindSettings:
		var all []model.Setting
		if cbor.Unmarshal(value, &all) == nil {
			for _, s := range all {
				m.add(s.Key)
			}
		}
	}
}

func (m marks) add(name string) {
	if strings.HasPrefix(name, "mark ") {
		m[name] = true
	}
}

// eachEnvelope calls fn for the envelopes on a disk, by writer and number.
func eachEnvelope(s *store.Memory, fn func(w encryption.WriterID, seq uint64, raw []byte) error) error {
	return s.Scan(tableLog, nil, nil, func(key, value []byte) error {
		var r logRecord
		if err := cbor.Unmarshal(value, &r); err != nil {
			return err
		}
		return fn(encryption.WriterID(key[:16]), binary.BigEndian.Uint64(key[16:]), r.Raw)
	})
}
