package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starling-sync/starling/encryption"
)

// TestNothingInTheClearInABackup backs up what two daemons hold, with names in it
// that occur nowhere else: nothing of them, of the recovery words and of the ids is
// in the file, nor in the directory that is restored from it; and it all comes back.
func TestNothingInTheClearInABackup(t *testing.T) {
	secrets := newScanner()
	a, b, c := newMachine(t, "a"), newMachine(t, "b"), newMachine(t, "c")
	var account begun
	a.run(&account, "init", "--name", "planted-name-of-a", "--yes")
	b.name = "planted-name-of-b"
	a.up()
	a.invite(b)
	b.up(a.peers()...)
	secrets.addIDs(t, a, &account)
	text := strings.Join(account.Words, " ")
	words, err := encryption.ParseRecoveryWords(text)
	a.check(err)
	identity, err := words.AgeIdentity()
	a.check(err)
	secrets.addText(t, "age identity", identity)
	planted := plant(t, secrets, "found", a, b)
	dir := t.TempDir()
	file := filepath.Join(dir, "file.age")
	b.run(nil, "backup", file)
	found, files, size, err := secrets.findInTree(dir)
	if err != nil || files != 1 || size < 4096 || len(found) > 0 {
		t.Errorf("%d files with %d bytes, found %v, %v", files, size, found, err)
	}
	var before, after json.RawMessage
	b.run(&before, "state")
	a.kill()
	b.kill()
	list := filepath.Join(t.TempDir(), "words")
	c.check(os.WriteFile(list, []byte(text), 0o600))
	c.run(nil, "restore", file, "--name", "planted-name-of-b", "--words-file", list, "--yes")
	c.run(&after, "state")
	if !sameState(string(before), string(after)) {
		t.Errorf("the state is\n%s\nand was\n%s", after, before)
	}
	for _, marker := range planted {
		if !strings.Contains(string(after), marker) {
			t.Errorf("%s has not come back", marker)
		}
	}
	found, files, _, err = secrets.findInTree(c.dir)
	if err != nil || files < 5 || len(found) > 0 {
		t.Errorf("%d files restored, found %v, %v", files, found, err)
	}
	checkScan(t, secrets, planted[0])
	again := filepath.Join(dir, "again.age")
	c.run(nil, "backup", again)
	if was, is := epochsIn(t, file, words), epochsIn(t, again, words); is != was+1 {
		t.Errorf("%d epochs of %d: the lost devices know the one that counts", is, was)
	}
}

// epochsIn is how many epoch records there are in a backup.
func epochsIn(t *testing.T, file string, words encryption.RecoveryWords) uint64 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := encryption.OpenBackup(f, words)
	for err == nil {
		_, err = b.Next()
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return b.Manifest().Epochs
}
