package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/starling-sync/starling/replica/store"
)

// Local is a small map of records that belong to this device and are never
// replicated: last-known addresses, rate limits, preferences of an
// interface. They are encrypted like everything else.
type Local struct {
	r         *Replica
	namespace string
}

// Local returns the device-local map of a namespace, which must not hold a
// zero byte.
func (r *Replica) Local(namespace string) *Local { return &Local{r, namespace} }

// Get returns the value of a key, or ErrNotFound.
func (l *Local) Get(key string) ([]byte, error) {
	b, err := l.r.config.Store.Get(tableLocal, localKey(l.namespace, key))
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("local %s/%s: %w", l.namespace, key, closed(err))
	}
	return b, nil
}

// Put sets a key durably; a nil value removes it.
func (l *Local) Put(ctx context.Context, key string, value []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("local %s/%s: %w", l.namespace, key, err)
	}
	if strings.ContainsRune(l.namespace, 0) {
		return fmt.Errorf("%w: namespace %q", ErrBadEdit, l.namespace)
	}
	b := &store.Batch{}
	if value == nil {
		b.Delete(tableLocal, localKey(l.namespace, key))
	} else {
		b.Put(tableLocal, localKey(l.namespace, key), value)
	}
	if err := l.r.config.Store.Commit(b); err != nil {
		return fmt.Errorf("local %s/%s: %w", l.namespace, key, closed(err))
	}
	return nil
}

// All calls fn for every key, in order. The value is valid only during fn.
func (l *Local) All(fn func(key string, value []byte) error) error {
	prefix := localKey(l.namespace, "")
	err := l.r.config.Store.Scan(tableLocal, prefix, nil, func(key, value []byte) error {
		return fn(string(key[len(prefix):]), value)
	})
	if err != nil {
		return fmt.Errorf("local %s: %w", l.namespace, closed(err))
	}
	return nil
}
