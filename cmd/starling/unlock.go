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

// unlock gets what opens an existing directory: from the files that the flags
// name, from the keychain, or from the person at the terminal.
func (a *app) unlock() (encryption.Unlock, error) {
	switch {
	case a.keyFile != "":
		return readKeyFile(a.keyFile)
	case a.passphraseFile != "":
		return readPassphraseFile(a.passphraseFile)
	}
	method, err := encryption.MethodOf(a.dir)
	switch {
	case err == nil && method == encryption.MethodKeychain:
		return keychainKey(a.dir)
	case !a.interactive():
		return encryption.Unlock{}, client.Errorf(client.CodeUnlock, "%s is locked: give --passphrase-file or --key-file", a.dir)
	case err == nil && method == encryption.MethodKeyFile:
		return encryption.Unlock{}, client.Errorf(client.CodeUnlock, "%s opens with a key file: give --key-file", a.dir)
	}
	p, err := a.askSecret("Passphrase: ")
	return encryption.UnlockPassphrase(p), err
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
			u, err = readKeyFile(k.keyFile)
			return u, undo, err
		}
		if err == nil {
			undo = func() { _ = os.Remove(k.keyFile) }
		}
		return u, undo, err
	case k.passphraseFile != "":
		u, err = readPassphraseFile(k.passphraseFile)
		return u, undo, err
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

func readKeyFile(path string) (encryption.Unlock, error) {
	u, err := encryption.ReadKeyFile(path)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return u, client.Errorf(client.CodeUnlock, "%w", err)
	}
	return u, err
}

func readPassphraseFile(path string) (encryption.Unlock, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return encryption.Unlock{}, client.Errorf(client.CodeUnlock, "passphrase file: %w", err)
	} else if err != nil {
		return encryption.Unlock{}, fmt.Errorf("passphrase file: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxPassphrase+1))
	if err != nil {
		return encryption.Unlock{}, fmt.Errorf("passphrase file: %w", err)
	}
	if len(raw) > maxPassphrase {
		return encryption.Unlock{}, client.Errorf(client.CodeTooLarge, "passphrase file %s: larger than %d bytes", path, maxPassphrase)
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return encryption.Unlock{}, client.Errorf(client.CodeUnlock, "passphrase file %s: the first line is empty", path)
	}
	return encryption.UnlockPassphrase([]byte(line)), nil
}
