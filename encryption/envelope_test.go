package encryption

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// log writes envelopes of one writer.
type testWriter struct {
	wide   bool // it seals as when there was no smaller bucket than 256
	id     *Identity
	nonce  [16]byte
	chain  Chain
	random byte
}

func newTestWriter(id *Identity, nonce byte) *testWriter {
	return &testWriter{id: id, nonce: [16]byte{nonce}, random: nonce}
}

func (w *testWriter) content(batch []byte, deps ...Dep) *Content {
	return &Content{
		Writer: WriterFor(w.id.device, w.nonce), Seq: w.chain.Seq + 1, Nonce: w.nonce,
		Previous: w.chain.Head, Deps: deps, Batch: batch,
	}
}

func (w *testWriter) seal(tb testing.TB, batch []byte, deps ...Dep) []byte {
	tb.Helper()
	c := w.content(batch, deps...)
	w.random++
	raw, id, err := w.id.SealEnvelope(seeded(w.random), c, w.chain.Members)
	if err != nil {
		tb.Fatal(err)
	}
	if w.wide && len(raw) == minEnvelope {
		raw = widened(tb, w.id, raw)
		id = sha256.Sum256(raw)
	}
	w.chain = Chain{Device: c.Device, Seq: c.Seq, Head: id, Members: c.Members}
	return raw
}

// widened is an envelope as it was sealed when there was no smaller bucket than 256.
func widened(tb testing.TB, id *Identity, raw []byte) []byte {
	tb.Helper()
	box, nonce, context := aead(id.epoch.data), raw[17:envelopeFront], envelopeContext(id.account, id.epoch.tag)
	plain, err := box.Open(nil, nonce, raw[envelopeFront:], context)
	if err != nil {
		tb.Fatal(err)
	}
	plain = append(plain, make([]byte, 256-len(raw))...)
	return box.Seal(slices.Clone(raw[:envelopeFront]), nonce, plain, context)
}

// receive opens and verifies, and moves the chain on.
func receive(id *Identity, chain **Chain, raw []byte) (*Content, error) {
	u, err := id.OpenEnvelope(raw)
	if err != nil {
		return nil, err
	}
	c, head, err := u.Verify(id, *chain)
	if err != nil {
		return nil, err
	}
	*chain = &Chain{Device: c.Device, Seq: c.Seq, Head: head, Members: c.Members}
	return c, nil
}

func TestEnvelopesOfAWriterArriveInOrder(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	w := newTestWriter(a, 1)
	dep := Dep{Writer: WriterID{9}, Seq: 7, Head: Hash{8}}
	var chain *Chain
	for i := range 5 {
		raw := w.seal(t, []byte{byte(i)}, dep)
		c, err := receive(b, &chain, raw)
		if err != nil {
			t.Fatal(err)
		}
		if c.Seq != uint64(i+1) || c.Device != a.device || c.Writer != WriterFor(a.device, w.nonce) ||
			!bytes.Equal(c.Batch, []byte{byte(i)}) || !slices.Equal(c.Deps, []Dep{dep}) || c.Members != a.MembershipDigest() {
			t.Errorf("content %+v", c)
		}
		if i == 0 && c.Nonce != w.nonce || chain.Head != sha256.Sum256(raw) {
			t.Error("nonce or id wrong")
		}
		if i == 2 {
			admitAll(t, b, [][]byte{add(t, a, newTestJoiner(t, "x", 3).Request(Hash{}))})
		}
	}
	if *chain != w.chain {
		t.Errorf("chains differ:\n%+v\n%+v", chain, w.chain)
	}
}

// TestEnvelopeSizes pins the overhead: the smallest bucket must hold a change.
func TestEnvelopeSizes(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	w := newTestWriter(a, 1)
	first := w.seal(t, nil)
	if len(first) != 240 {
		t.Errorf("the first envelope of a writer has %d bytes", len(first))
	}
	overhead := func(seq uint64, deps ...Dep) int {
		c := w.content(make([]byte, 100), deps...)
		c.Seq = seq
		return len(bodyOf(c, c.Members)) - 100 + envelopeOverhead
	}
	dep := Dep{Writer: WriterID{9}, Seq: 1000, Head: Hash{8}}
	t.Logf("overhead without batch: %d B at seq 20, %d at 60,000, %d at 2^32, %d at 60,000 with one dependency",
		overhead(20), overhead(60_000), overhead(math.MaxUint32), overhead(60_000, dep))
	if got := overhead(math.MaxUint32); got > 156 {
		t.Errorf("overhead of %d bytes: 100 bytes of batch do not fit 256", got)
	}
	if raw := w.seal(t, make([]byte, 75)); len(raw) != 240 {
		t.Errorf("a batch of 75 bytes makes %d", len(raw))
	}
	if raw := w.seal(t, make([]byte, 100)); len(raw) != 256 {
		t.Errorf("a batch of 100 bytes makes %d", len(raw))
	}
	if raw := w.seal(t, make([]byte, 40), dep); len(raw) != 256 {
		t.Errorf("a batch of 40 bytes with a dependency makes %d", len(raw))
	}
}

func TestPaddedSize(t *testing.T) {
	for n, want := range map[int]int{
		0: 256, 1: 256, 256: 256, 257: 512, 512: 512, 513: 1024, 1024: 1024, 1025: 1088,
		100_000: 100_352, MaxEnvelope: MaxEnvelope, MaxEnvelope - 1: MaxEnvelope,
	} {
		if got := paddedSize(n); got != want {
			t.Errorf("paddedSize(%d) = %d, want %d", n, got, want)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(0, MaxEnvelope).Draw(r, "n")
		p := paddedSize(n)
		if p < n || paddedSize(p) != p || n > 1024 && p-n > n*12/100 {
			t.Fatalf("paddedSize(%d) = %d", n, p)
		}
	})
}

func TestSealedSizeIsABucket(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	rapid.Check(t, func(r *rapid.T) {
		w := newTestWriter(a, 1)
		raw := w.seal(t, make([]byte, rapid.IntRange(0, 5000).Draw(r, "batch")))
		if envelopeSize(len(raw)) != len(raw) {
			t.Fatalf("%d bytes is no bucket", len(raw))
		}
		var chain *Chain
		if _, err := receive(a, &chain, raw); err != nil {
			t.Fatal(err)
		}
	})
}

func TestEnvelopeLimit(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	w := newTestWriter(a, 1)
	if raw := w.seal(t, make([]byte, MaxEnvelope-1024)); len(raw) != MaxEnvelope {
		t.Errorf("%d bytes", len(raw))
	}
	_, _, err := a.SealEnvelope(nil, w.content(make([]byte, MaxEnvelope)), Hash{})
	wantError(t, err, ErrTooLarge)
	_, err = a.OpenEnvelope(make([]byte, MaxEnvelope+1))
	wantError(t, err, ErrTooLarge)
	many := make([]Dep, maxDeps+1)
	_, _, err = a.SealEnvelope(nil, w.content(nil, many...), Hash{})
	wantError(t, err, ErrTooLarge)
}

func TestSealRefusesWhatNobodyWouldAccept(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	dep := Dep{Writer: WriterID{9}, Seq: 1}
	for name, c := range map[string]struct {
		change func(*Content)
		want   error
	}{
		"other device":       {func(c *Content) { c.Device = DeviceID{1} }, ErrWriter},
		"other nonce":        {func(c *Content) { c.Nonce[0]++ }, ErrWriter},
		"no nonce":           {func(c *Content) { c.Nonce = [16]byte{} }, ErrWriter},
		"sequence 0":         {func(c *Content) { c.Seq = 0 }, ErrMalformed},
		"first has previous": {func(c *Content) { c.Previous = Hash{1} }, ErrMalformed},
		"second has none":    {func(c *Content) { c.Seq = 2 }, ErrMalformed},
		"depends on itself":  {func(c *Content) { c.Deps = []Dep{{Writer: c.Writer, Seq: 1}} }, ErrMalformed},
		"depends on 0":       {func(c *Content) { c.Deps = []Dep{{Writer: WriterID{9}}} }, ErrMalformed},
		"dependency twice":   {func(c *Content) { c.Deps = []Dep{dep, dep} }, ErrMalformed},
	} {
		content := newTestWriter(a, 1).content(nil)
		c.change(content)
		if _, _, err := a.SealEnvelope(nil, content, Hash{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := a.SealEnvelope(bytes.NewReader(nil), newTestWriter(a, 1).content(nil), Hash{}); err == nil {
		t.Error("sealed without randomness")
	}
}

func TestVerifyTellsWhatIsWrong(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	w := newTestWriter(b, 1)
	one, two := w.seal(t, []byte("1")), w.seal(t, []byte("2"))
	afterTwo := w.chain
	three := w.seal(t, []byte("3"))
	var chain *Chain
	if _, err := receive(a, &chain, two); !errors.Is(err, ErrGap) {
		t.Errorf("second without the first: %v", err)
	}
	if _, err := receive(a, &chain, one); err != nil {
		t.Fatal(err)
	}
	afterOne := *chain
	for name, c := range map[string]struct {
		raw   []byte
		chain Chain
		want  error
	}{
		"duplicate":     {one, afterOne, ErrDuplicate},
		"gap":           {three, afterOne, ErrGap},
		"other head":    {two, Chain{Device: b.device, Seq: 1, Head: Hash{1}, Members: afterOne.Members}, ErrSignature},
		"other members": {two, Chain{Device: b.device, Seq: 1, Head: afterOne.Head, Members: Hash{1}}, ErrSignature},
		"other device":  {two, Chain{Device: a.device, Seq: 1, Head: afterOne.Head, Members: afterOne.Members}, ErrSignature},
		"no device":     {two, Chain{Device: DeviceID{1}, Seq: 1, Head: afterOne.Head, Members: afterOne.Members}, ErrUnknownDevice},
	} {
		chain := c.chain
		at := &chain
		if _, err := receive(a, &at, c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := receive(a, &chain, two); err != nil || *chain != afterTwo {
		t.Errorf("the right chain: %v", err)
	}
	alone := view(a, a.device, a.keys, a.Ops()[:1])
	var none *Chain
	_, err := receive(alone, &none, one)
	wantError(t, err, ErrUnknownDevice)
}

func TestEnvelopeOfAnotherAccountOrEpoch(t *testing.T) {
	a, b := newFounder(t, "laptop", 1), newFounder(t, "laptop", 2)
	raw := newTestWriter(a, 1).seal(t, nil)
	_, err := b.OpenEnvelope(raw)
	wantError(t, err, ErrUnknownEpoch)
	// The same secret in another account is another epoch; even with the tag put
	// right, the associated data differs.
	twin := view(b, b.device, b.keys, b.Ops())
	twin.ring = oneEpoch(newEpoch(a.epoch.secret, b.account), b.account)
	_, err = twin.OpenEnvelope(raw)
	wantError(t, err, ErrUnknownEpoch)
	twin.ring = oneEpoch(a.epoch, b.account)
	_, err = twin.OpenEnvelope(raw)
	wantError(t, err, ErrDecrypt)
}

// TestEnvelopeFlippedAnywhereIsRefused is the active mailbox.
func TestEnvelopeFlippedAnywhereIsRefused(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	raw := newTestWriter(a, 1).seal(t, []byte("batch"))
	for i := range raw {
		for bit := range 8 {
			bad := slices.Clone(raw)
			bad[i] ^= 1 << bit
			want := ErrDecrypt
			switch {
			case i == 0:
				want = ErrUnsupported
			case i <= 16:
				want = ErrUnknownEpoch
			}
			if _, err := a.OpenEnvelope(bad); !errors.Is(err, want) {
				t.Fatalf("flip of bit %d of byte %d: %v", bit, i, err)
			}
		}
	}
	for n := range raw {
		if _, err := a.OpenEnvelope(raw[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := a.OpenEnvelope(append(slices.Clone(raw), make([]byte, 16)...)); !errors.Is(err, ErrDecrypt) {
		t.Error(err)
	}
}

// sealPlain encrypts a plain text that a member with the epoch's key made.
func sealPlain(id *Identity, plain []byte) []byte {
	raw := append([]byte{envelopeVersion}, id.epoch.tag[:]...)
	nonce := make([]byte, nonceSize)
	raw = append(raw, nonce...)
	return aead(id.epoch.data).Seal(raw, nonce, plain, envelopeContext(id.account, id.epoch.tag))
}

// sealBody signs and seals any body.
func sealBody(id *Identity, body []byte) []byte {
	c := &Content{Device: id.device, Members: id.MembershipDigest()}
	plain := labelEnvelopeSign.sign(id.keys.signing, statement(id.account, id.epoch.tag, c, body))
	return sealPlain(id, pad(append(plain, body...), envelopeFront+aeadSize))
}

// TestMalformedPlainText is the malicious member: the bytes decrypt.
func TestMalformedPlainText(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	nonce := [16]byte{1}
	members := a.MembershipDigest()
	good := envelopeBody{Writer: WriterFor(a.device, nonce), Seq: 1, Device: a.device[:], Nonce: nonce[:], Members: members[:]}
	body := func(change func(b *envelopeBody)) []byte {
		b := good
		change(&b)
		return sealBody(a, encode(&b))
	}
	full := make([]byte, 256-envelopeFront-aeadSize)
	dirty := slices.Clone(full)
	copy(dirty[signatureSize:], encode(&good))
	dirty[len(dirty)-1] = 1
	wide := append(slices.Clone(full), make([]byte, 256)...)
	copy(wide[signatureSize:], encode(&good))
	for name, raw := range map[string][]byte{
		"zeros":                 sealPlain(a, full),
		"padding not zero":      sealPlain(a, dirty),
		"padding too long":      sealPlain(a, wide),
		"sequence 0":            body(func(b *envelopeBody) { b.Seq = 0 }),
		"no device":             body(func(b *envelopeBody) { b.Device = nil }),
		"no nonce":              body(func(b *envelopeBody) { b.Nonce = nil }),
		"no members":            body(func(b *envelopeBody) { b.Members = nil }),
		"short members":         body(func(b *envelopeBody) { b.Members = b.Members[1:] }),
		"device again later":    body(func(b *envelopeBody) { b.Seq, b.Nonce = 2, nil }),
		"nonce again later":     body(func(b *envelopeBody) { b.Seq, b.Device = 2, nil }),
		"depends on itself":     body(func(b *envelopeBody) { b.Deps = []Dep{{Writer: b.Writer, Seq: 1}} }),
		"dependencies unsorted": body(func(b *envelopeBody) { b.Deps = []Dep{{Writer: WriterID{2}, Seq: 1}, {Writer: WriterID{1}, Seq: 1}} }),
		"empty field present":   sealBody(a, append([]byte{0xa6}, slices.Concat(encode(&good)[1:], []byte{8, 0x40})...)),
		"unknown field":         sealBody(a, append([]byte{0xa6}, slices.Concat(encode(&good)[1:], []byte{9, 1})...)),
		"array":                 sealBody(a, encode([]uint64{1})),
		"nesting 9":             sealBody(a, append(bytes.Repeat([]byte{0x81}, 9), 0)),
	} {
		if _, err := a.OpenEnvelope(raw); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var chain *Chain
	if _, err := receive(a, &chain, body(func(*envelopeBody) {})); err != nil {
		t.Errorf("the unchanged body: %v", err)
	}
	_, err := receive(a, new(*Chain), body(func(b *envelopeBody) { b.Writer[0]++ }))
	wantError(t, err, ErrWriter)
	_, err = receive(a, new(*Chain), body(func(b *envelopeBody) { b.Nonce = make([]byte, 16) }))
	wantError(t, err, ErrWriter)
}

// TestMemberCannotForgeAnother: a member has every key but the other's signature.
func TestMemberCannotForgeAnother(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	forger := view(a, a.device, b.keys, a.Ops()) // b, in the name of a
	raw := newTestWriter(forger, 1).seal(t, nil)
	_, err := receive(a, new(*Chain), raw)
	wantError(t, err, ErrSignature)
}

func TestMembershipDigestIsSentOnlyWhenItChanged(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	w := newTestWriter(a, 1)
	w.seal(t, nil)
	c := w.content(nil)
	c.Members = w.chain.Members
	if n, m := len(bodyOf(c, c.Members)), len(bodyOf(c, Hash{})); m-n != 35 {
		t.Errorf("the digest costs %d bytes", m-n)
	}
	// Sending it needlessly is another form of the same content, so it is refused.
	c.Device = a.device
	raw, err := a.seal(seeded(9), c, bodyOf(c, Hash{}))
	if err != nil {
		t.Fatal(err)
	}
	at := w.chain
	chain := &at
	_, err = receive(a, &chain, raw)
	wantError(t, err, ErrMalformed)
}

// TestPassiveMailbox: which of two devices wrote what cannot be seen outside.
func TestPassiveMailbox(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	text := []byte("PLANTED PLAIN TEXT")
	for _, id := range []*Identity{a, b} {
		w := newTestWriter(id, 1)
		for range 2 {
			raw := w.seal(t, text)
			if len(raw) != 240 || raw[0] != envelopeVersion || EpochTag(raw[1:17]) != a.epoch.tag {
				t.Error("the outside differs between writers")
			}
			writer := WriterFor(id.device, w.nonce)
			for name, plain := range map[string][]byte{
				"text": text, "account": id.account[:], "device": id.device[:], "writer": writer[:],
				"key": id.keys.signingPublic(), "nonce": w.nonce[:], "zeros": make([]byte, 16),
			} {
				if bytes.Contains(raw, plain) {
					t.Errorf("the envelope shows the %s", name)
				}
			}
		}
	}
}
