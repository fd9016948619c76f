package encryption

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starling-sync/starling/crdt/vectortest"
)

// FuzzOpenEnvelope gives arbitrary bytes to the two stages: as an envelope, and
// as a plain text that a member has sealed. Whatever is accepted must be the one
// form of its content.
func FuzzOpenEnvelope(f *testing.F) {
	a := newFounder(f, "laptop", 1)
	w := newTestWriter(a, 1)
	for _, batch := range [][]byte{nil, []byte("batch"), make([]byte, 400)} {
		raw := w.seal(f, batch, Dep{Writer: WriterID{1}, Seq: 2, Head: Hash{3}})
		plain, err := aead(a.epoch.data).Open(nil, raw[17:envelopeFront], raw[envelopeFront:], envelopeContext(a.account, a.epoch.tag))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(plain)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, raw := range [][]byte{data, sealPlain(a, data)} {
			u, err := a.OpenEnvelope(raw)
			if err != nil {
				continue
			}
			u.Verify(a, nil)
			b := envelopeBody{Writer: u.Writer, Seq: u.Seq, Deps: u.Deps, Batch: u.batch, Members: u.members}
			if u.Announce {
				b.Device, b.Nonce = u.Device[:], u.Nonce[:]
			}
			if n := envelopeOverhead + len(encode(&b)); len(raw) != envelopeSize(n) && len(raw) != paddedSize(n) {
				t.Fatalf("accepted %d bytes for content that takes %d", len(raw), n)
			}
		}
	})
}

// FuzzAdmit gives arbitrary bytes as an operation, and as the body of one that
// this device or the recovery key signs.
func FuzzAdmit(f *testing.F) {
	a := newFounder(f, "laptop", 1)
	op, err := a.PrepareAdd(newTestJoiner(f, "phone", 2).Request(Hash{1}), testTime)
	if err != nil {
		f.Fatal(err)
	}
	var s signedOperation
	if err := decode(op, MaxOperation, &s); err != nil {
		f.Fatal(err)
	}
	f.Add(op)
	f.Add(s.Body)
	f.Add(a.Ops()[0])
	w := newForgery(f)
	a = w.a
	for kind := OperationRemove; kind <= OperationRotateRecovery; kind++ {
		op := w.spoilt(kind, nil)
		if err := decode(op, MaxOperation, &s); err != nil {
			f.Fatal(err)
		}
		f.Add(op)
		f.Add(s.Body)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all := [][]byte{data}
		for _, keys := range [][]*deviceKeys{{a.keys}, {w.recovery}, {w.recovery, w.fresh}} {
			s := signedOperation{Body: data}
			for _, k := range keys {
				s.Signatures = append(s.Signatures, labelOperationSign.sign(k.signing, data))
			}
			all = append(all, encode(s))
		}
		log := a.log.clone()
		before := len(log.ops)
		added, err := log.admit(all)
		if err == nil && len(log.ops) != before+len(added) {
			t.Fatal("the log grew by something else than what was added")
		}
		for _, op := range added {
			if again := encode(signedOperation{Body: op.body, Signatures: op.signatures}); !bytes.Equal(again, op.raw) {
				t.Fatal("admitted bytes that are not canonical")
			}
		}
	})
}

// FuzzHello gives arbitrary bytes as every frame to both sides, plain and sealed
// under the right key.
func FuzzHello(f *testing.F) {
	a := newFounder(f, "laptop", 1)
	b := link(f, a, "phone", 2)
	x, y := helloPair(a, b, 1)
	frames, err := runHello(x, y)
	if err != nil {
		f.Fatal(err)
	}
	for _, frame := range frames {
		f.Add(frame)
	}
	f.Add(encode(x.introduce(x.nonces[0])))
	f.Add(encode(signedHello{Body: encode(greetingProof{Greeting: *y.introduce(y.nonces[1])}), Signature: make([]byte, 64)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		for number := range frames {
			sender, receiver := helloPair(a, b, 1)
			switch number {
			case 1:
				sender, receiver = receiver, sender
				receiver.Next(nil)
				sender.Next(frames[0])
			case 2:
				sender.Next(nil)
				receiver.Next(frames[0])
				sender.Next(frames[1])
			}
			sealed, err := receiver.sealAs(uint64(number+1), data)
			if err != nil {
				sealed = data
			}
			for _, in := range [][]byte{data, sealed} {
				_, done, err := receiver.Next(in)
				if err != nil && !errors.Is(err, ErrHello) {
					t.Fatal(err)
				}
				if done && !bytes.Equal(in, frames[number]) {
					t.Fatalf("frame %d was accepted though nobody sent it", number+1)
				}
			}
		}
	})
}

// sealAs seals a frame in the place where h expects one, without being part of
// its transcript.
func (h *Hello) sealAs(number uint64, plain []byte) ([]byte, error) {
	before, random, chosen := h.transcript, h.random, h.epoch
	defer func() { h.transcript, h.random, h.epoch = before, random, chosen }()
	h.random = seeded(77)
	if h.epoch == nil {
		h.epoch = h.epochs[0]
	}
	return h.seal(number, plain)
}

// FuzzIdentityFile gives arbitrary bytes as the file, and as its contents.
func FuzzIdentityFile(f *testing.F) {
	_, stored := newFoundation(f, "laptop", 1)
	plain := encode(stored.stored)
	raw, err := sealBox(testKey(), argonCost{}, plain, seeded(2))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(plain)
	f.Add(raw[:100])
	f.Fuzz(func(t *testing.T, data []byte) {
		sealed, err := sealBox(testKey(), argonCost{}, data, seeded(3))
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range [][]byte{data, sealed} {
			_, err := parseIdentity(testKey(), in)
			if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrWrongUnlock) {
				t.Fatalf("untyped error: %v", err)
			}
		}
	})
}

// FuzzWelcome gives arbitrary bytes as a welcome, and as the plain text of one.
func FuzzWelcome(f *testing.F) {
	a := newFounder(f, "laptop", 1)
	j := newTestJoiner(f, "phone", 2)
	r := j.Request(Hash{2})
	add(f, a, r)
	raw, err := a.Welcome(r)
	if err != nil {
		f.Fatal(err)
	}
	transcript := Hash{2}
	info := hpkeInfo(labelWelcomeSeal, a.account, transcript[:])
	var outer sealedWelcome
	if err := decode(raw, MaxWelcome, &outer); err != nil {
		f.Fatal(err)
	}
	plain, err := hpkeOpen(j.keys.hpke, info, outer.Sealed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(plain)
	f.Fuzz(func(t *testing.T, data []byte) {
		box, err := hpkeSeal(r.HPKEKey, info, data)
		if err != nil {
			t.Fatal(err)
		}
		sealed := encode(sealedWelcome{Version: 1, Suite: 1, Account: a.account, Sealed: box})
		for _, in := range [][]byte{data, sealed} {
			if err := j.OpenWelcome(transcript, in); err != nil && !errors.Is(err, ErrWelcome) {
				t.Fatalf("untyped error: %v", err)
			}
		}
	})
}

// FuzzEpochRecord gives arbitrary bytes as a record, as the body of the first
// one, and as the body of one that is announced, or of a rewrap, by a member.
func FuzzEpochRecord(f *testing.F) {
	a := newFounder(f, "laptop", 1)
	first := a.ring.all[0]
	f.Add(a.EpochRecords()[0])
	good, err := parseEpochRecord(a.EpochRecords()[0])
	if err != nil {
		f.Fatal(err)
	}
	plain, err := aead(a.epoch.control).Open(nil, good.Nonce[:], good.Body, epochBodyContext(a.account, good.Tag))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	tag := rotate(f, a)
	f.Add(a.EpochRecords()[1])
	f.Add(encode(a.ring.byTag[tag][0].body))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := parseEpochRecord(data); err == nil {
			r.open(a.ring.secrets[first.tag], a.log, first)
			r.unwrap(a.account, a.keys.hpke)
		}
		r := *good
		e := a.ring.secrets[first.tag]
		r.Body = aead(e.control).Seal(nil, r.Nonce[:], data, epochBodyContext(a.account, r.Tag))
		if body, err := r.open(e, a.log, first); err == nil && body.Author != a.device {
			t.Fatal("accepted a body that its author did not sign")
		}
		fuzzMember(t, copyOf(a), a.ring.byTag[tag][0], data)
	})
}

// fuzzMember is a member that announces and seals what it pleases.
func fuzzMember(t *testing.T, a *Identity, like *announcement, data []byte) {
	t.Helper()
	before, _ := a.CurrentEpoch()
	e, wraps := newEpoch(NewSecret([32]byte{7}), a.account), must(parseEpochRecord(like.raw)).Wraps
	for _, kind := range []struct{ body, sign label }{{labelEpochBody, labelEpochSign}, {labelRewrapBody, labelRewrapSign}} {
		signed := encode(signedEpochBody{Body: data, Signature: kind.sign.sign(a.keys.signing, data)})
		raw, err := sealRecord(e, a.account, wraps, signed, kind.body, seeded(1))
		if err != nil {
			t.Fatal(err)
		}
		a.ring.secrets[e.tag] = e
		signedEpoch(t, a, e.tag, like.generation+1, raw)
		added, err := a.AdmitEpochs(raw, data)
		if again := must(a.AdmitEpochs(added...)); len(again) != 0 {
			t.Fatalf("kept twice: %d (%v)", len(again), err)
		}
		if _, err := newIdentityOf(a); err != nil {
			t.Fatalf("what was kept does not come back: %v", err)
		}
	}
	if now, ok := a.CurrentEpoch(); !ok || now != before && len(a.ring.byTag[now][0].body.Recipients) == 0 {
		t.Fatalf("at epoch %v", now)
	}
}

// signedEpoch announces a record.
func signedEpoch(t *testing.T, a *Identity, tag EpochTag, generation uint64, raw []byte) {
	t.Helper()
	signed(t, a, OperationEpoch, epochAction{Tag: tag, Generation: generation, Record: recordName(raw), At: 1})
}

// newIdentityOf is the device after a restart, from what its caller stored.
func newIdentityOf(a *Identity) (*Identity, error) {
	again := &Identity{
		account: a.account, device: a.device, keys: a.keys, record: a.record,
		log: newLog(a.account), ring: firstOnly(a.ring, a.ring.keys...),
	}
	if _, err := again.Admit(a.Ops()...); err != nil {
		return nil, err
	}
	_, err := again.AdmitEpochs(a.EpochRecords()...)
	return again, err
}

// FuzzBackupContent: of all that can be encrypted to the recovery key, the reader
// takes what a device signed, to the byte, and nothing else.
func FuzzBackupContent(f *testing.F) {
	_, founded := newFoundation(f, "laptop", 1)
	frozen, err := os.ReadFile(filepath.Join(vectortest.Dir, "backup-good.txt")) // the same in every process
	if err != nil {
		f.Fatal(err)
	}
	_, field, _ := strings.Cut(string(frozen), "\nfile: ")
	line, _, _ := strings.Cut(field, "\n")
	raw, err := hex.DecodeString(line)
	if err != nil {
		f.Fatal(err)
	}
	plain := plainOf(f, raw, 1)
	f.Add(plain)
	f.Add([]byte(backupMagic))
	f.Fuzz(func(t *testing.T, content []byte) {
		b := &BackupReader{source: &faultSource{}, words: NewRecoveryWords(founded.seed), sum: sha256.New()}
		err := b.openContent(bytes.NewReader(content))
		for err == nil {
			_, err = b.Next()
		}
		if errors.Is(err, io.EOF) && b.Manifest() != nil {
			err = nil
		}
		if signed := bytes.Equal(content, plain); signed != (err == nil) {
			t.Errorf("as it was signed: %v; error: %v", signed, err)
		}
	})
}
