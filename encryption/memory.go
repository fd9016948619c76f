package encryption

import (
	"fmt"
)

// What lives in memory only is for simulations, which begin many lifetimes of many
// devices and have no directory for any of them.

// Found is Create without a directory: the identity is gone with the process.
func Found(o *CreateOptions) (*Identity, RecoveryWords, error) {
	f, err := found(o.Name, o.Now, readerOr(o.Random))
	if err != nil {
		return nil, RecoveryWords{}, fmt.Errorf("found an account: %w", err)
	}
	id, err := newIdentity(f.stored)
	if err != nil {
		return nil, RecoveryWords{}, fmt.Errorf("found an account: %w", err)
	}
	return id, NewRecoveryWords(f.seed), nil
}

// Identity is Save without a directory.
func (j *Joiner) Identity() (*Identity, error) {
	if j.stored == nil {
		return nil, fmt.Errorf("identity of %q: %w", j.name, errNoWelcome)
	}
	return newIdentity(j.stored)
}

// Copy returns an identity that knows what id knows, and learns apart from it. It
// stands for what OpenIdentity would read again.
func (id *Identity) Copy() *Identity {
	id.mu.RLock()
	defer id.mu.RUnlock()
	c := &Identity{
		account: id.account, keys: id.keys, badger: id.badger, record: id.record,
		device: id.device, log: id.log.clone(), ring: id.ring.clone(),
	}
	c.settle()
	return c
}
