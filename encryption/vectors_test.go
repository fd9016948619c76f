package encryption

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/starling-sync/starling/crdt/vectortest"
)

var updateVectors = flag.Bool("update-vectors", false, "write vectors that do not exist yet")

func secretOf(t *testing.T, v *vectortest.Vector, key string) Secret {
	t.Helper()
	b := v.Bytes(t, key)
	if len(b) != 32 {
		t.Fatalf("%s: %s has %d bytes", v.Name, key, len(b))
	}
	return NewSecret([32]byte(b))
}

func vectorErrors() map[string]error {
	return map[string]error{
		"ok": nil, "ErrMalformed": ErrMalformed, "ErrTooLarge": ErrTooLarge, "ErrUnsupported": ErrUnsupported,
		"ErrSignature": ErrSignature, "ErrWrongUnlock": ErrWrongUnlock, "ErrDamaged": ErrDamaged,
		"ErrMissingParents": ErrMissingParents, "ErrOtherAccount": ErrOtherAccount, "ErrNotMember": ErrNotMember,
		"ErrSequence": ErrSequence, "ErrUnknownEpoch": ErrUnknownEpoch, "ErrDecrypt": ErrDecrypt,
		"ErrUnknownDevice": ErrUnknownDevice, "ErrWriter": ErrWriter, "ErrGap": ErrGap, "ErrDuplicate": ErrDuplicate,
		"ErrHello": ErrHello, "ErrWelcome": ErrWelcome, "ErrBackup": ErrBackup, "ErrWords": ErrWords,
	}
}

// vectorKinds says how a case of each kind is tried.
func vectorKinds() map[string]func(*testing.T, *vectortest.Vector) error {
	return map[string]func(*testing.T, *vectortest.Vector) error{
		"derive": tryDerive, "operation": tryOperation, "epoch": tryEpoch, "envelope": tryEnvelope,
		"members": tryMembers, "hello": tryHello, "identity": tryIdentity, "welcome": tryWelcome,
		"backup": tryBackup,
	}
}

func TestVectors(t *testing.T) {
	kinds := vectorKinds()
	all := vectortest.Read(t, slices.Collect(maps.Keys(kinds))...) // other tests of the package have the others
	good, _ := vectortest.Try(t, all, vectorErrors(), func(v *vectortest.Vector) error { return kinds[v.Get("kind")](t, v) })
	if len(good) != len(kinds) {
		t.Error("vectors are missing: ", good)
	}
}

// TestVectorsAreReproduced makes every vector anew from fixed random bytes. It
// never changes a file: with -update-vectors it adds those that do not exist.
func TestVectorsAreReproduced(t *testing.T) { compareFrozen(t, makeVectors(t)) }

func compareFrozen(t *testing.T, made []*vectortest.Vector) {
	t.Helper()
	vectortest.Reproduced(t, made, *updateVectors)
}

func tryDerive(t *testing.T, v *vectortest.Vector) error {
	account := AccountID(v.Bytes(t, "account"))
	e := newEpoch(secretOf(t, v, "epoch-secret"), account)
	device := DeviceID(v.Bytes(t, "device"))
	id := &Identity{account: account, device: device, epoch: e, ring: oneEpoch(e, account)}
	recovery, err := recoveryKeys(secretOf(t, v, "recovery-seed"))
	if err != nil {
		return err
	}
	day := uint32(v.Number(t, "day"))
	host, writer := newestKeys(id, day).HostSeed(id.device), WriterFor(id.device, [16]byte(v.Bytes(t, "instance-nonce")))
	for key, got := range map[string][]byte{
		"tag": e.tag[:], "data-key": e.data.slice(), "control-key": e.control.slice(),
		"previous-secrets-key": e.previous.slice(), "discovery-key": e.discovery.slice(), "mailbox-key": e.mailbox.slice(),
		"recovery-signing-public": recovery.signingPublic(), "recovery-hpke-public": recovery.hpkePublic(),
		"host-seed": host[:], "writer": writer[:],
	} {
		if !bytes.Equal(got, v.Bytes(t, key)) {
			return fmt.Errorf("%s is %x", key, got)
		}
	}
	if newestKeys(id, day).ServiceName() != v.Get("service-name") {
		return fmt.Errorf("service-name is %s", newestKeys(id, day).ServiceName())
	}
	return nil
}

// vectorLog admits the case's "known" operations, of which the first is the genesis.
func vectorLog(t *testing.T, v *vectortest.Vector) *membershipLog {
	t.Helper()
	ops := v.All(t, "known")
	log := newLog(accountID(ops[0]))
	if _, err := log.admit(ops); err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return log
}

func tryOperation(t *testing.T, v *vectortest.Vector) error {
	log := vectorLog(t, v)
	added, err := log.admit(v.All(t, "operation"))
	if device := v.Bytes(t, "device"); err == nil && (len(added) != 1 || device != nil && !bytes.Equal(added[0].member.ID[:], device)) {
		return fmt.Errorf("added %v", added)
	}
	if err == nil {
		err = sameMeaning(v, log)
	}
	if digest := log.digest(); err == nil && !bytes.Equal(digest[:], v.Bytes(t, "digest")) {
		return fmt.Errorf("digest is %v", digest)
	}
	return err
}

func tryEpoch(t *testing.T, v *vectortest.Vector) error {
	log := vectorLog(t, v)
	keys, err := keysFromSeeds(NewSecret([32]byte{}), secretOf(t, v, "hpke-seed"))
	if err != nil {
		return err
	}
	r, err := parseEpochRecord(v.Bytes(t, "record"))
	if err != nil {
		return err
	}
	e, err := r.unwrap(log.account, keys.hpke)
	if err != nil {
		return err
	}
	if !e.secret.Equal(secretOf(t, v, "epoch-secret")) {
		return errors.New("another secret")
	}
	_, err = r.open(e, log, &announcement{generation: 1})
	return err
}

func tryEnvelope(t *testing.T, v *vectortest.Vector) error {
	log := vectorLog(t, v)
	e := newEpoch(secretOf(t, v, "epoch-secret"), log.account)
	id := &Identity{account: log.account, epoch: e, ring: oneEpoch(e, log.account), log: log}
	u, err := id.OpenEnvelope(v.Bytes(t, "envelope"))
	if err != nil {
		return err
	}
	var chain *Chain
	if seq := v.Number(t, "chain-seq"); seq != 0 {
		chain = &Chain{
			Seq: seq, Device: DeviceID(v.Bytes(t, "chain-device")),
			Head: Hash(v.Bytes(t, "chain-head")), Members: Hash(v.Bytes(t, "chain-members")),
		}
	}
	c, head, err := u.Verify(id, chain)
	if err != nil {
		return err
	}
	if !bytes.Equal(c.Batch, v.Bytes(t, "batch")) || !bytes.Equal(c.Writer[:], v.Bytes(t, "writer")) ||
		c.Seq != v.Number(t, "seq") || !bytes.Equal(head[:], v.Bytes(t, "id")) {
		return fmt.Errorf("content %+v", c)
	}
	return nil
}

func tryHello(t *testing.T, v *vectortest.Vector) error {
	log := vectorLog(t, v)
	keys, err := keysFromSeeds(secretOf(t, v, "signing-seed"), NewSecret([32]byte{}))
	if err != nil {
		return err
	}
	e := newEpoch(secretOf(t, v, "epoch-secret"), log.account)
	id := &Identity{
		account: log.account, device: DeviceID(v.Bytes(t, "device")), keys: keys,
		epoch: e, ring: oneEpoch(e, log.account), log: log,
	}
	h := id.NewHello(v.Get("role") == "initiator", v.Bytes(t, "local"), v.Bytes(t, "remote"), testTime, bytes.NewReader(v.Bytes(t, "random")))
	var out []byte
	var sent [][]byte
	for _, in := range v.All(t, "in") {
		if out, _, err = h.Next(in); err != nil {
			return err
		}
		if out != nil {
			sent = append(sent, out)
		}
	}
	if !slices.EqualFunc(sent, v.All(t, "out"), bytes.Equal) {
		return errors.New("other frames were sent")
	}
	if peer, _ := h.Peer(); !bytes.Equal(peer[:], v.Bytes(t, "peer")) {
		return fmt.Errorf("met %v", peer)
	}
	return nil
}

func tryIdentity(t *testing.T, v *vectortest.Vector) error {
	u := UnlockPassphrase([]byte(v.Get("passphrase")))
	if key := v.Bytes(t, "key"); key != nil {
		u = UnlockKey(key)
	}
	id, err := parseIdentity(u, v.Bytes(t, "file"))
	if err == nil && (!bytes.Equal(id.account[:], v.Bytes(t, "account")) || !bytes.Equal(id.device[:], v.Bytes(t, "device"))) {
		return errors.New("another identity")
	}
	return err
}

func tryWelcome(t *testing.T, v *vectortest.Vector) error {
	keys, err := keysFromSeeds(secretOf(t, v, "signing-seed"), secretOf(t, v, "hpke-seed"))
	if err != nil {
		return err
	}
	j := &Joiner{keys: keys, random: seeded(1)}
	if err := j.OpenWelcome(Hash(v.Bytes(t, "transcript")), v.Bytes(t, "welcome")); err != nil {
		return err
	}
	if !bytes.Equal(j.stored.Device[:], v.Bytes(t, "device")) || !bytes.Equal(j.stored.Account[:], v.Bytes(t, "account")) {
		return errors.New("another device or account")
	}
	return nil
}
