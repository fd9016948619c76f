package replica

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/replica/store"
)

// Bounds of the documents that stay in memory: how many, and what they take by
// Document.Weight.
const (
	maxOpen   = 4096
	openBytes = 24 << 20
)

// A document is not saved anew with every change: that takes Automerge as long as
// reading all of it. What is kept of it grows by packs of changes, and Automerge saves it
// when these outgrow what was saved before, or when the device rests. That saves no
// room, packs take half as much: it is the second opinion on what the document is.
const (
	maxSince   = 4 << 10 // bytes of packs that a document has, and thrice what was saved
	looseSince = 1 << 10 // from which on a document is saved when the device rests
	tidyPart   = 64      // documents that are, in one group
)

// document is one document in memory. It is owned by the loop.
type document struct {
	ref   account.Ref
	id    account.DocumentID
	doc   *crdt.Document
	leaf  [32]byte // as the fingerprint holds it; zero for a new document
	dirty bool     // differs from its record
	stuck bool     // Automerge does not save it, and that was said
	bytes int      // of memory, about
	disk  onDisk   // what the store has of it
}

// documents are the documents in memory. During a group, a document that is
// evicted while dirty is written to the group's batch, and saved holds its
// record, because the store does not have it yet.
type documents struct {
	store   store.Store
	account [32]byte
	writer  crdt.Writer
	prints  *fingerprint
	open    *simplelru.LRU[account.DocumentID, *document]
	bytes   int // of those in open

	// remake makes a document from the log of envelopes when its record is
	// damaged, as it was after the last group.
	remake func(account.Ref) (*crdt.Document, error)
	// reload reads the fingerprint from the store.
	reload func() (*fingerprint, error)
	stale  bool // prints holds what a group that is not stored did to it
	// count makes the fingerprint anew from the documents in the store, which is
	// due when a document was replaced of which it was unknown how it was.
	count func() (*fingerprint, error)
	due   bool

	// risk notes that Automerge is given a document, and says whether it may be.
	risk func(account.DocumentID) bool
	// warn tells the operator that Automerge does not save a document.
	warn func(account.Ref, error)

	tailFrom int // as the constant

	loose map[account.DocumentID]*document // in memory, whose records are to be made small
	tidy  bool                             // now

	garbage collector

	batch *store.Batch                      // of the group in the making
	saved map[account.DocumentID]*docStored // flushed in that group
	views views
	err   error // the first failure of an eviction in that group
}

func newDocuments(s store.Store, accountID [32]byte, w crdt.Writer, prints *fingerprint) *documents {
	d := &documents{store: s, account: accountID, writer: w, prints: prints, tailFrom: tailFrom, loose: map[account.DocumentID]*document{}}
	lru, err := simplelru.NewLRU(maxOpen, d.evicted)
	if err != nil {
		panic(err) // unreachable: the size is positive
	}
	d.open = lru
	return d
}

// begin starts a group whose records go to b.
func (d *documents) begin(b *store.Batch) error {
	if d.stale || d.due {
		read := d.reload
		if d.due {
			read = d.count
		}
		prints, err := read()
		if err != nil {
			return err
		}
		*d.prints, d.stale, d.due = *prints, false, false
	}
	d.batch = b
	d.saved = map[account.DocumentID]*docStored{}
	d.err = nil
	return nil
}

// get returns the document that ref names, a new one if there is none.
func (d *documents) get(ref account.Ref) (*document, error) {
	id := ref.ID(d.account)
	if doc, ok := d.open.Get(id); ok {
		return doc, nil
	}
	doc, err := d.load(ref, id)
	if err != nil {
		return nil, fmt.Errorf("document of %s %q: %w", ref.Kind, ref.Entity, err)
	}
	d.bytes += doc.bytes
	d.open.Add(id, doc)
	for d.bytes > openBytes && d.open.Len() > 1 {
		d.open.RemoveOldest()
	}
	return doc, d.err
}

func (d *documents) load(ref account.Ref, id account.DocumentID) (*document, error) {
	rec, ok := d.saved[id]
	if !ok {
		var err error
		if rec, err = getDocument(d.store, id); errors.Is(err, store.ErrDamaged) {
			return d.repair(ref, id, err)
		} else if err != nil {
			return nil, err
		}
		if rec == nil {
			doc := crdt.NewDocument(d.writer)
			return &document{ref: ref, id: id, doc: doc, bytes: doc.Weight()}, nil
		}
	}
	loaded, err := rec.load(d.writer)
	if err != nil {
		return d.repair(ref, id, fmt.Errorf("%w: %w", store.ErrDamaged, err))
	}
	doc := &document{ref: ref, id: id, doc: loaded, leaf: rec.Leaf, bytes: loaded.Weight(), disk: rec.onDisk}
	d.noteLoose(doc)
	return doc, nil
}

// repair makes a document anew whose record is damaged. It is at the same
// heads as before, so its leaf is what the fingerprint holds already.
func (d *documents) repair(ref account.Ref, id account.DocumentID, damage error) (*document, error) {
	doc, err := d.remake(ref)
	if err != nil {
		return nil, errors.Join(damage, fmt.Errorf("and it cannot be made anew: %w", err))
	}
	return remade(ref, id, doc), nil
}

// remade is a document that was made anew, as it was before: what is on the disk cannot
// be read, and goes.
func remade(ref account.Ref, id account.DocumentID, doc *crdt.Document) *document {
	return &document{ref: ref, id: id, doc: doc, leaf: leafOf(id, doc.Heads()), dirty: true, bytes: doc.Weight(), disk: onDisk{tail: true}}
}

// become makes it another version of the document, of which nothing is on the disk.
func (d *document) become(version *crdt.Document) {
	d.doc, d.dirty, d.disk = version, true, onDisk{tail: true}
}

// replace puts a new and empty document in place of one that is damaged.
func (d *documents) replace(ref account.Ref) (*document, error) {
	doc := &document{ref: ref, id: ref.ID(d.account), doc: crdt.NewDocument(d.writer), dirty: true, disk: onDisk{tail: true}}
	d.open.Add(doc.id, doc)
	return doc, d.err
}

// evicted is called by the cache, with the document that makes room.
func (d *documents) evicted(id account.DocumentID, doc *document) {
	if doc.dirty {
		if err := d.flush(doc, false); err != nil && d.err == nil {
			d.err = err
		}
	}
	delete(d.loose, id)
	d.bytes -= doc.bytes
}

// flush writes a dirty document, its index entry and its leaf, and saves it if it has
// to be or is to be.
func (d *documents) flush(doc *document, save bool) error {
	saved, packs, err := doc.doc.Packs()
	if err == nil && (save || doc.doc.Since() > maxSince+3*len(saved)) {
		d.compact(doc)
		saved, packs, err = doc.doc.Packs()
	}
	leaf := leafOf(doc.id, doc.doc.Heads())
	if err == nil {
		err = d.put(doc, &docRecord{Kind: uint8(doc.ref.Kind), Entity: doc.ref.Entity, Leaf: leaf, Saved: saved, Packs: packs})
	}
	if err != nil {
		return fmt.Errorf("%s %q: %w", doc.ref.Kind, doc.ref.Entity, err)
	}
	d.prints.replace(doc.id, doc.leaf, leaf)
	doc.leaf, doc.dirty = leaf, false
	d.bytes -= doc.bytes
	doc.bytes = doc.doc.Weight()
	d.bytes += doc.bytes
	d.views.write(d.batch, doc)
	d.noteLoose(doc)
	return nil
}

// put writes a document: its tail if that will do, or else its record, with what came
// since in fewer packs.
func (d *documents) put(doc *document, rec *docRecord) (err error) {
	if tail := doc.disk.tailOf(rec.Packs, d.tailFrom); tail != nil {
		doc.disk.tail = true
		d.batch.Put(tableDocs, tailKey(doc.id), encode(tailRecord{Whole: doc.disk.leaf, Leaf: rec.Leaf, Packs: tail}))
		d.saved[doc.id] = &docStored{*rec, doc.disk}
		return nil
	}
	if _, rec.Packs, err = doc.doc.Stored(); err != nil {
		return err
	}
	if doc.disk.tail {
		d.batch.Delete(tableDocs, tailKey(doc.id))
	}
	d.batch.Put(tableDocs, doc.id[:], encode(rec))
	doc.disk = wholeRecord(rec)
	d.saved[doc.id] = &docStored{*rec, doc.disk}
	return nil
}

// savedWeight is how many bytes of memory Automerge takes for each that it saves, about.
const savedWeight = 24

// compact lets Automerge save a document. What it does not save stays as it is kept.
func (d *documents) compact(doc *document) {
	if doc.stuck || !d.risk(doc.id) {
		return
	}
	doc.disk.size = 0 // its packs are no more
	saved, err := doc.doc.Save()
	if err != nil {
		doc.stuck = true
		d.warn(doc.ref, err)
	}
	d.garbage.spend(savedWeight * len(saved))
}

// noteLoose notes whether the record of a document is to be made small.
func (d *documents) noteLoose(doc *document) {
	if doc.doc.Since() > looseSince && !doc.stuck {
		d.loose[doc.id] = doc
	} else {
		delete(d.loose, doc.id)
	}
}

// tidyUp makes some records small.
func (d *documents) tidyUp() error {
	n := 0
	for _, id := range slices.SortedFunc(maps.Keys(d.loose), func(a, b account.DocumentID) int { return bytes.Compare(a[:], b[:]) }) {
		if n++; n > tidyPart {
			return nil
		}
		doc := d.loose[id]
		if err := d.flush(doc, true); err != nil {
			return err
		}
		delete(d.loose, id) // also if it may not be made small
	}
	d.tidy = false
	return nil
}

// finish writes every document that is still dirty.
func (d *documents) finish() error {
	for _, doc := range d.open.Values() {
		if doc.dirty {
			if err := d.flush(doc, false); err != nil {
				return err
			}
		}
	}
	if d.tidy {
		if err := d.tidyUp(); err != nil {
			return err
		}
	}
	d.prints.flush(d.batch)
	d.saved = nil
	return d.err
}

// abort forgets every document in memory, because the store may not have what
// they hold. The next begin reads the fingerprint again.
func (d *documents) abort() {
	for _, doc := range d.open.Values() {
		doc.dirty = false
	}
	clear(d.loose)
	d.open.Purge()
	d.saved = nil
	d.views.reset()
	d.stale = true
}
