package main

import (
	"context"
	"encoding/hex"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// vault is the replica of a daemon, behind its handler, and can be locked:
// then there is no replica, no network and no key in this process. Go gives
// no means to promise that no copy of a key is left in its memory.
type vault struct {
	ctx     context.Context // of the daemon, for what is opened later
	dir     string
	config  *engineConfig // but for the identity
	handler atomic.Pointer[http.Handler]

	mu     sync.Mutex
	engine *engine // guarded by mu; nil while locked
	ended  bool    // guarded by mu: never opened again
}

var _ client.Locker = (*vault)(nil)

// newVault takes over e.
func newVault(ctx context.Context, dir string, e *engine, config *engineConfig) *vault {
	v := &vault{ctx: ctx, dir: dir, config: config}
	v.open(e)
	return v
}

// open serves e. Not for concurrent use, but under mu.
func (v *vault) open(e *engine) {
	v.engine = e
	h := localapi.New(e, e.linker, &localapi.Config{Log: v.config.Log, Locker: v, Keeper: e})
	v.handler.Store(&h)
}

// ServeHTTP implements http.Handler. What was asked before locking ends with
// the replica.
func (v *vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*v.handler.Load()).ServeHTTP(w, r)
}

// Lock implements client.Locker.
func (v *vault) Lock(context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.lock()
}

func (v *vault) lock() error {
	h := localapi.Locked(v, &localapi.Config{Log: v.config.Log})
	v.handler.Store(&h)
	e := v.engine
	v.engine = nil
	if e == nil {
		return nil
	}
	err := e.Close()
	debug.FreeOSMemory()
	return coded(err)
}

// Unlock implements client.Locker.
func (v *vault) Unlock(_ context.Context, key client.Key) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.engine != nil || v.ended {
		return client.Errorf(client.CodeInUse, "this device is not locked")
	}
	u, err := unlockOf(key)
	if err != nil {
		return err
	}
	id, err := encryption.OpenIdentity(v.dir, u)
	if err != nil {
		return coded(err)
	}
	debug.FreeOSMemory() // what a passphrase costs
	e, err := openEngine(v.ctx, v.dir, v.config.of(id))
	if err != nil {
		return coded(err)
	}
	v.open(e)
	return nil
}

// Close ends it for good.
func (v *vault) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = true
	return v.lock()
}

// unlockOf reads what came over the socket.
func unlockOf(key client.Key) (encryption.Unlock, error) {
	given := 0
	for _, s := range []string{key.Passphrase, key.KeyFile, key.KeychainKey} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		return encryption.Unlock{}, client.Errorf(client.CodeBadRequest, "unlock: %d fields are given, want one", given)
	}
	if key.Passphrase != "" {
		return encryption.UnlockPassphrase([]byte(key.Passphrase)), nil
	}
	raw, err := hex.DecodeString(key.KeyFile + key.KeychainKey)
	if err != nil || len(raw) != 32 {
		return encryption.Unlock{}, client.Errorf(client.CodeUnlock, "unlock: want 64 hexadecimal digits") // the text is a secret
	}
	if key.KeychainKey != "" {
		return encryption.UnlockKeychain(raw), nil
	}
	return encryption.UnlockKey(raw), nil
}
