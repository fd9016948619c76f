package disk

import (
	"bytes"

	"github.com/dgraph-io/badger/v4"
)

// cursor walks over the values of Badger under a prefix and opens their seals.
// It ends early, with err set, when Badger cannot go on.
type cursor struct {
	it      *badger.Iterator
	seal    *sealer
	prefix  []byte
	from    []byte
	started bool

	// What next found; valid until the next call.
	key    []byte // the whole key in Badger
	value  []byte // not meaningful if damage is set
	damage error  // why the value cannot be trusted

	err error // why the walk ended early, or nil
}

// newCursor starts at from or at the first key of prefix, whichever is later.
func newCursor(txn *badger.Txn, seal *sealer, prefix, from []byte) *cursor {
	if bytes.Compare(from, prefix) < 0 {
		from = prefix
	}
	c := &cursor{seal: seal, prefix: prefix, from: from}
	defer recovered(&c.err)
	c.it = txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	return c
}

// next moves to the first or the next value, and returns whether there is one.
func (c *cursor) next() (ok bool) {
	if c.err != nil {
		return false
	}
	defer recovered(&c.err)
	if !c.started {
		c.it.Seek(c.from)
		c.started = true
	} else {
		c.it.Next()
	}
	if !c.it.ValidForPrefix(c.prefix) {
		return false
	}
	item := c.it.Item()
	c.key = item.KeyCopy(c.key)
	c.damage = c.load(item)
	return true
}

func (c *cursor) load(item *badger.Item) (err error) {
	defer recovered(&err)
	return item.Value(func(sealed []byte) error {
		value, err := c.seal.open(c.value[:0], c.key, sealed)
		if err == nil {
			c.value = value
		}
		return err
	})
}

func (c *cursor) close() {
	if c.it != nil {
		c.it.Close()
	}
}
