package encryption

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/cryptotest"
)

// makeBackupVectors builds the cases of a backup, and of a device that the
// recovery key adds.
func makeBackupVectors(t *testing.T) []*vector {
	cryptotest.SetGlobalRandom(t, 1)
	a, f := newFoundation(t, "laptop", 1)
	words := NewRecoveryWords(f.seed)
	rotate(t, a)
	raw := backedUp(t, a, sealOne(t, a, 1))
	plain := plainOf(t, raw, 1)
	one := func(name, comment, expect string, file []byte) *vector {
		return newVector("backup-"+name, comment, expect).hex("recovery-seed", f.seed.slice()).hex("file", file)
	}
	inside := func(name, comment, expect string, change func([]byte) []byte) *vector {
		return one(name, comment, expect, sealAge(t, a, change(slices.Clone(plain))))
	}
	at := func(i int, b byte) func([]byte) []byte {
		return func(p []byte) []byte { p[i] = b; return p }
	}
	other := one("words", "for other words", "ErrWords", raw)
	other.fields[3][1] = fmt.Sprintf("%064x", 7)
	good := one("good", "two epochs and an envelope", "ok", raw).hex("account", a.account[:]).hex("device", a.device[:]).
		num("operations", 2).num("epochs", 2).num("envelopes", 1)
	all := append([]*vector{
		good, other,
		one("flipped", "the last byte", "ErrBackup", flipped(raw, len(raw)-1)),
		one("cut", "the last byte is missing", "ErrBackup", raw[:len(raw)-1]),
		one("none", "no age file", "ErrBackup", []byte(backupMagic)),
		inside("magic", "begins otherwise", "ErrBackup", at(0, 'S')),
		inside("version", "version 2", "ErrUnsupported", at(len(backupMagic), 2)),
		inside("suite", "suite 2", "ErrUnsupported", at(len(backupMagic)+1, 2)),
		inside("order", "a record before the operations", "ErrBackup", at(len(backupMagic)+2, backupEpoch)),
		inside("kind", "a record of kind 5", "ErrBackup", at(len(backupMagic)+2, 5)),
		inside("content", "an envelope that the manifest does not know", "ErrBackup", func(p []byte) []byte {
			p[bytes.Index(p, []byte{backupManifest, 0, 0})-1] ^= 1
			return p
		}),
		inside("signature", "the manifest is signed otherwise", "ErrBackup", func(p []byte) []byte { return flipped(p, len(p)-1) }),
		inside("manifest", "no manifest", "ErrBackup", func(p []byte) []byte { return p[:bytes.Index(p, []byte{backupManifest, 0, 0})] }),
		inside("long", "a record over its limit", "ErrBackup", func(p []byte) []byte {
			binary.BigEndian.PutUint32(p[len(backupMagic)+3:], MaxOperation+1)
			return p
		}),
		inside("trailing", "a byte after the manifest", "ErrBackup", func(p []byte) []byte { return append(p, 0) }),
	}, recoveryAdds(t, a, words)...)
	return append(all, inside("epoch", "an empty epoch record, of which no limit of bytes bounds the number", "ErrBackup", withEmptyEpoch))
}

// withEmptyEpoch puts a record of no bytes before the epochs of a backup.
func withEmptyEpoch(plain []byte) []byte {
	i := len(backupMagic) + 2
	for plain[i] != backupEpoch {
		i += 5 + int(binary.BigEndian.Uint32(plain[i+1:]))
	}
	return slices.Insert(plain, i, backupEpoch, 0, 0, 0, 0)
}

// recoveryAdds are the cases of an add by the recovery key.
func recoveryAdds(t *testing.T, a *Identity, words RecoveryWords) []*vector {
	keys := must(recoveryKeys(words.seed))
	j := newTestJoiner(t, "new", 4)
	added := func(by *deviceKeys) ([]byte, *membershipLog, error) {
		d := a.draft()
		op, err := d.addByRecovery(by, j, testTime)
		return op, d.log, err
	}
	op, log, err := added(keys)
	if err != nil {
		t.Fatal(err)
	}
	body := a.log.nextBody(DeviceID{})
	body.Kind, body.Action = OperationAdd, must(parseOperation(op)).Action
	forged := sealOperation(body, a.keys)
	device := deviceID(op)
	good := newVector("operation-add-recovery", "the recovery key adds a device", "ok").hex("known", a.Ops()...).hex("operation", op).
		hex("device", device[:])
	removal := must(a.PrepareRemove(a.device, nil, testTime))
	both := view(a, a.device, a.keys, slices.Concat(a.Ops(), removal, [][]byte{op}))
	return []*vector{
		meaning(good, log),
		newVector("operation-add-recovery-signed", "by a member in the name of the recovery key", "ErrSignature").
			hex("known", a.Ops()...).hex("operation", forged),
		meaning(newVector("members-restored", "the recovery key adds a device beside the removal of the last one", "ok").
			hex("known", both.Ops()...), both.log),
	}
}

func TestBackupVectorsAreReproduced(t *testing.T) { compareFrozen(t, makeBackupVectors(t)) }

func tryBackup(t *testing.T, v *vector) error {
	b, envelopes, err := readBackup(v.bytes(t, "file"), NewRecoveryWords(v.secret(t, "recovery-seed")))
	if err != nil {
		return err
	}
	m := b.Manifest()
	if !bytes.Equal(m.Account[:], v.bytes(t, "account")) || !bytes.Equal(m.Device[:], v.bytes(t, "device")) ||
		m.Operations != v.number(t, "operations") || m.Epochs != v.number(t, "epochs") ||
		m.Envelopes != v.number(t, "envelopes") || uint64(len(envelopes)) != m.Envelopes {
		return errors.New("another backup")
	}
	return nil
}
