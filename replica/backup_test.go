package replica_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strconv"
	"testing"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
)

// founded is the first device of an account, with its recovery words.
func founded(t *testing.T) (*device, encryption.RecoveryWords) {
	t.Helper()
	id, words, err := encryption.Create(t.TempDir(), key(), &encryption.CreateOptions{Name: "a", Now: start})
	try(t, err)
	return open(t, id), words
}

func backup(t *testing.T, d *device) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := d.Backup(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func openBackup(t *testing.T, raw []byte, words encryption.RecoveryWords) *encryption.BackupReader {
	t.Helper()
	b, err := encryption.OpenBackup(bytes.NewReader(raw), words)
	try(t, err)
	return b
}

// restore makes a new device out of a backup.
func restore(t *testing.T, raw []byte, words encryption.RecoveryWords) (*device, error) {
	t.Helper()
	b := openBackup(t, raw, words)
	for {
		_, err := b.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		try(t, err)
	}
	id, err := b.Restore(t.TempDir(), key(), &encryption.RestoreOptions{Name: "new", Now: start})
	try(t, err)
	d := open(t, id)
	return d, d.Import(t.Context(), openBackup(t, raw, words))
}

func sameContent(t *testing.T, a, b *device) {
	t.Helper()
	sa, errA := a.Status(t.Context())
	sb, errB := b.Status(t.Context())
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if sa.Fingerprint != sb.Fingerprint || sa.Frontier != sb.Frontier || sb.Counts.Faults > 0 {
		t.Fatalf("not equal:\n%+v\n%+v", sa, sb)
	}
	v, err := b.Verify(t.Context())
	if err != nil || !v.OK || v.Envelopes == 0 {
		t.Fatalf("verification is %+v: %v", v, err)
	}
}

// What two devices wrote, sealed or not yet, comes back on a new one, which then
// removes them: they are told, and what they write afterwards does not come in.
func TestRestoreFromABackup(t *testing.T) {
	a, words := founded(t)
	b := open(t, join(t, a, "b"))
	try(t, a.Chat("c").MarkRead(t.Context(), account.Position{Time: 1, ID: "m1"}))
	try(t, b.Chat("c").Mute(t.Context(), model.Forever))
	cut := connect(a, b)
	inSync(t, a, b)
	cut()
	try(t, b.Settings("account").Set(t.Context(), "theme", "dark"))
	cut = connect(a, b)
	inSync(t, a, b)
	cut()
	try(t, a.Settings("account").Set(t.Context(), "unsealed", true))
	raw := backup(t, a)
	c, err := restore(t, raw, words)
	try(t, err)
	sameContent(t, a, c)
	removals, err := c.Recover(t.Context(), words, a.id.Device(), b.id.Device())
	if err != nil || len(removals) != 2 {
		t.Fatalf("%d removals: %v", len(removals), err)
	}
	try(t, c.Rotate(t.Context()))
	try(t, b.Settings("account").Set(t.Context(), "late", 1))
	events := b.Watch(t.Context(), replica.Now)
	connect(b, c) // ends at once
	await(t, events, func(ev model.Event) bool { return ev.Kind == "peer" && ev.Note == "disconnected" })
	try(t, b.AdmitMembers(t.Context(), c.id.Ops())) // the hello tells it
	if b.Standing() != model.StandingRemoved || len(c.id.Members()) != 1 {
		t.Errorf("the lost device stands as %v, members %v", b.Standing(), c.id.Members())
	}
	sameContent(t, a, c)
	if v, err := c.Verify(t.Context()); err != nil || !v.OK {
		t.Errorf("verification is %+v: %v", v, err)
	}
	d, err := restore(t, backup(t, c), words) // what removed devices wrote, a second time
	try(t, err)
	sameContent(t, c, d)
}

// onFirst calls do before the first write.
type onFirst struct {
	io.Writer
	do func()
}

func (w *onFirst) Write(p []byte) (int, error) {
	if w.do != nil {
		w.do()
		w.do = nil
	}
	return w.Writer.Write(p)
}

// The replica serves while it backs up, and what comes meanwhile is not in it:
// the backup is of one point.
func TestBackupIsOfOnePoint(t *testing.T) {
	a, words := founded(t)
	b := open(t, join(t, a, "b"))
	for i := range 30 {
		try(t, a.Settings("account").Set(t.Context(), "k"+strconv.Itoa(i), i))
	}
	var before model.Status
	out := bytes.Buffer{}
	_, err := a.Backup(t.Context(), &onFirst{&out, func() {
		var err error
		before, err = a.Status(t.Context())
		try(t, err)
		try(t, a.Settings("account").Set(t.Context(), "later", 1))
		connect(a, b)
		inSync(t, a, b)
	}})
	try(t, err)
	c, err := restore(t, out.Bytes(), words)
	try(t, err)
	after, err := c.Status(t.Context())
	if err != nil || after.Fingerprint != before.Fingerprint || after.Frontier != before.Frontier {
		t.Fatalf("restored\n%+v\nof\n%+v: %v", after, before, err)
	}
}

// The words were replaced and nothing was written since: a backup needs an epoch
// that the new ones open, and makes it.
func TestBackupAfterNewWords(t *testing.T) {
	a, old := founded(t)
	try(t, a.Settings("account").Set(t.Context(), "theme", "dark"))
	backup(t, a)
	next := encryption.NewRecoveryWords(encryption.NewSecret([32]byte{5}))
	try(t, a.ReplaceWords(t.Context(), old, next))
	c, err := restore(t, backup(t, a), next)
	try(t, err)
	sameContent(t, a, c)
}

// What is signed as a whole by a member is still no reason to take an envelope
// that does not verify, or one before those that it depends on.
func TestImportVerifiesEveryEnvelope(t *testing.T) {
	a, words := founded(t)
	for i := range 3 {
		try(t, a.Settings("account").Set(t.Context(), "k", i))
		backup(t, a) // seals
	}
	b := openBackup(t, backup(t, a), words)
	var all [][]byte
	for {
		raw, err := b.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		try(t, err)
		all = append(all, raw)
	}
	if len(all) != 3 {
		t.Fatalf("%d envelopes", len(all))
	}
	flipped := slices.Clone(all[1])
	flipped[len(flipped)-1] ^= 1
	whole := b.Manifest().Frontier
	first := []encryption.Dep{{Writer: whole[0].Writer, Seq: 1, Head: encryption.Hash(sha256.Sum256(all[0]))}}
	for what, c := range map[string]struct {
		envelopes [][]byte
		frontier  []encryption.Dep
	}{
		"flipped": {[][]byte{all[0], flipped, all[2]}, whole}, "missing": {[][]byte{all[0], all[2]}, whole},
		"the last is missing": {all[:2], whole}, "not there": {nil, whole},
		"beyond the frontier": {[][]byte{all[0], all[2]}, first},
	} {
		var out bytes.Buffer
		w, err := a.id.NewBackup(&out)
		try(t, err)
		for _, raw := range c.envelopes {
			try(t, w.Add(raw))
		}
		try(t, w.Finish(&encryption.BackupManifest{At: start, Frontier: c.frontier}))
		if _, err := restore(t, out.Bytes(), words); !errors.Is(err, encryption.ErrBackup) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A full disk ends an import, and a backup that has to seal first; a backup that
// has nothing to seal needs no room.
func TestBackupOnAFullDisk(t *testing.T) {
	a, words := founded(t)
	try(t, a.Settings("account").Set(t.Context(), "theme", "dark"))
	a.store.failing(errFull)
	if _, err := a.Backup(t.Context(), io.Discard); !errors.Is(err, replica.ErrDiskFull) {
		t.Errorf("a backup that has to seal: %v", err)
	}
	a.store.failing(nil)
	backup(t, a)
	a.store.failing(errFull)
	raw := backup(t, a)
	b := openBackup(t, raw, words)
	for {
		if _, err := b.Next(); errors.Is(err, io.EOF) {
			break
		} else {
			try(t, err)
		}
	}
	id, err := b.Restore(t.TempDir(), key(), &encryption.RestoreOptions{Name: "new", Now: start})
	try(t, err)
	c := open(t, id)
	c.store.failing(errFull)
	if err := c.Import(t.Context(), openBackup(t, raw, words)); !errors.Is(err, replica.ErrDiskFull) {
		t.Errorf("import: %v", err)
	}
}

// A device that is out makes no backup: nobody would take what it vouches for.
func TestBackupByARemovedDevice(t *testing.T) {
	a := single(t)
	if _, err := a.RemoveDevice(t.Context(), a.id.Device()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Backup(t.Context(), io.Discard); !errors.Is(err, replica.ErrNotMember) {
		t.Errorf("%v", err)
	}
}
