package encryption

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
)

// backedUp is a backup of a device with these envelopes.
func backedUp(tb testing.TB, id *Identity, envelopes ...[]byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	b, err := id.NewBackup(&out)
	if err != nil {
		tb.Fatal(err)
	}
	for _, raw := range envelopes {
		if err := b.Add(raw); err != nil {
			tb.Fatal(err)
		}
	}
	m := &BackupManifest{At: testTime, Chats: 3, Contacts: 4, Frontier: []Dep{{Writer: WriterID{1}, Seq: 2, Head: Hash{3}}}}
	if err := b.Finish(m); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// readBackup reads all of it.
func readBackup(raw []byte, words RecoveryWords) (b *BackupReader, envelopes [][]byte, err error) {
	b, err = OpenBackup(bytes.NewReader(raw), words)
	for err == nil {
		var e []byte
		if e, err = b.Next(); err == nil {
			envelopes = append(envelopes, e)
		}
	}
	if errors.Is(err, io.EOF) {
		return b, envelopes, nil
	}
	return b, nil, err
}

func restored(tb testing.TB, raw []byte, words RecoveryWords) *Identity {
	tb.Helper()
	b, _, err := readBackup(raw, words)
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	id, err := b.Restore(dir, testKey(), &RestoreOptions{Name: "new", Now: testTime, Random: seeded(99)})
	if err != nil {
		tb.Fatal(err)
	}
	again, err := OpenIdentity(dir, testKey())
	if err != nil || again.device != id.device || again.MembershipDigest() != id.MembershipDigest() {
		tb.Fatalf("opened again: %v, %v", again, err)
	}
	return id
}

// TestBackupBringsAnAccountBack: everything that was put in comes out, and the new
// device is a member for everybody, reads all epochs and can seal.
func TestBackupBringsAnAccountBack(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	words := NewRecoveryWords(f.seed)
	b := link(t, a, "phone", 2)
	mingle(t, a, b)
	first := sealOne(t, a, 1)
	rotate(t, b)
	mingle(t, a, b)
	second := sealOne(t, b, 2)
	raw := backedUp(t, a, first, second)
	r, envelopes, err := readBackup(raw, words)
	if err != nil {
		t.Fatal(err)
	}
	if len(envelopes) != 2 || !bytes.Equal(envelopes[0], first) || !bytes.Equal(envelopes[1], second) {
		t.Errorf("%d envelopes", len(envelopes))
	}
	m := r.Manifest()
	if m.Account != a.account || m.Device != a.device || !m.At.Equal(testTime) || m.Envelopes != 2 || m.Chats != 3 || m.Contacts != 4 ||
		m.Operations != 3 || m.Epochs != uint64(len(a.EpochRecords())) || len(m.Frontier) != 1 || len(r.Members()) != 2 {
		t.Errorf("manifest %+v, members %v", m, r.Members())
	}
	c := restored(t, raw, words)
	if !opens(c, first) || !opens(c, second) {
		t.Error("the new device cannot read what was backed up")
	}
	mingle(t, a, b, c)
	for _, id := range []*Identity{a, b, c} {
		if m, ok := id.Member(c.device); !ok || m.Name != "new" || !m.AddedBy.IsZero() {
			t.Errorf("on %v the new device is %+v, %v", id, m, ok)
		}
	}
	for _, id := range []*Identity{a, b, c} {
		if served := id.ServedEpochs(testTime); len(served) != 2 {
			t.Errorf("%v serves %v: nobody knows whether the new device has the second epoch", id, served)
		}
	}
	if got := sealOne(t, c, 3); !opens(a, got) || !opens(b, got) {
		t.Error("the others cannot read what the new device writes")
	}
}

// TestBackupAfterNewWords: the new words open all, also what was sealed while the
// old ones counted; the old ones do not open it; and before there is an epoch for
// the new words no backup is made that they would open in vain.
func TestBackupAfterNewWords(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	old, next := NewRecoveryWords(f.seed), NewRecoveryWords(NewSecret([32]byte{7}))
	envelope := sealOne(t, a, 1)
	stale := backedUp(t, a, envelope)
	op, err := a.PrepareRotateRecovery(old, next, testTime)
	if err != nil {
		t.Fatal(err)
	}
	admitAll(t, a, [][]byte{op})
	_, err = a.NewBackup(io.Discard)
	wantError(t, err, ErrNeedsEpoch)
	rotate(t, a)
	raw := backedUp(t, a, envelope)
	if c := restored(t, raw, next); !opens(c, envelope) {
		t.Error("what the old words covered is lost")
	}
	_, _, err = readBackup(raw, old)
	wantError(t, err, ErrWords)
	_, _, err = readBackup(stale, next)
	wantError(t, err, ErrWords)
}

// TestBackupOfNoMember: a removed device makes none, and none that it made up
// counts.
func TestBackupOfNoMember(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	removed(t, a, b.device)
	admitAll(t, b, a.Ops())
	_, err := b.NewBackup(io.Discard)
	wantError(t, err, ErrNotMember)
	forged := view(a, a.device, b.keys, a.Ops()) // signs as a, with the key of b
	forged.ring = a.ring.clone()
	words := NewRecoveryWords(f.seed)
	_, _, err = readBackup(backedUp(t, forged), words)
	wantError(t, err, ErrBackup)
	wantError(t, err, ErrSignature)
	plain := plainOf(t, backedUp(t, a), 1)
	resigned := func(by *Identity) []byte {
		return sealAge(t, a, remanifest(t, plain, by, func(m *manifestBody) { m.Device = by.device }))
	}
	_, _, err = readBackup(resigned(b), words)
	wantError(t, err, ErrUnknownDevice)
	if _, _, err = readBackup(resigned(a), words); err != nil {
		t.Errorf("the same by a member: %v", err)
	}
}

// remanifest puts another manifest at the end of a backup's content.
func remanifest(tb testing.TB, plain []byte, by *Identity, change func(*manifestBody)) []byte {
	tb.Helper()
	at := len(backupMagic) + 2
	for plain[at] != backupManifest {
		at += 5 + int(binary.BigEndian.Uint32(plain[at+1:]))
	}
	var s signedManifest
	var m manifestBody
	if err := errors.Join(decode(plain[at+5:], maxBackupManifest, &s), decode(s.Body, maxBackupManifest, &m)); err != nil {
		tb.Fatal(err)
	}
	change(&m)
	s.Body = encode(&m)
	s.Signature = labelBackupSign.sign(by.keys.signing, s.Body)
	signed := encode(s)
	head := binary.BigEndian.AppendUint32(append(slices.Clone(plain[:at]), backupManifest), uint32(len(signed)))
	return append(head, signed...)
}

// TestManifestIsOfItsBackup: a manifest that a member signed for another content
// does not hold, whatever of it differs.
func TestManifestIsOfItsBackup(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	plain := plainOf(t, backedUp(t, a, sealOne(t, a, 1)), 1)
	for what, change := range map[string]func(*manifestBody){
		"account":    func(m *manifestBody) { m.Account[0] ^= 1 },
		"members":    func(m *manifestBody) { m.Members[0] ^= 1 },
		"operations": func(m *manifestBody) { m.Operations++ },
		"epochs":     func(m *manifestBody) { m.Epochs++ },
		"envelopes":  func(m *manifestBody) { m.Envelopes++ },
		"content":    func(m *manifestBody) { m.Content[0] ^= 1 },
		"time":       func(m *manifestBody) { m.At = -1 },
		"frontier":   func(m *manifestBody) { m.Frontier[0].Seq = 0 },
	} {
		_, _, err := readBackup(sealAge(t, a, remanifest(t, plain, a, change)), NewRecoveryWords(f.seed))
		if !errors.Is(err, ErrBackup) || errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestRestoreIntoAFullAccount: the recovery key has to add before it can remove,
// so there is one place more for it, and no more than one.
func TestRestoreIntoAFullAccount(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	for i := range MaxDevices - 1 {
		add(t, a, newTestJoiner(t, "device", byte(i+2)).Request(Hash{byte(i)}))
	}
	words := NewRecoveryWords(f.seed)
	c := restored(t, backedUp(t, a), words)
	if n := len(c.Members()); n != MaxDevices+1 {
		t.Fatalf("%d members", n)
	}
	b, _, err := readBackup(backedUp(t, c), words)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Restore(t.TempDir(), testKey(), &RestoreOptions{Name: "new", Now: testTime})
	wantError(t, err, ErrTooManyDevices)
}

// TestRecoveryAddIsNeverCut: no removal by a device takes back what the recovery
// key added, and the new device removes the others.
func TestRecoveryAddIsNeverCut(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	words := NewRecoveryWords(f.seed)
	b := link(t, a, "thief", 2)
	c := restored(t, backedUp(t, a), words)
	mingle(t, a, c)
	removed(t, b, a.device) // the thief has not heard of c
	ops, err := c.PrepareRecoveryRemove(words, b.device, Hash{}, nil, testTime)
	if err != nil {
		t.Fatal(err)
	}
	admitAll(t, c, ops)
	mingle(t, b, c)
	for _, id := range []*Identity{b, c} {
		if m := id.Members(); len(m) != 2 || !slices.ContainsFunc(m, func(m Member) bool { return m.ID == c.device }) {
			t.Errorf("on %v members are %v", id, m)
		}
	}
}

// TestBackupOfAnotherAccount: who knows a recovery key can encrypt to it whatever
// account they like.
func TestBackupOfAnotherAccount(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	other, _ := newFoundation(t, "laptop", 2)
	plain := plainOf(t, backedUp(t, other), 2)
	_, _, err := readBackup(sealAge(t, a, plain), NewRecoveryWords(f.seed))
	wantError(t, err, ErrWords)
}

// plainOf decrypts the backup of the founder with a seed, by the stock library.
func plainOf(tb testing.TB, raw []byte, seed byte) []byte {
	tb.Helper()
	_, f := newFoundation(tb, "laptop", seed)
	text, err := NewRecoveryWords(f.seed).AgeIdentity()
	if err != nil {
		tb.Fatal(err)
	}
	ids, err := age.ParseIdentities(strings.NewReader("# a comment\n" + text + "\n"))
	if err != nil {
		tb.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(raw), ids...)
	if err != nil {
		tb.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	return plain
}

func sealAge(tb testing.TB, id *Identity, plain []byte) []byte {
	tb.Helper()
	to, err := id.log.ageRecipients()
	if err != nil {
		tb.Fatal(err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// TestStockAgeOpensABackup: the words as an age identity are one for the stock
// library, with the same public key, and what it decrypts is the format of SPEC.md.
func TestStockAgeOpensABackup(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	text, err := NewRecoveryWords(f.seed).AgeIdentity()
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.ParseHybridIdentity(text)
	if err != nil || id.String() != text {
		t.Fatalf("the identity is another when it is read back: %v", err)
	}
	keys := must(recoveryKeys(f.seed))
	if got := id.Recipient().String(); got != bech32(agePublicPrefix, keys.hpkePublic()) {
		t.Error("the recipient is another")
	}
	plain := plainOf(t, backedUp(t, a, sealOne(t, a, 1)), 1)
	if !bytes.HasPrefix(plain, []byte("starling backup\n\x01\x01\x01")) || !bytes.Contains(plain, a.Ops()[0]) {
		t.Errorf("it begins with %q", plain[:20])
	}
	if _, err := (RecoveryWords{}).AgeIdentity(); err == nil {
		t.Error("no words are an identity")
	}
}

// Every byte of the file, and every byte of what it encrypts, is covered.
func TestAlteredBackupIsRefused(t *testing.T) {
	t.Parallel()
	a, f := newFoundation(t, "laptop", 1)
	words := NewRecoveryWords(f.seed)
	raw := backedUp(t, a, sealOne(t, a, 1))
	step := 1
	if testing.Short() {
		step = 37
	}
	refuse := func(what string, at int, bad []byte) {
		b, _, err := readBackup(bad, words)
		if err == nil || b != nil && b.Manifest() != nil {
			t.Errorf("%s at %d of %d: accepted", what, at, len(raw))
		}
		if !errors.Is(err, ErrBackup) && !errors.Is(err, ErrWords) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s at %d: %v", what, at, err)
		}
	}
	for at := 0; at < len(raw); at += step {
		refuse("flipped", at, flipped(raw, at))
		refuse("cut", at, raw[:at])
	}
	refuse("longer", len(raw), append(slices.Clone(raw), 0))
	plain := plainOf(t, raw, 1)
	for at := 0; at < len(plain); at += 7 * step {
		refuse("forged inside", at, sealAge(t, a, flipped(plain, at)))
		refuse("cut inside", at, sealAge(t, a, plain[:at]))
	}
	refuse("longer inside", len(plain), sealAge(t, a, append(slices.Clone(plain), 0)))
	if _, _, err := readBackup(sealAge(t, a, plain), words); err != nil {
		t.Errorf("sealed again as it was: %v", err)
	}
}

// A fault of the disk says nothing about the backup.
// TestBackupWithEmptyEpochs: they are refused where they come, as there could be
// any number of them.
func TestBackupWithEmptyEpochs(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	plain := withEmptyEpoch(plainOf(t, backedUp(t, a), 1))
	_, err := OpenBackup(bytes.NewReader(sealAge(t, a, plain)), NewRecoveryWords(f.seed))
	wantError(t, err, ErrBackup)
}

func TestBackupReaderFault(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	raw := backedUp(t, a)
	fault := errors.New("the disk is gone")
	for _, at := range []int{0, 100, len(raw) - 10} {
		r := io.MultiReader(bytes.NewReader(raw[:at]), faulty{fault})
		b, err := OpenBackup(r, NewRecoveryWords(f.seed))
		for err == nil {
			_, err = b.Next()
		}
		if !errors.Is(err, fault) || errors.Is(err, ErrBackup) {
			t.Errorf("after %d bytes: %v", at, err)
		}
	}
}

type faulty struct{ err error }

func (f faulty) Read([]byte) (int, error) { return 0, f.err }

// TestRestoreRefuses what would overwrite or leave something half made.
func TestRestoreRefuses(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	raw := backedUp(t, a)
	words := NewRecoveryWords(f.seed)
	b, err := OpenBackup(bytes.NewReader(raw), words)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := &RestoreOptions{Name: "new", Now: testTime}
	_, err = b.Restore(dir, testKey(), o)
	wantError(t, err, errUnread)
	b, _, err = readBackup(raw, words)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Restore(dir, testKey(), &RestoreOptions{Name: "\x1b", Now: testTime})
	wantError(t, err, ErrMalformed)
	_, err = b.Restore(dir, UnlockPassphrase(nil), o)
	wantError(t, err, ErrEmptyPassphrase)
	if Exists(dir) {
		t.Fatal("something was written")
	}
	if _, err = b.Restore(dir, testKey(), o); err != nil {
		t.Fatal(err)
	}
	_, err = b.Restore(dir, testKey(), o)
	wantError(t, err, ErrExists)
}
