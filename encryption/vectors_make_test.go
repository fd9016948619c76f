package encryption

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/starling-sync/starling/crdt/vectortest"
)

// vectorWorld is the account that the vectors are about.
type vectorWorld struct {
	a, b     *Identity // founder and a device it added
	stranger *Identity
	founded  *foundation
	joiner   *Joiner // b before it joined
	request  *JoinRequest
	welcome  []byte
}

// makeVectors builds every case. HPKE draws from the global source, so that is
// seeded too.
func makeVectors(t *testing.T) []*vectortest.Vector {
	cryptotest.SetGlobalRandom(t, 1)
	w := &vectorWorld{stranger: newFounder(t, "stranger", 3)}
	w.a, w.founded = newFoundation(t, "laptop", 1)
	w.joiner = newTestJoiner(t, "phone", 2)
	w.request = w.joiner.Request(Hash{2})
	add(t, w.a, w.request)
	var err error
	if w.welcome, err = w.a.Welcome(w.request); err != nil {
		t.Fatal(err)
	}
	w.b = view(w.a, w.a.log.ops[1].member.ID, w.joiner.keys, w.a.Ops())
	return slices.Concat(
		w.derive(), w.operations(), w.epochs(t), w.envelopes(t), w.hellos(t), w.identities(t), w.welcomes(t))
}

func flipped(raw []byte, at int) []byte {
	bad := slices.Clone(raw)
	bad[at] ^= 1
	return bad
}

func (w *vectorWorld) derive() []*vectortest.Vector {
	id, e := w.a, w.a.epoch
	recovery := must(recoveryKeys(w.founded.seed))
	nonce := [16]byte{1, 2, 3}
	host, writer := newestKeys(id, 20000).HostSeed(id.device), WriterFor(id.device, nonce)
	return []*vectortest.Vector{vectortest.New("derive-account", "everything that is derived from the secrets of an account", "ok").
		Hex("account", id.account[:]).Hex("device", id.device[:]).Hex("epoch-secret", e.secret.slice()).
		Hex("recovery-seed", w.founded.seed.slice()).Hex("instance-nonce", nonce[:]).Num("day", 20000).
		Hex("tag", e.tag[:]).Hex("data-key", e.data.slice()).Hex("control-key", e.control.slice()).
		Hex("previous-secrets-key", e.previous.slice()).Hex("discovery-key", e.discovery.slice()).
		Hex("mailbox-key", e.mailbox.slice()).
		Hex("recovery-signing-public", recovery.signingPublic()).Hex("recovery-hpke-public", recovery.hpkePublic()).
		Hex("host-seed", host[:]).Hex("writer", writer[:]).Text("service-name", newestKeys(id, 20000).ServiceName())}
}

func (w *vectorWorld) operations() []*vectortest.Vector {
	keys := w.stranger.keys
	genesis := w.a.Ops()[:1]
	one := func(name, comment, expect string, change func(*operationBody, *addAction)) *vectortest.Vector {
		return vectortest.New("operation-"+name, comment, expect).Hex("known", w.a.Ops()...).
			Hex("operation", forge(w.a, keys, change))
	}
	genesisHash := labelOperationHash.hash(genesis[0])
	good := vectortest.New("operation-add", "the first device adds another", "ok").Hex("known", genesis...).Hex("operation", w.a.Ops()[1])
	device, digest := w.a.log.ops[1].member.ID, w.a.MembershipDigest()
	good.Hex("device", device[:]).Hex("digest", digest[:])
	op := w.a.Ops()[1]
	return []*vectortest.Vector{
		good,
		vectortest.New("operation-flipped-signature", "the last byte of the author's signature", "ErrSignature").Hex("known", genesis...).Hex("operation", flipped(op, len(op)-1)),
		vectortest.New("operation-trailing-byte", "a byte after the end", "ErrMalformed").Hex("known", genesis...).Hex("operation", append(slices.Clone(op), 0)),
		vectortest.New("operation-cut", "the last byte is missing", "ErrMalformed").Hex("known", genesis...).Hex("operation", op[:len(op)-1]),
		vectortest.New("operation-other-genesis", "the genesis of another account", "ErrOtherAccount").Hex("known", genesis...).Hex("operation", w.stranger.Ops()[0]),
		vectortest.New("operation-huge", "over 4,096 bytes", "ErrTooLarge").Hex("known", genesis...).Hex("operation", make([]byte, MaxOperation+1)),
		one("version", "version 2", "ErrUnsupported", func(b *operationBody, _ *addAction) { b.Version = 2 }),
		one("suite", "suite 2", "ErrUnsupported", func(b *operationBody, _ *addAction) { b.Suite = 2 }),
		one("kind", "kind 99", "ErrUnsupported", func(b *operationBody, _ *addAction) { b.Kind = 99 }),
		one("account", "names another account", "ErrOtherAccount", func(b *operationBody, _ *addAction) { b.Account = w.stranger.account }),
		one("author", "author is not a member", "ErrNotMember", func(b *operationBody, _ *addAction) { b.Author = w.stranger.device }),
		one("author-later", "author is a member, but not in the operation's own past", "ErrNotMember", func(b *operationBody, _ *addAction) {
			b.Author, b.Parents = w.b.device, []Hash{genesisHash}
		}),
		one("sequence", "sequence 3 after 1", "ErrSequence", func(b *operationBody, _ *addAction) { b.Seq++ }),
		one("previous", "previous is not the author's last operation", "ErrSequence", func(b *operationBody, _ *addAction) { b.Previous = genesisHash }),
		one("parents-none", "no parents", "ErrMalformed", func(b *operationBody, _ *addAction) { b.Parents = nil }),
		one("parents-order", "the same parent twice", "ErrMalformed", func(b *operationBody, _ *addAction) { b.Parents = append(b.Parents, b.Parents...) }),
		one("parents-unknown", "a parent that nobody has", "ErrMissingParents", func(b *operationBody, _ *addAction) { b.Parents = []Hash{{1}} }),
		one("name-escape", "a name with a terminal escape", "ErrMalformed", func(_ *operationBody, a *addAction) { a.Name = "\x1b[2J" }),
		one("name-long", "a name of 257 bytes", "ErrMalformed", func(_ *operationBody, a *addAction) { a.Name = strings.Repeat("x", 257) }),
		one("self-signature", "the target asked in another pairing", "ErrSignature", func(_ *operationBody, a *addAction) { a.Transcript = Hash{8} }),
		one("hpke-key", "an HPKE key that does not decode", "ErrMalformed", func(_ *operationBody, a *addAction) { a.HPKEKey = bytes.Repeat([]byte{0xff}, hpkeKeySize) }),
	}
}

func (w *vectorWorld) epochs(t *testing.T) []*vectortest.Vector {
	raw := w.a.EpochRecords()[0]
	one := func(name, comment, expect string, record []byte) *vectortest.Vector {
		return vectortest.New("epoch-"+name, comment, expect).Hex("known", w.a.Ops()[0]).
			Hex("hpke-seed", w.a.keys.hpkeSeed.slice()).Hex("epoch-secret", w.a.epoch.secret.slice()).Hex("record", record)
	}
	r, err := parseEpochRecord(raw)
	if err != nil {
		t.Fatal(err)
	}
	swapped := *r
	swapped.Wraps = slices.Clone(r.Wraps)
	slices.Reverse(swapped.Wraps)
	fewer := *r
	fewer.Wraps = r.Wraps[:3]
	stranger := one("recipient-none", "no wrap is for this key", "ErrDecrypt", raw)
	for i := range stranger.Fields {
		if stranger.Fields[i][0] == "hpke-seed" {
			stranger.Fields[i][1] = vectortest.New("x", "", "").Hex("x", w.stranger.keys.hpkeSeed.slice()).Get("x")
		}
	}
	return []*vectortest.Vector{
		one("first", "the first epoch, for its founder", "ok", raw),
		stranger,
		one("wraps-order", "wraps not in ascending order", "ErrMalformed", encode(swapped)),
		one("wraps-three", "three wraps", "ErrMalformed", encode(fewer)),
		one("body-flipped", "the last byte of the body", "ErrDecrypt", flipped(raw, len(raw)-1)),
		one("version", "version 2", "ErrUnsupported", func() []byte { v := *r; v.Version = 2; return encode(v) }()),
	}
}

func (w *vectorWorld) envelopes(t *testing.T) []*vectortest.Vector {
	small := newTestWriter(w.a, 1)
	smallFirst := small.seal(t, []byte("first batch"))
	wide := func(id *Identity) *testWriter {
		wr := newTestWriter(id, 1)
		wr.wide = true
		return wr
	}
	wr := wide(w.a)
	first := wr.seal(t, []byte("first batch"))
	after := wr.chain
	second := wr.seal(t, []byte("second batch"), Dep{Writer: WriterID{9}, Seq: 7, Head: Hash{8}})
	writer := WriterFor(w.a.device, wr.nonce)
	one := func(name, comment, expect string, raw []byte, chain *Chain) *vectortest.Vector {
		v := vectortest.New("envelope-"+name, comment, expect).Hex("known", w.a.Ops()[0]).Hex("epoch-secret", w.a.epoch.secret.slice())
		if chain != nil {
			v.Num("chain-seq", chain.Seq).Hex("chain-device", chain.Device[:]).Hex("chain-head", chain.Head[:]).Hex("chain-members", chain.Members[:])
		}
		return v.Hex("envelope", raw)
	}
	content := func(v *vectortest.Vector, c Chain, batch string) *vectortest.Vector {
		return v.Num("seq", c.Seq).Hex("writer", writer[:]).Hex("batch", []byte(batch)).Hex("id", c.Head[:])
	}
	nonce := [16]byte{1}
	members := w.a.MembershipDigest()
	good := envelopeBody{Writer: writer, Seq: 1, Device: w.a.device[:], Nonce: nonce[:], Members: members[:]}
	body := func(change func(*envelopeBody)) []byte {
		b := good
		change(&b)
		return sealBody(w.a, encode(&b))
	}
	dirty := make([]byte, 256-envelopeFront-aeadSize)
	copy(dirty[signatureSize:], encode(&good))
	dirty[len(dirty)-1] = 1
	otherHead := after
	otherHead.Head[0]++
	return []*vectortest.Vector{
		content(one("first", "the first envelope of a writer announces device and nonce", "ok", first, nil), after, "first batch"),
		content(one("second", "the second leaves out what is known", "ok", second, &after), wr.chain, "second batch"),
		content(one("small", "the first envelope of a writer in the smallest bucket", "ok", smallFirst, nil), small.chain, "first batch"),
		one("small-cut", "one byte less than the smallest bucket", "ErrMalformed", smallFirst[:239], nil),
		one("gap", "the second without the first", "ErrGap", second, nil),
		one("duplicate", "the first a second time", "ErrDuplicate", first, &after),
		one("other-previous", "continues another chain", "ErrSignature", second, &otherHead),
		one("not-a-member", "its device is known by its keys only", "ErrUnknownDevice", wide(w.b).seal(t, nil), nil),
		one("forged", "signed by one member in the name of another", "ErrSignature", wide(view(w.a, w.a.device, w.b.keys, w.a.Ops())).seal(t, nil), nil),
		one("version", "version 0", "ErrUnsupported", flipped(first, 0), nil),
		one("epoch", "another tag", "ErrUnknownEpoch", flipped(first, 16), nil),
		one("nonce", "another nonce", "ErrDecrypt", flipped(first, 17), nil),
		one("ciphertext", "the first byte of the ciphertext", "ErrDecrypt", flipped(first, 41), nil),
		one("mac", "the last byte", "ErrDecrypt", flipped(first, len(first)-1), nil),
		one("cut", "not the size of a bucket", "ErrMalformed", first[:255], nil),
		one("writer", "writer is not the hash of device and nonce", "ErrWriter", body(func(b *envelopeBody) { b.Writer = WriterID{1} }), nil),
		one("no-device", "sequence 1 without a device", "ErrMalformed", body(func(b *envelopeBody) { b.Device = nil }), nil),
		one("sequence-zero", "sequence 0", "ErrMalformed", body(func(b *envelopeBody) { b.Seq = 0 }), nil),
		one("deps-order", "dependencies not in ascending order", "ErrMalformed", body(func(b *envelopeBody) {
			b.Deps = []Dep{{Writer: WriterID{2}, Seq: 1}, {Writer: WriterID{1}, Seq: 1}}
		}), nil),
		one("padding", "a one in the padding", "ErrMalformed", sealPlain(w.a, dirty), nil),
		one("empty-field", "an empty batch written out", "ErrMalformed",
			sealBody(w.a, append([]byte{0xa6}, slices.Concat(encode(&good)[1:], []byte{4, 0x40})...)), nil),
	}
}

func (w *vectorWorld) hellos(t *testing.T) []*vectortest.Vector {
	x, y := w.a.NewHello(true, peerA, peerB, testTime, seeded(1)), w.b.NewHello(false, peerB, peerA, testTime, seeded(2))
	frames, err := runHello(x, y)
	if err != nil {
		t.Fatal(err)
	}
	side := func(name, comment, expect string, id *Identity, in ...[]byte) *vectortest.Vector {
		v := vectortest.New("hello-"+name, comment, expect).Hex("known", w.a.Ops()...).Hex("epoch-secret", id.epoch.secret.slice()).
			Hex("signing-seed", id.keys.signingSeed.slice()).Hex("device", id.device[:])
		seed, role, local, remote := byte(1), "initiator", peerA, peerB
		if id == w.b {
			seed, role, local, remote = 2, "responder", peerB, peerA
		}
		random := make([]byte, 256)
		if _, err := io.ReadFull(seeded(seed), random); err != nil {
			t.Fatal(err)
		}
		return v.Text("role", role).Hex("local", local).Hex("remote", remote).Hex("random", random).Hex("in", in...)
	}
	return []*vectortest.Vector{
		side("initiator", "the dialing side; an empty in starts it", "ok", w.a, nil, frames[1]).Hex("out", frames[0], frames[2]).Hex("peer", w.b.device[:]),
		side("responder", "the answering side", "ok", w.b, frames[0], frames[2]).Hex("out", frames[1]).Hex("peer", w.a.device[:]),
		side("first-flipped", "a bit of the first frame", "ErrHello", w.b, flipped(frames[0], 100)),
		side("first-cut", "the first frame is cut", "ErrHello", w.b, frames[0][:1023]),
		side("second-flipped", "a bit of the second frame", "ErrHello", w.a, nil, flipped(frames[1], 100)),
		side("third-flipped", "a bit of the third frame", "ErrHello", w.b, frames[0], flipped(frames[2], 100)),
		side("first-twice", "the first frame in place of the third", "ErrHello", w.b, frames[0], frames[0]),
		side("reflected", "the initiator's own frame comes back", "ErrHello", w.a, nil, frames[0]),
		side("nothing", "the responder gets an empty frame", "ErrHello", w.b, nil),
	}
}

func (w *vectorWorld) identities(t *testing.T) []*vectortest.Vector {
	seal := func(u Unlock, cost argonCost, seed byte) []byte {
		raw, err := sealBox(u, cost, encode(w.founded.stored), seeded(seed))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	key := bytes.Repeat([]byte{7}, 32)
	byKey := seal(UnlockKey(key), argonCost{}, 5)
	byPhrase := seal(UnlockPassphrase([]byte("correct horse")), cheapCost, 6)
	one := func(name, comment, expect string, file []byte) *vectortest.Vector {
		return vectortest.New("identity-"+name, comment, expect).Hex("key", key).Hex("file", file)
	}
	ids := func(v *vectortest.Vector) *vectortest.Vector {
		return v.Hex("account", w.a.account[:]).Hex("device", w.a.device[:])
	}
	header := func(h boxHeader) []byte { return withHeader(h) }
	return []*vectortest.Vector{
		ids(one("key", "opened with a key file", "ok", byKey)),
		ids(vectortest.New("identity-passphrase", "opened with a passphrase, at a low cost", "ok").Text("passphrase", "correct horse").Hex("file", byPhrase)),
		vectortest.New("identity-wrong-passphrase", "another passphrase", "ErrWrongUnlock").Text("passphrase", "battery staple").Hex("file", byPhrase),
		one("wrong-kind", "a key for a passphrase", "ErrWrongUnlock", byPhrase),
		one("flipped-box", "the last byte", "ErrWrongUnlock", flipped(byKey, len(byKey)-1)),
		one("flipped-salt", "a byte of the salt", "ErrWrongUnlock", flipped(byKey, len(boxMagic)+2+12)),
		one("flipped-magic", "the first byte", "ErrDamaged", flipped(byKey, 0)),
		one("empty", "an empty file", "ErrDamaged", nil),
		one("cut", "cut within the header", "ErrDamaged", byKey[:40]),
		one("version", "version 2", "ErrDamaged", header(boxHeader{Version: 2, Suite: 1, KDF: kdfKey})),
		one("kdf", "unknown key derivation", "ErrDamaged", header(boxHeader{Version: 1, Suite: 1, KDF: 9})),
		one("memory", "Argon2id with more than 1 GiB", "ErrDamaged", header(boxHeader{Version: 1, Suite: 1, KDF: kdfPassphrase, Cost: argonCost{Passes: 3, Memory: 1<<20 + 1, Threads: 2}})),
		one("passes", "Argon2id with 11 passes", "ErrDamaged", header(boxHeader{Version: 1, Suite: 1, KDF: kdfPassphrase, Cost: argonCost{Passes: 11, Memory: 1024, Threads: 2}})),
	}
}

func (w *vectorWorld) welcomes(t *testing.T) []*vectortest.Vector {
	one := func(name, comment, expect string, transcript Hash, raw []byte) *vectortest.Vector {
		return vectortest.New("welcome-"+name, comment, expect).Hex("signing-seed", w.joiner.keys.signingSeed.slice()).
			Hex("hpke-seed", w.joiner.keys.hpkeSeed.slice()).Hex("transcript", transcript[:]).Hex("welcome", raw)
	}
	again := func(change func(*welcome) signingKey) []byte {
		return rewelcome(t, w.a, w.request, change)
	}
	return []*vectortest.Vector{
		one("device", "makes a member of a device", "ok", Hash{2}, w.welcome).Hex("account", w.a.account[:]).Hex("device", w.b.device[:]),
		one("transcript", "another pairing", "ErrWelcome", Hash{4}, w.welcome),
		one("flipped", "the last byte", "ErrWelcome", Hash{2}, flipped(w.welcome, len(w.welcome)-1)),
		one("sponsor", "not signed by the member that added the device", "ErrWelcome", Hash{2}, again(func(*welcome) signingKey { return w.b.keys.signing })),
		one("operations", "without the operation that adds the device", "ErrWelcome", Hash{2}, again(func(x *welcome) signingKey {
			x.Operations = x.Operations[:1]
			return w.a.keys.signing
		})),
		one("device-other", "names another device", "ErrWelcome", Hash{2}, again(func(x *welcome) signingKey { x.Device = w.a.device; return w.a.keys.signing })),
	}
}
