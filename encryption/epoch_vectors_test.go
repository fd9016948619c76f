package encryption

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/cryptotest"

	"github.com/starling-sync/starling/crdt/vectortest"
)

// tryRotation admits the operations and then the records of a case to a device
// that has the first epoch or nothing, and wants the last record open.
func tryRotation(t *testing.T, v *vectortest.Vector) error {
	log := vectorLog(t, v)
	keys, err := keysFromSeeds(NewSecret([32]byte{}), secretOf(t, v, "hpke-seed"))
	if err != nil {
		return err
	}
	k := newKeyring(log.account, keys.hpke)
	k.insert(&announcement{tag: EpochTag(v.Bytes(t, "first-tag")), generation: 1, body: &epochBody{}})
	k.follow(log)
	records := v.All(t, "record")
	if _, err := k.admit(log, records); err != nil {
		return err
	}
	last := must(parseEpochRecord(records[len(records)-1]))
	if a := k.byTag[last.Tag][0]; a.broken != nil {
		return a.broken
	}
	if k.secrets[last.Tag] == nil {
		return ErrUnknownEpoch
	}
	var got []string
	for _, e := range k.secrets {
		got = append(got, fmt.Sprintf("%x", e.secret.slice()))
	}
	var want []string
	for _, s := range v.All(t, "epoch-secret") {
		want = append(want, fmt.Sprintf("%x", s))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%d secrets, want %d", len(got), len(want))
	}
	return nil
}

func TestRotationVectors(t *testing.T) {
	try := func(v *vectortest.Vector) error { return tryRotation(t, v) }
	if good, _ := vectortest.Try(t, vectortest.Read(t, "rotation", "rewrap"), rotationErrors(), try); good["rotation"]+good["rewrap"] < 4 {
		t.Error("vectors are missing: ", good)
	}
}

func rotationErrors() map[string]error {
	all := vectorErrors()
	maps.Copy(all, map[string]error{"ErrMissingOperation": ErrMissingOperation})
	return all
}

func TestRotationVectorsAreReproduced(t *testing.T) { compareFrozen(t, makeRotationVectors(t)) }

// rotationWorld is the account that these vectors are about.
type rotationWorld struct {
	a, b, late *Identity // late is added beside the second epoch
	founded    *foundation
}

func makeRotationVectors(t *testing.T) []*vectortest.Vector {
	cryptotest.SetGlobalRandom(t, 2)
	w := &rotationWorld{}
	w.a, w.founded = newFoundation(t, "laptop", 1)
	w.b = link(t, w.a, "phone", 2)
	return append(w.rotations(t), w.rewraps(t)...)
}

func (w *rotationWorld) one(name, comment, expect string, hpkeSeed Secret, ops [][]byte, records ...[]byte) *vectortest.Vector {
	first := w.a.ring.all[0].tag
	return vectortest.New(name, comment, expect).Hex("known", ops...).Hex("first-tag", first[:]).
		Hex("hpke-seed", hpkeSeed.slice()).Hex("record", records...)
}

func (w *rotationWorld) rotations(t *testing.T) (out []*vectortest.Vector) {
	forged := func(name, comment, expect string, body func(*forgedEpoch)) {
		op, record := forgeEpoch(t, w.a, body, unchanged)
		out = append(out, w.one("rotation-"+name, comment, expect, w.b.keys.hpkeSeed, append(w.a.Ops(), op), record))
	}
	forged("generation", "says generation 3 and was announced as 2", "ErrMalformed", func(f *forgedEpoch) { f.body.Generation = 3 })
	forged("previous", "follows no epoch", "ErrMalformed", func(f *forgedEpoch) { f.body.Previous = nil })
	forged("secrets-none", "holds no earlier secrets", "ErrMalformed", func(f *forgedEpoch) { f.body.Secrets = nil })
	forged("wraps", "signed for other wraps", "ErrMalformed", func(f *forgedEpoch) { f.body.WrapsHash = Hash{} })
	forged("author-none", "its author is no recipient", "ErrMalformed", func(f *forgedEpoch) {
		f.body.Recipients = []DeviceID{w.b.device}
	})
	forged("recipients-order", "recipients not in ascending order", "ErrMalformed", func(f *forgedEpoch) { slices.Reverse(f.body.Recipients) })
	forged("author-other", "made by another device than announced it", "ErrUnknownDevice", func(f *forgedEpoch) {
		f.body.Author, f.key = w.b.device, w.b.keys.signing
	})
	forged("signature", "signed by another device", "ErrSignature", func(f *forgedEpoch) { f.key = w.b.keys.signing })
	forged("version", "version 2 inside", "ErrUnsupported", func(f *forgedEpoch) { f.body.Version = 2 })
	before := w.a.Ops()
	op, record := forgeEpoch(t, w.a, unchanged, unchanged)
	first := w.a.ring.all[0].tag
	e := newEpoch(NewSecret([32]byte{77}), w.a.account)
	secrets := [][]byte{w.a.ring.secrets[first].secret.slice(), e.secret.slice()}
	ops := append(w.a.Ops(), op)
	recovery := must(recoveryKeys(w.founded.seed))
	good := w.one("rotation-second", "the second epoch, for a member: gives the first one too", "ok", w.b.keys.hpkeSeed, ops, record)
	phrase := w.one("rotation-recovery", "the same for the recovery key", "ok", recovery.hpkeSeed, ops, record)
	out = append(out, good.Hex("epoch-secret", secrets...), phrase.Hex("epoch-secret", secrets...),
		w.one("rotation-unannounced", "no operation announces it", "ErrMissingOperation", w.b.keys.hpkeSeed, before, record),
		w.one("rotation-recipient-none", "no wrap is for this key", "ErrUnknownEpoch", NewSecret([32]byte{9}), ops, record),
		w.one("rotation-flipped", "the last byte of the body: then it is not the announced record, and no rewrap", "ErrDecrypt", w.b.keys.hpkeSeed, ops, flipped(record, len(record)-1)),
		w.one("rotation-cut", "the last byte is missing", "ErrMalformed", w.b.keys.hpkeSeed, ops, record[:len(record)-1]))
	tagged, other := forgeEpoch(t, w.a, unchanged, func(f *forgedEpoch) { f.action.Tag = EpochTag{1} })
	out = append(out, w.one("rotation-tag", "announced with another tag", "ErrMalformed", w.b.keys.hpkeSeed, append(w.a.Ops(), tagged), other))
	w.late = link(t, w.b, "late", 3)
	admitAll(t, w.a, [][]byte{op})
	admitRecords(t, w.a, record)
	return out
}

func (w *rotationWorld) rewraps(t *testing.T) []*vectortest.Vector {
	record := w.a.EpochRecords()[1]
	admitAll(t, w.a, w.late.Ops())
	ops, e, seed := w.a.Ops(), w.a.epoch, w.late.keys.hpkeSeed
	to := []recipient{{id: w.late.device, key: w.late.keys.hpkePublic()}}
	wraps := must(wrapSecret(e, w.a.account, to, seeded(102)))
	rewrap := func(key signingKey, change func(*rewrapBody)) []byte {
		body := rewrapBody{
			Version: 1, Suite: 1, Account: w.a.account, Tag: e.tag, WrapsHash: hashWraps(wraps),
			Author: w.a.device, Recipients: recipientIDs(to), Members: w.a.MembershipDigest(),
		}
		change(&body)
		raw := encode(body)
		signed := encode(signedEpochBody{Body: raw, Signature: labelRewrapSign.sign(key, raw)})
		return must(sealRecord(e, w.a.account, wraps, signed, labelRewrapBody, seeded(103)))
	}
	plain := func(*rewrapBody) {}
	good := rewrap(w.a.keys.signing, plain)
	first := w.a.ring.secrets[w.a.ring.all[0].tag].secret
	one := func(name, comment, expect string, hpkeSeed Secret, records ...[]byte) *vectortest.Vector {
		return w.one("rewrap-"+name, comment, expect, hpkeSeed, ops, records...)
	}
	return []*vectortest.Vector{
		one("member", "brings in a member whom the record leaves out; with the record, the first epoch too", "ok", seed, good, record).
			Hex("epoch-secret", first.slice(), e.secret.slice()),
		one("alone", "before the record", "ok", seed, good).Hex("epoch-secret", e.secret.slice()),
		one("stranger", "for another device, which has the epoch from nowhere else", "ErrUnknownEpoch", NewSecret([32]byte{9}), good),
		one("author", "its author was never added", "ErrMissingOperation", seed, rewrap(w.a.keys.signing, func(b *rewrapBody) { b.Author = DeviceID{1} })),
		one("signature", "signed by another device", "ErrSignature", seed, rewrap(w.b.keys.signing, plain)),
		one("wraps", "signed for other wraps", "ErrMalformed", seed, rewrap(w.a.keys.signing, func(b *rewrapBody) { b.WrapsHash = Hash{} })),
		one("nobody", "for no recipient", "ErrMalformed", seed, rewrap(w.a.keys.signing, func(b *rewrapBody) { b.Recipients = nil })),
		one("flipped", "the last byte", "ErrDecrypt", seed, flipped(bytes.Clone(good), len(good)-1)),
	}
}
