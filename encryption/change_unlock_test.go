package encryption

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestChangeUnlock(t *testing.T) {
	dir, phrase := t.TempDir(), UnlockPassphrase([]byte("new"))
	created, _ := createIn(t, dir, testKey())
	if err := ChangeUnlock(dir, testKey(), phrase); err != nil {
		t.Fatal(err)
	}
	opened, err := OpenIdentity(dir, phrase)
	if err != nil {
		t.Fatal(err)
	}
	wantSameIdentity(t, opened, created)
	_, err = OpenIdentity(dir, testKey())
	wantError(t, err, ErrWrongUnlock)
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	if info, err := os.Stat(filepath.Join(dir, identityFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestChangeUnlockRefusesAndLeavesTheFile(t *testing.T) {
	dir := t.TempDir()
	createIn(t, dir, testKey())
	path := filepath.Join(dir, identityFile)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, ChangeUnlock(dir, UnlockKey(make([]byte, 32)), UnlockPassphrase([]byte("new"))), ErrWrongUnlock)
	wantError(t, ChangeUnlock(dir, UnlockKeychain(bytes.Repeat([]byte{7}, 32)), UnlockPassphrase([]byte("new"))), ErrWrongUnlock)
	wantError(t, ChangeUnlock(dir, testKey(), UnlockPassphrase(nil)), ErrEmptyPassphrase)
	wantError(t, ChangeUnlock(t.TempDir(), testKey(), testKey()), ErrNoIdentity)
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file changed: %v", err)
	}
}
