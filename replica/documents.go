package replica

import (
	"errors"
	"fmt"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/replica/store"
)

// Bounds of the documents that stay in memory: how many, and what they take by the
// estimate of weigh.
const (
	maxOpen   = 4096
	openBytes = 24 << 20
)

// weigh estimates the memory of a document from the size of its record: 14 KB were
// measured for a record of 170 bytes, 73 KB for 1.7 KB, which is a history of 190
// changes, and 400 KB for 8 KB.
func weigh(saved []byte) int { return 5<<10 + 40*len(saved) }

// document is one document in memory. It is owned by the loop.
type document struct {
	ref   account.Ref
	id    account.DocumentID
	doc   *crdt.Document
	leaf  [32]byte // as the fingerprint holds it; zero for a new document
	dirty bool     // differs from its record
	bytes int      // of memory, as weigh has it of its record
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

	garbage collector

	batch *store.Batch                      // of the group in the making
	saved map[account.DocumentID]*docRecord // flushed in that group
	views views
	err   error // the first failure of an eviction in that group
}

func newDocuments(s store.Store, accountID [32]byte, w crdt.Writer, prints *fingerprint) *documents {
	d := &documents{store: s, account: accountID, writer: w, prints: prints}
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
	d.saved = map[account.DocumentID]*docRecord{}
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
		rec = &docRecord{}
		found, err := get(d.store, tableDocs, id[:], rec)
		if errors.Is(err, store.ErrDamaged) {
			return d.repair(ref, id, err)
		}
		if err != nil {
			return nil, err
		}
		if !found {
			doc, err := crdt.NewDocument(d.writer)
			return &document{ref: ref, id: id, doc: doc, bytes: weigh(nil)}, err
		}
	}
	doc, err := crdt.LoadDocument(rec.Saved, d.writer)
	if err != nil {
		return d.repair(ref, id, fmt.Errorf("%w: %w", store.ErrDamaged, err))
	}
	d.garbage.spend(weigh(rec.Saved))
	return &document{ref: ref, id: id, doc: doc, leaf: rec.Leaf, bytes: weigh(rec.Saved)}, nil
}

// repair makes a document anew whose record is damaged. It is at the same
// heads as before, so its leaf is what the fingerprint holds already.
func (d *documents) repair(ref account.Ref, id account.DocumentID, damage error) (*document, error) {
	doc, err := d.remake(ref)
	if err != nil {
		return nil, errors.Join(damage, fmt.Errorf("and it cannot be made anew: %w", err))
	}
	return &document{ref: ref, id: id, doc: doc, leaf: leafOf(id, doc.Heads()), dirty: true, bytes: weigh(nil)}, nil
}

// replace puts a new and empty document in place of one that is damaged.
func (d *documents) replace(ref account.Ref) (*document, error) {
	fresh, err := crdt.NewDocument(d.writer)
	if err != nil {
		return nil, err
	}
	doc := &document{ref: ref, id: ref.ID(d.account), doc: fresh, dirty: true}
	d.open.Add(doc.id, doc)
	return doc, d.err
}

// changed notes that doc differs from its record.
func (d *documents) changed(doc *document) {
	doc.dirty = true
	d.garbage.spend(changeBytes)
}

// evicted is called by the cache, with the document that makes room.
func (d *documents) evicted(_ account.DocumentID, doc *document) {
	if doc.dirty {
		if err := d.flush(doc); err != nil && d.err == nil {
			d.err = err
		}
	}
	d.bytes -= doc.bytes
}

// flush writes a dirty document, its index entry and its leaf.
func (d *documents) flush(doc *document) error {
	saved, err := doc.doc.Save()
	if err != nil {
		return fmt.Errorf("save %s %q: %w", doc.ref.Kind, doc.ref.Entity, err)
	}
	d.garbage.spend(weigh(saved)) // it was loaded again
	leaf := leafOf(doc.id, doc.doc.Heads())
	d.prints.replace(doc.id, doc.leaf, leaf)
	doc.leaf, doc.dirty = leaf, false
	d.bytes += weigh(saved) - doc.bytes
	doc.bytes = weigh(saved)
	rec := &docRecord{Kind: uint8(doc.ref.Kind), Entity: doc.ref.Entity, Leaf: leaf, Saved: saved}
	d.saved[doc.id] = rec
	d.batch.Put(tableDocs, doc.id[:], encode(rec))
	d.views.write(d.batch, doc)
	return nil
}

// finish writes every document that is still dirty.
func (d *documents) finish() error {
	for _, doc := range d.open.Values() {
		if doc.dirty {
			if err := d.flush(doc); err != nil {
				return err
			}
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
	d.open.Purge()
	d.saved = nil
	d.views.reset()
	d.stale = true
}
