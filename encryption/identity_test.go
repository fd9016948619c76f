package encryption

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func createIn(t *testing.T, dir string, u Unlock) (*Identity, RecoveryWords) {
	t.Helper()
	id, words, err := Create(dir, u, &CreateOptions{Name: "laptop", Now: testTime, Random: seeded(1), cost: cheapCost})
	if err != nil {
		t.Fatal(err)
	}
	return id, words
}

func testKey() Unlock { return UnlockKey(bytes.Repeat([]byte{7}, 32)) }

func TestCreateThenOpen(t *testing.T) {
	keychain := UnlockKeychain(bytes.Repeat([]byte{8}, 32))
	for name, u := range map[string]Unlock{"passphrase": UnlockPassphrase([]byte("correct horse")), "key file": testKey(), "key in the keychain": keychain} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new", "place")
			if Exists(dir) {
				t.Fatal("exists before it was created")
			}
			created, words := createIn(t, dir, u)
			opened, err := OpenIdentity(dir, u)
			if err != nil {
				t.Fatal(err)
			}
			wantSameIdentity(t, opened, created)
			if len(words.Words()) != 24 || !Exists(dir) {
				t.Error("no words, or no file")
			}
			if method, err := MethodOf(dir); err != nil || method.String() != name {
				t.Errorf("MethodOf = %v, %v", method, err)
			}
		})
	}
}

func wantSameIdentity(t *testing.T, a, b *Identity) {
	t.Helper()
	same := a.Account() == b.Account() && a.Device() == b.Device() &&
		a.BadgerKey().Equal(b.BadgerKey()) && a.RecordKey().Equal(b.RecordKey()) &&
		a.keys.signingSeed.Equal(b.keys.signingSeed) && a.keys.hpkeSeed.Equal(b.keys.hpkeSeed) &&
		a.epoch.secret.Equal(b.epoch.secret) && a.MembershipDigest() == b.MembershipDigest() &&
		slices.EqualFunc(a.EpochRecords(), b.EpochRecords(), bytes.Equal)
	if !same {
		t.Error("the identities differ")
	}
}

func TestKeysOfAnIdentityAreDistinct(t *testing.T) {
	id, f := newFoundation(t, "laptop", 1)
	seen := map[[32]byte]bool{}
	for _, s := range []Secret{
		f.seed, id.badger, id.record, id.keys.signingSeed, id.keys.hpkeSeed, id.epoch.secret, id.epoch.data,
		id.epoch.control, id.epoch.previous, id.epoch.discovery, id.epoch.mailbox,
	} {
		if s.IsZero() || s.Reveal() == [32]byte{} || seen[s.Reveal()] {
			t.Error("a key is zero or used twice")
		}
		seen[s.Reveal()] = true
	}
}

func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	createIn(t, dir, testKey())
	before := readAll(t, dir)
	o := &CreateOptions{Name: "laptop", Now: testTime, cost: cheapCost}
	_, _, err := Create(dir, testKey(), o)
	wantError(t, err, ErrExists)
	if !bytes.Equal(before, readAll(t, dir)) {
		t.Error("the identity was touched")
	}
	for name, c := range map[string]struct {
		u    Unlock
		o    *CreateOptions
		want error
	}{
		"empty passphrase": {UnlockPassphrase(nil), o, ErrEmptyPassphrase},
		"no unlock":        {Unlock{}, o, nil},
		"short key":        {UnlockKey([]byte("short")), o, nil},
		"no name":          {testKey(), &CreateOptions{Now: testTime}, ErrMalformed},
		"no time":          {testKey(), &CreateOptions{Name: "laptop"}, ErrMalformed},
		"no randomness":    {testKey(), &CreateOptions{Name: "laptop", Now: testTime, Random: bytes.NewReader(make([]byte, 100))}, io.ErrUnexpectedEOF},
	} {
		dir := t.TempDir()
		if _, _, err := Create(dir, c.u, c.o); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if Exists(dir) {
			t.Errorf("%s: a file was written", name)
		}
	}
}

func readAll(t *testing.T, dir string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, identityFile))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestIdentityFileIsPrivateAndAlone(t *testing.T) {
	dir := t.TempDir()
	createIn(t, dir, testKey())
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != identityFile {
		t.Fatalf("directory holds %v, %v", entries, err)
	}
	info, err := entries[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestIdentityFileShowsNothing is what a thief of the disk sees.
func TestIdentityFileShowsNothing(t *testing.T) {
	dir := t.TempDir()
	id, words := createIn(t, dir, testKey())
	raw := readAll(t, dir)
	seed := words.Seed().Reveal()
	for name, plain := range map[string][]byte{
		"account": id.account[:], "device": id.device[:], "name": []byte("laptop"),
		"signing key": id.keys.signingPublic(), "signing seed": id.keys.signingSeed.slice(),
		"epoch": id.epoch.secret.slice(), "tag": id.epoch.tag[:], "recovery seed": seed[:],
		"badger key": id.badger.slice(), "genesis": id.Ops()[0][:64],
	} {
		if bytes.Contains(raw, plain) {
			t.Errorf("the file shows the %s", name)
		}
	}
	opened, err := openBox(testKey(), raw)
	if err != nil || bytes.Contains(opened, seed[:]) {
		t.Errorf("the recovery seed is stored: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	_, err := OpenIdentity(t.TempDir(), testKey())
	wantError(t, err, ErrNoIdentity)
	_, err = MethodOf(t.TempDir())
	wantError(t, err, ErrNoIdentity)

	byPhrase, byKey := t.TempDir(), t.TempDir()
	createIn(t, byPhrase, UnlockPassphrase([]byte("right")))
	createIn(t, byKey, testKey())
	_, err = OpenIdentity(byPhrase, UnlockPassphrase([]byte("wrong")))
	wantError(t, err, ErrWrongUnlock)
	_, err = OpenIdentity(byKey, UnlockKey(make([]byte, 32)))
	wantError(t, err, ErrWrongUnlock)
	_, err = OpenIdentity(byPhrase, testKey())
	wantError(t, err, ErrWrongUnlock)
	_, err = OpenIdentity(byKey, UnlockPassphrase([]byte("right")))
	wantError(t, err, ErrWrongUnlock)
	_, err = OpenIdentity(byPhrase, UnlockPassphrase(nil))
	wantError(t, err, ErrEmptyPassphrase)
}

// TestEveryFlipAndCutIsNoticed is what a tamperer of the disk can do.
func TestEveryFlipAndCutIsNoticed(t *testing.T) {
	dir := t.TempDir()
	createIn(t, dir, testKey())
	raw := readAll(t, dir)
	try := func(what string, at int, bad []byte) {
		_, err := parseIdentity(testKey(), bad)
		if !errors.Is(err, ErrWrongUnlock) && !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s at %d: %v", what, at, err)
		}
	}
	for i := range raw {
		bad := slices.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		try("flip", i, bad)
	}
	for n := 0; n < len(raw); n += 17 {
		try("cut", n, raw[:n])
	}
	try("appended", len(raw), append(slices.Clone(raw), 0))
}

// withHeader returns an identity file with another header.
func withHeader(h boxHeader) []byte {
	header := encode(h)
	raw := binary.BigEndian.AppendUint16([]byte(boxMagic), uint16(len(header)))
	return append(append(raw, header...), make([]byte, 64)...)
}

func TestHostileHeaderIsBoundedBeforeUse(t *testing.T) {
	cost := func(passes, memory uint32, threads uint8) boxHeader {
		return boxHeader{Version: 1, Suite: 1, KDF: kdfPassphrase, Cost: argonCost{Passes: passes, Memory: memory, Threads: threads}}
	}
	for name, h := range map[string]boxHeader{
		"no passes":        cost(0, 64, 1),
		"11 passes":        cost(11, 64, 1),
		"over 1 GiB":       cost(1, 1<<20+1, 1),
		"no memory":        cost(1, 0, 1),
		"no threads":       cost(1, 64, 0),
		"17 threads":       cost(1, 1024, 17),
		"memory below 8 p": cost(1, 15, 2),
		"costs with a key": {Version: 1, Suite: 1, KDF: kdfKey, Cost: argonCost{Passes: 1}},
		"unknown kdf":      {Version: 1, Suite: 1, KDF: 4},
		"no kdf":           {Version: 1, Suite: 1},
		"version":          {Version: 2, Suite: 1, KDF: kdfKey},
		"suite":            {Version: 1, Suite: 2, KDF: kdfKey},
	} {
		for _, u := range []Unlock{UnlockPassphrase([]byte("x")), testKey()} {
			if _, err := openBox(u, withHeader(h)); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := openBox(testKey(), withHeader(boxHeader{Version: 2, Suite: 1, KDF: kdfKey})); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a newer version: %v", err)
	}
	// At the limits it is tried, and only the content is wrong.
	if _, err := openBox(UnlockPassphrase([]byte("x")), withHeader(cost(10, 128, 16))); !errors.Is(err, ErrWrongUnlock) {
		t.Errorf("at the limits: %v", err)
	}
}

func TestDefaultCostIsTheDocumentedOne(t *testing.T) {
	if defaultCost != (argonCost{Passes: 3, Memory: 128 * 1024, Threads: 2}) || costOr(argonCost{}) != defaultCost {
		t.Errorf("default %+v", defaultCost)
	}
	if err := defaultCost.check(); err != nil {
		t.Error(err)
	}
}

// TestContentsMustBelongTogether seals contents that a bug or a tamperer with
// the key could have put together.
func TestContentsMustBelongTogether(t *testing.T) {
	_, f := newFoundation(t, "laptop", 1)
	_, other := newFoundation(t, "laptop", 2)
	for name, change := range map[string]func(s *storedIdentity){
		"other account":     func(s *storedIdentity) { s.Account = other.stored.Account },
		"other device":      func(s *storedIdentity) { s.Device = other.stored.Device },
		"other signing key": func(s *storedIdentity) { s.SigningSeed = other.stored.SigningSeed },
		"other hpke key":    func(s *storedIdentity) { s.HPKESeed = other.stored.HPKESeed },
		"no operations":     func(s *storedIdentity) { s.Operations = nil },
		"other operations":  func(s *storedIdentity) { s.Operations = other.stored.Operations },
		"no epoch":          func(s *storedIdentity) { s.Epochs = nil },
		"two epochs":        func(s *storedIdentity) { s.Epochs = append(s.Epochs, s.Epochs...) },
		"other epoch":       func(s *storedIdentity) { s.Epochs = other.stored.Epochs },
		"other record":      func(s *storedIdentity) { s.EpochRecords = other.stored.EpochRecords },
		"garbage record":    func(s *storedIdentity) { s.EpochRecords = [][]byte{{1}} },
		"version":           func(s *storedIdentity) { s.Version = 2 },
	} {
		s := *f.stored
		change(&s)
		raw, err := sealBox(testKey(), argonCost{}, encode(s), seeded(3))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseIdentity(testKey(), raw); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCrashLeavesNothingOrAll has what a crash before the rename leaves behind.
func TestCrashLeavesNothingOrAll(t *testing.T) {
	dir := t.TempDir()
	if _, err := writeTemp(dir, identityFile, []byte("half of an iden")); err != nil {
		t.Fatal(err)
	}
	if Exists(dir) {
		t.Fatal("a temporary file counts as an identity")
	}
	_, err := OpenIdentity(dir, testKey())
	wantError(t, err, ErrNoIdentity)
	createIn(t, dir, testKey())
	if _, err := OpenIdentity(dir, testKey()); err != nil {
		t.Error(err)
	}
}

func TestPublishNeverReplaces(t *testing.T) {
	for name, move := range map[string]func(temp, final string) error{"link": rename, "rename": renameChecked} {
		dir := t.TempDir()
		final := filepath.Join(dir, "f")
		for i, want := range []error{nil, ErrExists} {
			temp, err := writeTemp(dir, "f", []byte{byte(i)})
			if err != nil {
				t.Fatal(err)
			}
			if err := move(temp, final); !errors.Is(err, want) {
				t.Errorf("%s %d: %v", name, i, err)
			}
		}
		if raw, err := os.ReadFile(final); err != nil || !bytes.Equal(raw, []byte{0}) {
			t.Errorf("%s: file holds %v, %v", name, raw, err)
		}
	}
}

func TestOversizeIdentityIsRefused(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, identityFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(MaxIdentity+1), f.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = OpenIdentity(dir, testKey())
	wantError(t, err, ErrDamaged)
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	made, err := CreateKeyFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || len(text) != 65 || text[64] != '\n' {
		t.Fatalf("key file of %d bytes, %v", len(text), err)
	}
	read, err := ReadKeyFile(path)
	if err != nil || !bytes.Equal(read.key(), made.key()) {
		t.Errorf("read another key: %v", err)
	}
	if _, err := CreateKeyFile(path, nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("overwrote: %v", err)
	}
	if exposed, err := KeyFileExposed(path); err != nil || exposed {
		t.Errorf("exposed %v, %v", exposed, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if exposed, err := KeyFileExposed(path); err != nil || !exposed {
		t.Errorf("exposed %v, %v", exposed, err)
	}
}

func TestKeyFileOfAnotherFormIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	good := strings.Repeat("ab", 32)
	for _, text := range []string{"", "\n", good[1:], good + "ab", good[:63] + "x", strings.Repeat("x", 200)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKeyFile(path); err == nil {
			t.Errorf("%q was read", text)
		} else if len(text) > 40 && strings.Contains(err.Error(), text[:40]) {
			t.Error("the error shows the key")
		}
	}
	if err := os.WriteFile(path, []byte(good+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKeyFile(path); err != nil {
		t.Errorf("with a carriage return: %v", err)
	}
}

// TestRecoveryWordsOpenTheEpoch is what the words are for: authority, and the
// content where a record is left.
func TestRecoveryWordsOpenTheEpoch(t *testing.T) {
	id, words := createIn(t, t.TempDir(), testKey())
	recovery, err := recoveryKeys(words.Seed())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(id.log.ops[0].genesis.RecoverySigning, recovery.signingPublic()) {
		t.Error("the words are not the account's")
	}
	r, err := parseEpochRecord(id.EpochRecords()[0])
	if err != nil {
		t.Fatal(err)
	}
	e, err := r.unwrap(id.account, recovery.hpke)
	if err != nil || !e.secret.Equal(id.epoch.secret) {
		t.Errorf("unwrap: %v", err)
	}
}

func TestCreateNeedsATimeAfter1970(t *testing.T) {
	_, err := found("laptop", time.UnixMilli(-1), seeded(1))
	wantError(t, err, ErrMalformed)
}
