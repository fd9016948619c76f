package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/zalando/go-keyring"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// The keychain of the session (Secret Service, or the keychain of macOS) can
// hold the key of a directory. Which entry is the directory's stands in a
// file of it, so that a directory can be moved.
const (
	keychainService = "starling"
	keychainName    = "keychain"
)

// hasKeychain says whether asking the keychain can work. Without the address
// of a session bus the library would try to start one.
func hasKeychain() bool {
	return runtime.GOOS == "darwin" || os.Getenv("DBUS_SESSION_BUS_ADDRESS") != ""
}

// keychainAnswers says whether there is a keychain that can be used now.
func keychainAnswers() bool {
	if !hasKeychain() {
		return false
	}
	_, err := keyring.Get(keychainService, "probe")
	return err == nil || errors.Is(err, keyring.ErrNotFound)
}

// newKeychainKey puts a new key into the keychain and returns it. undo takes
// it out again.
func newKeychainKey(dir string) (u encryption.Unlock, undo func(), err error) {
	undo = func() {}
	if !hasKeychain() {
		return u, undo, client.Errorf(client.CodeUnlock, "no keychain answers in this session: give --passphrase-file or --key-file")
	}
	entry, key := rand.Text(), make([]byte, 32)
	rand.Read(key)
	if err := keyring.Set(keychainService, entry, hex.EncodeToString(key)); err != nil {
		return u, undo, client.Errorf(client.CodeUnlock, "keychain: %w", err)
	}
	if err := writeEntry(dir, entry); err != nil {
		return u, undo, errors.Join(err, keyring.Delete(keychainService, entry))
	}
	undo = func() { _ = forgetKeychainKey(dir) } // the entry alone opens nothing
	return encryption.UnlockKeychain(key), undo, nil
}

// writeEntry names the entry of the directory, durably.
func writeEntry(dir, entry string) error {
	err := replaceFile(filepath.Join(dir, keychainName), func(w io.Writer) error {
		_, err := fmt.Fprintln(w, entry)
		return err
	})
	if err != nil {
		return fmt.Errorf("keychain entry of %s: %w", dir, err)
	}
	return nil
}

func readEntry(dir string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, keychainName))
	return strings.TrimSpace(string(raw)), err
}

// keychainKey gets the key of a directory, as hexadecimal digits.
func keychainKey(dir string) (string, error) {
	entry, err := readEntry(dir)
	if err != nil {
		return "", client.Errorf(client.CodeUnlock, "%s opens with a key in the keychain, and which one is not known: %w", dir, err)
	}
	if !hasKeychain() {
		return "", client.Errorf(client.CodeUnlock, "%s opens with a key in the keychain, and no keychain answers in this session", dir)
	}
	key, err := keyring.Get(keychainService, entry)
	if err != nil {
		return "", client.Errorf(client.CodeUnlock, "%s opens with a key in the keychain: %w", dir, err)
	}
	return key, nil
}

// forgetKeychainKey removes the key of a directory that opens with something
// else now.
func forgetKeychainKey(dir string) error {
	entry, err := readEntry(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, e := range []string{entry, entry + numberSuffix} {
		if err := keyring.Delete(keychainService, e); err != nil && !errors.Is(err, keyring.ErrNotFound) {
			return fmt.Errorf("keychain: %w", err)
		}
	}
	return os.Remove(filepath.Join(dir, keychainName))
}
