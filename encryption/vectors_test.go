package encryption

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateVectors = flag.Bool("update-vectors", false, "write vectors that do not exist yet")

const vectorDir = "testdata/vectors"

// vector is one frozen case: a text file of "key: value" lines. The first three
// are comment, kind and expect, which is "ok" or the name of an error. Keys may
// repeat; bytes are hexadecimal.
type vector struct {
	name   string
	fields [][2]string
}

func newVector(name, comment, expect string) *vector {
	kind, _, _ := strings.Cut(name, "-")
	v := &vector{name: name}
	return v.text("comment", comment).text("kind", kind).text("expect", expect)
}

func (v *vector) text(key, value string) *vector {
	v.fields = append(v.fields, [2]string{key, value})
	return v
}

func (v *vector) hex(key string, values ...[]byte) *vector {
	for _, b := range values {
		v.text(key, hex.EncodeToString(b))
	}
	return v
}

func (v *vector) num(key string, n uint64) *vector { return v.text(key, fmt.Sprint(n)) }

func (v *vector) marshal() []byte {
	var out bytes.Buffer
	for _, f := range v.fields {
		fmt.Fprintf(&out, "%s: %s\n", f[0], f[1])
	}
	return out.Bytes()
}

func readVector(t *testing.T, path string) *vector {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v := &vector{name: strings.TrimSuffix(filepath.Base(path), ".txt")}
	for line := range strings.Lines(string(raw)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if !ok {
			t.Fatalf("%s: line without a key: %q", path, line)
		}
		v.text(key, strings.TrimPrefix(value, " "))
	}
	return v
}

func (v *vector) get(key string) string {
	for _, f := range v.fields {
		if f[0] == key {
			return f[1]
		}
	}
	return ""
}

func (v *vector) all(t *testing.T, key string) (out [][]byte) {
	t.Helper()
	for _, f := range v.fields {
		if f[0] == key {
			b, err := hex.DecodeString(f[1])
			if err != nil {
				t.Fatalf("%s: %s: %v", v.name, key, err)
			}
			out = append(out, b)
		}
	}
	return out
}

func (v *vector) bytes(t *testing.T, key string) []byte {
	t.Helper()
	all := v.all(t, key)
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

func (v *vector) secret(t *testing.T, key string) Secret {
	t.Helper()
	b := v.bytes(t, key)
	if len(b) != 32 {
		t.Fatalf("%s: %s has %d bytes", v.name, key, len(b))
	}
	return NewSecret([32]byte(b))
}

// number reads a decimal field, 0 when it is absent.
func (v *vector) number(t *testing.T, key string) (n uint64) {
	t.Helper()
	if text := v.get(key); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatalf("%s: %s: %v", v.name, key, err)
		}
	}
	return n
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
func vectorKinds() map[string]func(*testing.T, *vector) error {
	return map[string]func(*testing.T, *vector) error{
		"derive": tryDerive, "operation": tryOperation, "epoch": tryEpoch, "envelope": tryEnvelope,
		"members": tryMembers, "hello": tryHello, "identity": tryIdentity, "welcome": tryWelcome,
		"backup": tryBackup,
	}
}

func TestVectors(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(vectorDir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	kinds, good, bad := vectorKinds(), 0, 0
	for _, path := range paths {
		v := readVector(t, path)
		try := kinds[v.get("kind")]
		if try == nil {
			continue // another test of the package has it
		}
		want, known := vectorErrors()[v.get("expect")]
		if !known {
			t.Errorf("%s expects the unknown %q", v.name, v.get("expect"))
		}
		if want == nil {
			good++
		} else {
			bad++
		}
		if err := try(t, v); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s (%s): got %v, want %s", v.name, v.get("comment"), err, v.get("expect"))
		}
	}
	if good < 8 || bad <= good {
		t.Errorf("%d positive and %d negative vectors: some are missing", good, bad)
	}
}

// TestVectorsAreReproduced makes every vector anew from fixed random bytes. It
// never changes a file: with -update-vectors it adds those that do not exist.
func TestVectorsAreReproduced(t *testing.T) { compareFrozen(t, makeVectors(t)) }

func compareFrozen(t *testing.T, made []*vector) {
	t.Helper()
	seen := map[string]bool{}
	for _, v := range made {
		if seen[v.name] {
			t.Errorf("%s is made twice", v.name)
		}
		seen[v.name] = true
		path := filepath.Join(vectorDir, v.name+".txt")
		frozen, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) && *updateVectors {
			if err := errors.Join(os.MkdirAll(vectorDir, 0o755), os.WriteFile(path, v.marshal(), 0o644)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(frozen, v.marshal()) {
			t.Errorf("%s: the code makes other bytes than the frozen ones", v.name)
		}
	}
}

func tryDerive(t *testing.T, v *vector) error {
	account := AccountID(v.bytes(t, "account"))
	e := newEpoch(v.secret(t, "epoch-secret"), account)
	device := DeviceID(v.bytes(t, "device"))
	id := &Identity{account: account, device: device, epoch: e, ring: oneEpoch(e, account)}
	recovery, err := recoveryKeys(v.secret(t, "recovery-seed"))
	if err != nil {
		return err
	}
	day := uint32(v.number(t, "day"))
	host, writer := newestKeys(id, day).HostSeed(id.device), WriterFor(id.device, [16]byte(v.bytes(t, "instance-nonce")))
	for key, got := range map[string][]byte{
		"tag": e.tag[:], "data-key": e.data.slice(), "control-key": e.control.slice(),
		"previous-secrets-key": e.previous.slice(), "discovery-key": e.discovery.slice(), "mailbox-key": e.mailbox.slice(),
		"recovery-signing-public": recovery.signingPublic(), "recovery-hpke-public": recovery.hpkePublic(),
		"host-seed": host[:], "writer": writer[:],
	} {
		if !bytes.Equal(got, v.bytes(t, key)) {
			return fmt.Errorf("%s is %x", key, got)
		}
	}
	if newestKeys(id, day).ServiceName() != v.get("service-name") {
		return fmt.Errorf("service-name is %s", newestKeys(id, day).ServiceName())
	}
	return nil
}

// vectorLog admits the case's "known" operations, of which the first is the genesis.
func vectorLog(t *testing.T, v *vector) *membershipLog {
	t.Helper()
	ops := v.all(t, "known")
	log := newLog(accountID(ops[0]))
	if _, err := log.admit(ops); err != nil {
		t.Fatalf("%s: %v", v.name, err)
	}
	return log
}

func tryOperation(t *testing.T, v *vector) error {
	log := vectorLog(t, v)
	added, err := log.admit(v.all(t, "operation"))
	if device := v.bytes(t, "device"); err == nil && (len(added) != 1 || device != nil && !bytes.Equal(added[0].member.ID[:], device)) {
		return fmt.Errorf("added %v", added)
	}
	if err == nil {
		err = sameMeaning(v, log)
	}
	if digest := log.digest(); err == nil && !bytes.Equal(digest[:], v.bytes(t, "digest")) {
		return fmt.Errorf("digest is %v", digest)
	}
	return err
}

func tryEpoch(t *testing.T, v *vector) error {
	log := vectorLog(t, v)
	keys, err := keysFromSeeds(NewSecret([32]byte{}), v.secret(t, "hpke-seed"))
	if err != nil {
		return err
	}
	r, err := parseEpochRecord(v.bytes(t, "record"))
	if err != nil {
		return err
	}
	e, err := r.unwrap(log.account, keys.hpke)
	if err != nil {
		return err
	}
	if !e.secret.Equal(v.secret(t, "epoch-secret")) {
		return errors.New("another secret")
	}
	_, err = r.open(e, log, &announcement{generation: 1})
	return err
}

func tryEnvelope(t *testing.T, v *vector) error {
	log := vectorLog(t, v)
	e := newEpoch(v.secret(t, "epoch-secret"), log.account)
	id := &Identity{account: log.account, epoch: e, ring: oneEpoch(e, log.account), log: log}
	u, err := id.OpenEnvelope(v.bytes(t, "envelope"))
	if err != nil {
		return err
	}
	var chain *Chain
	if seq := v.number(t, "chain-seq"); seq != 0 {
		chain = &Chain{
			Seq: seq, Device: DeviceID(v.bytes(t, "chain-device")),
			Head: Hash(v.bytes(t, "chain-head")), Members: Hash(v.bytes(t, "chain-members")),
		}
	}
	c, head, err := u.Verify(id, chain)
	if err != nil {
		return err
	}
	if !bytes.Equal(c.Batch, v.bytes(t, "batch")) || !bytes.Equal(c.Writer[:], v.bytes(t, "writer")) ||
		c.Seq != v.number(t, "seq") || !bytes.Equal(head[:], v.bytes(t, "id")) {
		return fmt.Errorf("content %+v", c)
	}
	return nil
}

func tryHello(t *testing.T, v *vector) error {
	log := vectorLog(t, v)
	keys, err := keysFromSeeds(v.secret(t, "signing-seed"), NewSecret([32]byte{}))
	if err != nil {
		return err
	}
	e := newEpoch(v.secret(t, "epoch-secret"), log.account)
	id := &Identity{
		account: log.account, device: DeviceID(v.bytes(t, "device")), keys: keys,
		epoch: e, ring: oneEpoch(e, log.account), log: log,
	}
	h := id.NewHello(v.get("role") == "initiator", v.bytes(t, "local"), v.bytes(t, "remote"), testTime, bytes.NewReader(v.bytes(t, "random")))
	var out []byte
	var sent [][]byte
	for _, in := range v.all(t, "in") {
		if out, _, err = h.Next(in); err != nil {
			return err
		}
		if out != nil {
			sent = append(sent, out)
		}
	}
	if !slices.EqualFunc(sent, v.all(t, "out"), bytes.Equal) {
		return errors.New("other frames were sent")
	}
	if peer, _ := h.Peer(); !bytes.Equal(peer[:], v.bytes(t, "peer")) {
		return fmt.Errorf("met %v", peer)
	}
	return nil
}

func tryIdentity(t *testing.T, v *vector) error {
	u := UnlockPassphrase([]byte(v.get("passphrase")))
	if key := v.bytes(t, "key"); key != nil {
		u = UnlockKey(key)
	}
	id, err := parseIdentity(u, v.bytes(t, "file"))
	if err == nil && (!bytes.Equal(id.account[:], v.bytes(t, "account")) || !bytes.Equal(id.device[:], v.bytes(t, "device"))) {
		return errors.New("another identity")
	}
	return err
}

func tryWelcome(t *testing.T, v *vector) error {
	keys, err := keysFromSeeds(v.secret(t, "signing-seed"), v.secret(t, "hpke-seed"))
	if err != nil {
		return err
	}
	j := &Joiner{keys: keys, random: seeded(1)}
	if err := j.OpenWelcome(Hash(v.bytes(t, "transcript")), v.bytes(t, "welcome")); err != nil {
		return err
	}
	if !bytes.Equal(j.stored.Device[:], v.bytes(t, "device")) || !bytes.Equal(j.stored.Account[:], v.bytes(t, "account")) {
		return errors.New("another device or account")
	}
	return nil
}
