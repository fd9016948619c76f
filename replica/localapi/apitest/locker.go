package apitest

import (
	"context"
	"sync"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// Locker is a client.Locker in memory. The zero value is open.
type Locker struct {
	Key client.Key // that opens it; read-only

	mu     sync.Mutex
	locked bool // guarded by mu
}

var _ client.Locker = (*Locker)(nil)

// Lock implements client.Locker.
func (l *Locker) Lock(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.locked = true
	return nil
}

// Unlock implements client.Locker.
func (l *Locker) Unlock(_ context.Context, key client.Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.locked:
		return client.Errorf(client.CodeInUse, "not locked")
	case key != l.Key:
		return client.Errorf(client.CodeUnlock, "wrong key")
	}
	l.locked = false
	return nil
}

// Locked says whether it is locked.
func (l *Locker) Locked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.locked
}
