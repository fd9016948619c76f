package replica

import (
	"errors"
	"fmt"

	"github.com/starling-sync/starling/replica/store"
)

// A device numbers the operations that it makes. One that began a new store, and
// could not read all of the roster that was in the old one, may have made some that
// it does not know of. It must not use their numbers again: nobody could take in
// both. So it makes none until another device has told what it knows.

// errUnsure is the error of whatever would make an operation.
var errUnsure = errors.New("this device has to meet another one first: it may have lost what it did to the account")

// beUnsure makes durable that operations may be missing.
func (l *loop) beUnsure() error {
	b := &store.Batch{}
	b.Put(tableMeta, keyUnsure, []byte{})
	if err := l.config.Store.Commit(b); err != nil {
		return fmt.Errorf("note that operations may be missing: %w", err)
	}
	l.unsure = true
	return nil
}

// loadUnsure reads it at Open.
func (l *loop) loadUnsure() error {
	_, err := l.config.Store.Get(tableMeta, keyUnsure)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	l.unsure = err == nil
	return err
}

// meetSure is called now and then. Once another device has told what it knows of the
// membership, what this one did to it is known again. Its key may be among what was
// lost; it is replaced then, and the sessions begin anew, in which the others hand
// over what was sealed for the old one.
func (l *loop) meetSure() {
	if !l.unsure || !l.core.Greeted() {
		return
	}
	b := &store.Batch{}
	b.Delete(tableMeta, keyUnsure)
	if err := l.config.Store.Commit(b); err != nil {
		l.fault("", fmt.Errorf("note that no operation is missing: %w", err))
		return
	}
	l.unsure = false
	if !l.r.id.NeedsRekey(l.config.Clock()) {
		return
	}
	if err := l.rekey(); err != nil {
		l.fault("", fmt.Errorf("replace the key of this device: %w", err))
	}
}
