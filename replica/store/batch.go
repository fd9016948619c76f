package store

import (
	"fmt"
	"iter"
)

// Batch is a list of puts and deletes for Commit. The zero value is empty and
// ready for use. It is not safe for concurrent use.
type Batch struct {
	ops  []Op
	size int
}

// Op is one put or delete of a batch.
type Op struct {
	Table  Table
	Key    []byte
	Value  []byte // of a put; never nil
	Delete bool
}

// Put sets a record. Of several operations on the same record the last one
// wins. Key and value are copied.
func (b *Batch) Put(t Table, key, value []byte) {
	buf := make([]byte, len(key)+len(value))
	n := copy(buf, key)
	copy(buf[n:], value)
	b.add(Op{Table: t, Key: buf[:n:n], Value: buf[n:]})
}

// Delete removes a record; it is no error if there is none. The key is copied.
func (b *Batch) Delete(t Table, key []byte) {
	b.add(Op{Table: t, Key: append([]byte{}, key...), Delete: true})
}

func (b *Batch) add(op Op) {
	b.ops = append(b.ops, op)
	b.size += len(op.Key) + len(op.Value)
}

// Append adds the operations of o behind those of b. The bytes are shared.
func (b *Batch) Append(o *Batch) {
	for _, op := range o.ops {
		b.add(op)
	}
}

// Len is the number of operations, those included that are overridden later.
func (b *Batch) Len() int { return len(b.ops) }

// Size is the number of bytes of all keys and values.
func (b *Batch) Size() int { return b.size }

// Reset empties b for reuse.
func (b *Batch) Reset() { *b = Batch{ops: b.ops[:0]} }

// Ops iterates over the operations in the order in which they were added, for
// implementations of Store. The bytes belong to the batch.
func (b *Batch) Ops() iter.Seq[Op] {
	return func(yield func(Op) bool) {
		for _, op := range b.ops {
			if !yield(op) {
				return
			}
		}
	}
}

// Check returns ErrTooLarge if an operation is over the limits of a record.
// Every implementation calls it first.
func (b *Batch) Check() error {
	for i, op := range b.ops {
		if len(op.Key) > MaxKey || len(op.Value) > MaxValue {
			return fmt.Errorf("operation %d, table %02x, key of %d bytes, value of %d bytes: %w",
				i, byte(op.Table), len(op.Key), len(op.Value), ErrTooLarge)
		}
	}
	return nil
}
