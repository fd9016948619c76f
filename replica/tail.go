package replica

import (
	"bytes"
	"errors"

	"github.com/fxamacker/cbor/v2"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/replica/store"
)

// A document is kept in one record, under its id, or in two: that one as it was written
// last, and the tail, what came since, which is written again with each change. What a
// chat that is read a hundred times a day takes on the disk is then not ten kilobytes
// each time. A tail that has grown is written into the record, and goes.

// Bounds of a tail.
const (
	tailFrom  = 1 << 10 // bytes of a record from which on it gets one
	tailPacks = 16
)

// tailMark ends the key of a tail, behind the id: it follows its record.
const tailMark = 1

// tailRecord is what came of a document since its record was written. It counts if that
// is the record it was made for.
type tailRecord struct {
	_     struct{} `cbor:",toarray"`
	Whole [32]byte // the leaf that the record says
	Leaf  [32]byte // the leaf now
	Packs [][]byte
}

func tailKey(id account.DocumentID) []byte { return append(id[:len(id):len(id)], tailMark) }

// onDisk is what the store has of a document.
type onDisk struct {
	leaf  [32]byte // in the record
	size  int      // of the record in bytes, about; zero for none
	packs int      // in it
	tail  bool     // there is one, or may be
}

// wholeRecord is that of a record without a tail.
func wholeRecord(rec *docRecord) onDisk {
	return onDisk{leaf: rec.Leaf, size: rec.size(), packs: len(rec.Packs)}
}

// tailOf returns what of the packs of a document may be written as a tail, nil if its
// record is to be, which is so while it has less than from bytes.
func (o *onDisk) tailOf(packs [][]byte, from int) [][]byte {
	if o.size < from || len(packs) > o.packs+tailPacks {
		return nil
	}
	tail, size := packs[o.packs:], 0
	for _, p := range tail {
		size += len(p)
	}
	if 2*size > o.size {
		return nil
	}
	return tail
}

// docStored is a document as the store has it, with what is in its tail.
type docStored struct {
	docRecord
	onDisk onDisk
}

// extend adds the tail.
func (d *docStored) extend(t *tailRecord) bool {
	if t.Whole != d.Leaf || d.onDisk.tail {
		return false
	}
	d.Leaf, d.Packs, d.onDisk.tail = t.Leaf, append(d.Packs, t.Packs...), true
	return true
}

// getDocument returns a document, nil if there is none. Its error matches
// store.ErrDamaged if the record or the tail cannot be read.
func getDocument(s store.Store, id account.DocumentID) (*docStored, error) {
	var tail tailRecord
	tailed, err := get(s, tableDocs, tailKey(id), &tail) // first: a commit in between may write it into the record
	if err != nil {
		return nil, err
	}
	doc := &docStored{}
	found, err := get(s, tableDocs, id[:], &doc.docRecord)
	if err != nil {
		return nil, err
	}
	doc.onDisk = wholeRecord(&doc.docRecord)
	switch {
	case !found && !tailed:
		return nil, nil
	case found && (!tailed || doc.extend(&tail)):
		return doc, nil
	}
	doc = nil
	err = eachDocument(s, id[:], nil, func(_ account.DocumentID, now *docStored) error { doc = now; return nil }, refuseMalformed)
	if err != nil {
		return nil, err
	}
	return doc, nil
}

// refuseMalformed ends a scan with what is malformed.
func refuseMalformed(d *store.DamagedError) error { return d }

// eachDocument calls fn for the documents whose ids begin with a prefix, from a key on,
// by id, each with its tail in it; and malformed for what it does not understand, in its
// place. Errors are those of a scan. Of a document with a damaged tail fn gets what is in
// its record, and the error names the tail.
func eachDocument(s store.Store, prefix, from []byte, fn func(account.DocumentID, *docStored) error, malformed func(*store.DamagedError) error) error {
	d, stopped := docScan{fn: fn, malformed: malformed}, false
	err := s.Scan(tableDocs, prefix, from, func(key, value []byte) error {
		err := d.take(key, value)
		stopped = err != nil
		return err
	})
	if _, ended := damagedRecords(err); stopped || ended != nil {
		return err
	}
	if last := d.tell(); last != nil && !errors.Is(last, store.ErrStop) {
		return errors.Join(last, err)
	}
	return err
}

// docScan puts the records of a scan together.
type docScan struct {
	fn        func(account.DocumentID, *docStored) error
	malformed func(*store.DamagedError) error

	id  account.DocumentID
	doc *docStored // that was not told yet; nil for none
}

var errTail = errors.New("it is the tail of nothing")

func (d *docScan) take(key, value []byte) error {
	if len(key) == len(d.id)+1 && key[len(d.id)] == tailMark {
		return d.takeTail(key, value)
	}
	if err := d.tell(); err != nil {
		return err
	}
	next := &docStored{}
	if err := cbor.Unmarshal(value, &next.docRecord); err != nil || len(key) != len(d.id) {
		return d.malformed(&store.DamagedError{Table: tableDocs, Key: bytes.Clone(key), Err: err})
	}
	next.onDisk = wholeRecord(&next.docRecord)
	d.id, d.doc = account.DocumentID(key), next
	return nil
}

// takeTail adds a tail to its record. If that is impossible the document does not count
// as read.
func (d *docScan) takeTail(key, value []byte) error {
	var tail tailRecord
	err := cbor.Unmarshal(value, &tail)
	if err == nil && (d.doc == nil || !bytes.Equal(key[:len(d.id)], d.id[:]) || !d.doc.extend(&tail)) {
		err = errTail
	}
	if err == nil {
		return nil
	}
	if d.doc != nil && bytes.Equal(key[:len(d.id)], d.id[:]) {
		d.doc = nil
	}
	return d.malformed(&store.DamagedError{Table: tableDocs, Key: bytes.Clone(key), Err: err})
}

// tell calls fn with the document that was read.
func (d *docScan) tell() error {
	if d.doc == nil {
		return nil
	}
	doc := d.doc
	d.doc = nil
	return d.fn(d.id, doc)
}
