package main

import (
	"errors"
	"strconv"

	"github.com/zalando/go-keyring"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
)

// keychainNumber is the number of a directory's store, in an entry beside its key.
type keychainNumber struct{ entry string }

var _ replica.Generation = keychainNumber{}

// numberSuffix tells the entry of the number from that of the key.
const numberSuffix = ".generation"

// generationOf is where the number of a directory is kept: in the keychain, if
// that has its key. Whoever gave a passphrase is not asked for a keychain too.
func generationOf(dir string) replica.Generation {
	method, err := encryption.MethodOf(dir)
	if err != nil || method != encryption.MethodKeychain || !hasKeychain() {
		return nil
	}
	entry, err := readEntry(dir)
	if err != nil {
		return nil
	}
	return keychainNumber{entry + numberSuffix}
}

func (k keychainNumber) Load() (uint64, error) {
	text, err := keyring.Get(keychainService, k.entry)
	if errors.Is(err, keyring.ErrNotFound) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	return strconv.ParseUint(text, 10, 64)
}

func (k keychainNumber) Save(n uint64) error {
	return keyring.Set(keychainService, k.entry, strconv.FormatUint(n, 10))
}
