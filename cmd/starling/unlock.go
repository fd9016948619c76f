package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// maxPassphrase bounds a passphrase file, in bytes.
const maxPassphrase = 4 << 10

// keepers are what flags can name to protect a directory with.
type keepers struct {
	passphraseFile, keyFile string
	keychain                bool
}

// unlock gets what opens an existing directory.
func (a *app) unlock() (encryption.Unlock, error) {
	key, err := a.key()
	if err != nil {
		return encryption.Unlock{}, err
	}
	return unlockOf(key)
}

// key gets it from the files that the flags name, from the keychain, or from
// the person at the terminal.
func (a *app) key() (key client.Key, err error) {
	switch {
	case a.keyFile != "":
		key.KeyFile, err = readKeyFile(a.keyFile)
		return key, err
	case a.passphraseFile != "":
		key.Passphrase, err = readPassphraseFile(a.passphraseFile)
		return key, err
	}
	method, err := encryption.MethodOf(a.dir)
	switch {
	case err == nil && method == encryption.MethodKeychain:
		key.KeychainKey, err = keychainKey(a.dir)
		return key, err
	case !a.interactive():
		return key, client.Errorf(client.CodeUnlock, "%s is locked: give --passphrase-file or --key-file", a.dir)
	case err == nil && method == encryption.MethodKeyFile:
		return key, client.Errorf(client.CodeUnlock, "%s opens with a key file: give --key-file", a.dir)
	}
	p, err := a.askSecret("Passphrase: ")
	if err == nil && len(p) == 0 {
		err = client.Errorf(client.CodeUnlock, "the passphrase is empty")
	}
	key.Passphrase = string(p)
	return key, err
}

// unlockNew chooses what a new directory will open with: what the flags say,
// else the keychain if one answers, else a passphrase that is asked for.
func (a *app) unlockNew() (u encryption.Unlock, undo func(), err error) {
	k := keepers{a.passphraseFile, a.keyFile, false}
	if k == (keepers{}) && keychainAnswers() {
		k.keychain = true
		a.progress("The keys of this device are protected by the keychain of this session.")
	}
	return a.newUnlock(k)
}

// newUnlock makes what will open a directory. A key file that does not exist
// is made; undo takes back what was made.
func (a *app) newUnlock(k keepers) (u encryption.Unlock, undo func(), err error) {
	undo = func() {}
	switch {
	case k.keychain:
		return newKeychainKey(a.dir)
	case k.keyFile != "":
		u, err = encryption.CreateKeyFile(k.keyFile, nil)
		if errors.Is(err, fs.ErrExist) {
			u, err = encryption.ReadKeyFile(k.keyFile)
			return u, undo, keyFileError(err)
		}
		if err == nil {
			undo = func() { _ = os.Remove(k.keyFile) }
		}
		return u, undo, err
	case k.passphraseFile != "":
		p, err := readPassphraseFile(k.passphraseFile)
		return encryption.UnlockPassphrase([]byte(p)), undo, err
	case !a.interactive():
		return u, undo, client.Errorf(client.CodeUnlock, "nothing to protect the keys with: give --passphrase-file or --key-file")
	}
	u, err = a.choosePassphrase()
	return u, undo, err
}

func (a *app) choosePassphrase() (encryption.Unlock, error) {
	first, err := a.askSecret("New passphrase for this device: ")
	if err != nil {
		return encryption.Unlock{}, err
	}
	if len(first) == 0 {
		return encryption.Unlock{}, client.Errorf(client.CodeUnlock, "the passphrase is empty")
	}
	second, err := a.askSecret("The same again: ")
	if err != nil {
		return encryption.Unlock{}, err
	}
	if string(first) != string(second) {
		return encryption.Unlock{}, client.Errorf(client.CodeUnlock, "the two passphrases differ")
	}
	return encryption.UnlockPassphrase(first), nil
}

func (a *app) askSecret(prompt string) ([]byte, error) {
	a.prompt("%s", prompt)
	p, err := term.ReadPassword(int(a.stdin.Fd()))
	a.prompt("\n")
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	return p, nil
}

// readKeyFile returns the digits in a key file, checked.
func readKeyFile(path string) (string, error) {
	if _, err := encryption.ReadKeyFile(path); err != nil {
		return "", keyFileError(err)
	}
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}

func keyFileError(err error) error {
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return client.Errorf(client.CodeUnlock, "%w", err)
	}
	return err
}

func readPassphraseFile(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", client.Errorf(client.CodeUnlock, "passphrase file: %w", err)
	} else if err != nil {
		return "", fmt.Errorf("passphrase file: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
	if err != nil {
		return "", fmt.Errorf("passphrase file: %w", err)
	}
	if len(raw) > maxPassphrase {
		return "", client.Errorf(client.CodeTooLarge, "passphrase file %s: larger than %d bytes", path, maxPassphrase)
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", client.Errorf(client.CodeUnlock, "passphrase file %s: the first line is empty", path)
	}
	return line, nil
}
