package encryption

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/cryptotest"

	"github.com/starling-sync/starling/crdt/vectortest"
)

// makeBackupVectors builds the cases of a backup, and of a device that the
// recovery key adds.
func makeBackupVectors(t *testing.T) []*vectortest.Vector {
	cryptotest.SetGlobalRandom(t, 1)
	a, f := newFoundation(t, "laptop", 1)
	words := NewRecoveryWords(f.seed)
	rotate(t, a)
	raw := backedUp(t, a, widened(t, a, sealOne(t, a, 1)))
	plain := plainOf(t, raw, 1)
	one := func(name, comment, expect string, file []byte) *vectortest.Vector {
		return vectortest.New("backup-"+name, comment, expect).Hex("recovery-seed", f.seed.slice()).Hex("file", file)
	}
	inside := func(name, comment, expect string, change func([]byte) []byte) *vectortest.Vector {
		return one(name, comment, expect, sealAge(t, a, change(slices.Clone(plain))))
	}
	at := func(i int, b byte) func([]byte) []byte {
		return func(p []byte) []byte { p[i] = b; return p }
	}
	other := one("words", "for other words", "ErrWords", raw)
	other.Fields[3][1] = fmt.Sprintf("%064x", 7)
	good := one("good", "two epochs and an envelope", "ok", raw).Hex("account", a.account[:]).Hex("device", a.device[:]).
		Num("operations", 2).Num("epochs", 2).Num("envelopes", 1)
	all := append([]*vectortest.Vector{
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
func recoveryAdds(t *testing.T, a *Identity, words RecoveryWords) []*vectortest.Vector {
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
	good := vectortest.New("operation-add-recovery", "the recovery key adds a device", "ok").Hex("known", a.Ops()...).Hex("operation", op).
		Hex("device", device[:])
	removal := must(a.PrepareRemove(a.device, nil, testTime))
	both := view(a, a.device, a.keys, slices.Concat(a.Ops(), removal, [][]byte{op}))
	return []*vectortest.Vector{
		meaning(good, log),
		vectortest.New("operation-add-recovery-signed", "by a member in the name of the recovery key", "ErrSignature").
			Hex("known", a.Ops()...).Hex("operation", forged),
		meaning(vectortest.New("members-restored", "the recovery key adds a device beside the removal of the last one", "ok").
			Hex("known", both.Ops()...), both.log),
	}
}

func TestBackupVectorsAreReproduced(t *testing.T) { compareFrozen(t, makeBackupVectors(t)) }

func tryBackup(t *testing.T, v *vectortest.Vector) error {
	b, envelopes, err := readBackup(v.Bytes(t, "file"), NewRecoveryWords(secretOf(t, v, "recovery-seed")))
	if err != nil {
		return err
	}
	m := b.Manifest()
	if !bytes.Equal(m.Account[:], v.Bytes(t, "account")) || !bytes.Equal(m.Device[:], v.Bytes(t, "device")) ||
		m.Operations != v.Number(t, "operations") || m.Epochs != v.Number(t, "epochs") ||
		m.Envelopes != v.Number(t, "envelopes") || uint64(len(envelopes)) != m.Envelopes {
		return errors.New("another backup")
	}
	return nil
}
