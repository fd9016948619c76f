package encryption

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os" //lint:allow os the identity file and key files are this package's own, and this is the one file that touches them
	"path/filepath"
)

// identityFile is the one file in an identity's directory that belongs to this
// package.
const identityFile = "identity"

// Exists reports whether dir holds an identity, readable or not.
func Exists(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, identityFile))
	return !errors.Is(err, fs.ErrNotExist)
}

// MethodOf reports what the identity in dir opens with. Errors are those of
// OpenIdentity, without ErrWrongUnlock.
func MethodOf(dir string) (UnlockMethod, error) {
	raw, err := readIdentity(dir)
	if err != nil {
		return 0, err
	}
	h, _, err := parseBox(raw)
	if err != nil {
		return 0, fmt.Errorf("identity in %s: %w", dir, err)
	}
	return UnlockMethod(h.KDF), nil
}

// ChangeUnlock makes the identity in dir open with another passphrase or key.
// The old file is replaced in one step: after a crash it opens with the one or
// the other. Copies of the old file, in a backup of the directory for example,
// still open with the old one. Errors are those of OpenIdentity.
func ChangeUnlock(dir string, from, to Unlock) error {
	raw, err := readIdentity(dir)
	if err != nil {
		return fmt.Errorf("change unlock: %w", err)
	}
	plain, err := openBox(from, raw)
	if err != nil {
		return fmt.Errorf("change unlock of the identity in %s: %w", dir, err)
	}
	if raw, err = sealBox(to, defaultCost, plain, readerOr(nil)); err != nil {
		return fmt.Errorf("change unlock of the identity in %s: %w", dir, err)
	}
	if err := replace(dir, identityFile, raw); err != nil {
		return fmt.Errorf("change unlock of the identity in %s: %w", dir, err)
	}
	return nil
}

// replace is publish for a file that is there.
func replace(dir, name string, raw []byte) error {
	temp, err := writeTemp(dir, name, raw)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(dir, name)); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncDir(dir)
}

func readIdentity(dir string) ([]byte, error) {
	raw, err := readLimited(filepath.Join(dir, identityFile), MaxIdentity)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s", ErrNoIdentity, dir)
	case errors.Is(err, ErrTooLarge):
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return raw, err
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s: %w: more than %d bytes", path, ErrTooLarge, limit)
	}
	return raw, err
}

// writeIdentity makes raw the identity of dir: all of it or nothing, durable when
// it returns nil. It never replaces one; then it returns ErrExists.
func writeIdentity(dir string, raw []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create %s: %w", dir, err)
	}
	if err := publish(dir, identityFile, raw); err != nil {
		return fmt.Errorf("write the identity in %s: %w", dir, err)
	}
	return syncDir(filepath.Dir(filepath.Clean(dir)))
}

// publish writes a new file under a temporary name and then gives it its own.
func publish(dir, name string, raw []byte) error {
	temp, err := writeTemp(dir, name, raw)
	if err != nil {
		return err
	}
	defer os.Remove(temp) // fails when it was renamed, which is fine
	if err := rename(temp, filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

// writeTemp returns a synced file, readable by its owner only.
func writeTemp(dir, name string, raw []byte) (path string, err error) {
	f, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		os.Remove(f.Name())
	}
	return f.Name(), err
}

// rename gives temp its final name, which must be free. A hard link refuses to
// replace a file; where the file system has none, the check and the rename are
// two steps.
func rename(temp, final string) error {
	err := os.Link(temp, final)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return existsError(err)
	}
	return renameChecked(temp, final)
}

func renameChecked(temp, final string) error {
	if _, err := os.Lstat(final); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(ErrExists, err)
	}
	return os.Rename(temp, final)
}

func existsError(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	return err
}

// syncDir makes names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// CreateKeyFile writes a new key file: 32 random bytes as 64 hexadecimal digits
// and a newline, readable by its owner only. It refuses to overwrite with an
// error that is fs.ErrExist. Random nil is the system's source.
func CreateKeyFile(path string, random io.Reader) (Unlock, error) {
	key, err := newSecret(readerOr(random))
	if err != nil {
		return Unlock{}, fmt.Errorf("key file %s: %w", path, err)
	}
	dir, name := filepath.Split(filepath.Clean(path))
	if dir == "" {
		dir = "."
	}
	err = publish(dir, name, append(hex.AppendEncode(nil, key.slice()), '\n'))
	if errors.Is(err, ErrExists) {
		err = fs.ErrExist
	}
	if err != nil {
		return Unlock{}, fmt.Errorf("key file %s: %w", path, err)
	}
	return UnlockKey(key.slice()), nil
}

// ReadKeyFile reads what CreateKeyFile wrote. Errors never show the content.
func ReadKeyFile(path string) (Unlock, error) {
	text, err := readLimited(path, 128)
	if err != nil {
		return Unlock{}, fmt.Errorf("key file: %w", err)
	}
	text = bytes.TrimRight(text, "\r\n")
	key := make([]byte, hex.DecodedLen(len(text)))
	if n, err := hex.Decode(key, text); err != nil || n != 32 {
		return Unlock{}, fmt.Errorf("key file %s: %w: want 64 hexadecimal digits", path, ErrMalformed)
	}
	return UnlockKey(key), nil
}

// KeyFileExposed reports whether other users of the machine may read the file,
// as far as permission bits tell. A caller warns.
func KeyFileExposed(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, fmt.Errorf("key file: %w", err)
	}
	return info.Mode().Perm()&0o077 != 0, nil
}
