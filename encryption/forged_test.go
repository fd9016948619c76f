package encryption

import (
	"errors"
	"slices"
	"testing"
)

// forgery is an account with everything that an operation can name, and an
// operation of it that holds, to be spoilt.
type forgery struct {
	a, b, c  *Identity // c has been removed, by an operation that only a knows
	recovery *deviceKeys
	fresh    *deviceKeys // keys that nobody has
	removal  Hash        // of c
}

func newForgery(tb testing.TB) *forgery {
	a, f := newFoundation(tb, "laptop", 1)
	w := &forgery{a: a, b: link(tb, a, "phone", 2), c: link(tb, a, "tablet", 3)}
	w.recovery = must(recoveryKeys(f.seed))
	w.fresh = newTestJoiner(tb, "new", 4).keys
	admitAll(tb, w.b, a.Ops())
	w.removal = labelOperationHash.hash(removed(tb, a, w.c.device)[0])
	return w
}

// good returns a body and an action of a kind that hold, and who signs.
func (w *forgery) good(kind OperationKind) (*operationBody, any, []*deviceKeys) {
	author, keys := w.a.device, []*deviceKeys{w.a.keys}
	var action any
	switch kind {
	case OperationRemove:
		action = &removeAction{Target: w.b.device, Seen: w.a.log.ops[w.a.log.adds[w.b.device]].hash, Cut: sortedCut(writers(2))}
	case OperationAck:
		action = &ackAction{Removals: []Hash{w.removal}, Cut: sortedCut(writers(2))}
	case OperationRekey:
		action = &rekeyAction{HPKEKey: w.fresh.hpkePublic()}
	case OperationEpoch:
		action = &epochAction{Tag: EpochTag{1}, Generation: 2, Record: Hash{1}}
	case OperationRotateRecovery:
		author, keys = DeviceID{}, []*deviceKeys{w.recovery, w.fresh}
		action = &rotateAction{SigningKey: w.fresh.signingPublic(), HPKEKey: w.fresh.hpkePublic()}
	}
	body := w.a.log.nextBody(author)
	body.Kind = kind
	return body, action, keys
}

// spoilt makes an operation of a kind, changed before it is signed.
func (w *forgery) spoilt(kind OperationKind, change func(*operationBody, any)) []byte {
	body, action, keys := w.good(kind)
	if change != nil {
		change(body, action)
	}
	if body.Action == nil {
		body.Action = encode(action)
	}
	return sealOperation(body, keys...)
}

// forgeries are changes that must be refused, for each kind.
func (w *forgery) forgeries() map[OperationKind]map[string]spoil {
	remove := func(fn func(*removeAction)) func(*operationBody, any) {
		return func(_ *operationBody, x any) { fn(x.(*removeAction)) }
	}
	ack := func(fn func(*ackAction)) func(*operationBody, any) {
		return func(_ *operationBody, x any) { fn(x.(*ackAction)) }
	}
	rekey := func(key []byte) func(*operationBody, any) {
		return func(_ *operationBody, x any) { x.(*rekeyAction).HPKEKey = key }
	}
	own := w.a.log.ops[len(w.a.log.ops)-1].hash
	return map[OperationKind]map[string]spoil{
		OperationRemove: {
			"target-unknown":  {"its target was never added", remove(func(a *removeAction) { a.Target = DeviceID{9} }), ErrUnknownDevice},
			"target-none":     {"no target", remove(func(a *removeAction) { a.Target = DeviceID{} }), ErrMalformed},
			"seen-none":       {"has seen nothing", remove(func(a *removeAction) { a.Seen = Hash{} }), ErrMalformed},
			"seen-unknown":    {"has seen what is not in its past", remove(func(a *removeAction) { a.Seen = Hash{9} }), ErrMalformed},
			"seen-another":    {"has seen an operation of another device", remove(func(a *removeAction) { a.Seen = own }), ErrMalformed},
			"cut-order":       {"cut not in ascending order", remove(func(a *removeAction) { slices.Reverse(a.Cut) }), ErrMalformed},
			"cut-twice":       {"a writer twice in the cut", remove(func(a *removeAction) { a.Cut[1].Writer = a.Cut[0].Writer }), ErrMalformed},
			"cut-zero":        {"number zero in the cut", remove(func(a *removeAction) { a.Cut[0].Seq = 0 }), ErrMalformed},
			"cut-headless":    {"no head in the cut", remove(func(a *removeAction) { a.Cut[0].Head = Hash{} }), ErrMalformed},
			"cut-long":        {"a cut of 41 writers", remove(func(a *removeAction) { a.Cut = sortedCut(writers(maxCut + 1)) }), ErrTooLarge},
			"time":            {"before 1970", remove(func(a *removeAction) { a.At = -1 }), ErrMalformed},
			"recovery-signed": {"by the recovery key, signed by a device", func(b *operationBody, _ any) { w.asRecovery(b) }, ErrSignature},
			"recovery-chain":  {"by the recovery key, number 2", func(b *operationBody, _ any) { w.asRecovery(b); b.Seq = 2 }, ErrSequence},
			"author":          {"by a removed device", func(b *operationBody, _ any) { b.Author = w.c.device }, ErrNotMember},
		},
		OperationAck: {
			"nothing":       {"acknowledges nothing", ack(func(a *ackAction) { a.Removals, a.Cut = nil, nil }), ErrMalformed},
			"unknown":       {"of a removal that is not in its past", ack(func(a *ackAction) { a.Removals[0] = Hash{9} }), ErrMalformed},
			"no-removal":    {"of an operation that is no removal", ack(func(a *ackAction) { a.Removals[0] = w.a.log.ops[0].hash }), ErrMalformed},
			"twice":         {"of one removal twice", ack(func(a *ackAction) { a.Removals = slices.Repeat(a.Removals, 2) }), ErrMalformed},
			"many":          {"of 17 removals", ack(func(a *ackAction) { a.Removals = make([]Hash, maxRemovals+1) }), ErrTooLarge},
			"cut-order":     {"cut not in ascending order", ack(func(a *ackAction) { slices.Reverse(a.Cut) }), ErrMalformed},
			"time":          {"before 1970", ack(func(a *ackAction) { a.At = -1 }), ErrMalformed},
			"by-recovery":   {"by the recovery key", func(b *operationBody, _ any) { w.asRecovery(b) }, ErrMalformed},
			"by-no-member":  {"by a removed device", func(b *operationBody, _ any) { b.Author = w.c.device }, ErrNotMember},
			"another-shape": {"with the action of a rekey", func(b *operationBody, _ any) { b.Action = encode(rekeyAction{HPKEKey: w.fresh.hpkePublic()}) }, ErrMalformed},
		},
		OperationRekey: {
			"short":       {"a key that is too short", rekey(w.fresh.hpkePublic()[1:]), ErrMalformed},
			"invalid":     {"a key that does not decode", rekey(slices.Repeat([]byte{0xff}, hpkeKeySize)), ErrMalformed},
			"time":        {"before 1970", func(_ *operationBody, x any) { x.(*rekeyAction).At = -1 }, ErrMalformed},
			"by-recovery": {"by the recovery key", func(b *operationBody, _ any) { w.asRecovery(b) }, ErrMalformed},
			"another":     {"in the name of another member", func(b *operationBody, _ any) { w.asPhone(b) }, ErrSignature},
		},
		OperationEpoch: {
			"generation":  {"generation 1", func(_ *operationBody, x any) { x.(*epochAction).Generation = 1 }, ErrMalformed},
			"time":        {"before 1970", func(_ *operationBody, x any) { x.(*epochAction).At = -1 }, ErrMalformed},
			"by-recovery": {"by the recovery key", func(b *operationBody, _ any) { w.asRecovery(b) }, ErrMalformed},
			"another":     {"in the name of another member", func(b *operationBody, _ any) { w.asPhone(b) }, ErrSignature},
		},
		OperationRotateRecovery: {
			"by-device":   {"by a device", func(b *operationBody, _ any) { *b = *w.a.log.nextBody(w.a.device); b.Kind = OperationRotateRecovery }, ErrMalformed},
			"new-key":     {"the new key did not sign", func(_ *operationBody, x any) { x.(*rotateAction).SigningKey = w.recovery.signingPublic() }, ErrSignature},
			"hpke-key":    {"a key that does not decode", func(_ *operationBody, x any) { x.(*rotateAction).HPKEKey = slices.Repeat([]byte{0xff}, hpkeKeySize) }, ErrMalformed},
			"signing-key": {"a key that is too short", func(_ *operationBody, x any) { x.(*rotateAction).SigningKey = []byte{1} }, ErrMalformed},
			"previous":    {"previous is not the genesis", func(b *operationBody, _ any) { b.Previous = own }, ErrSequence},
			"time":        {"before 1970", func(_ *operationBody, x any) { x.(*rotateAction).At = -1 }, ErrMalformed},
		},
	}
}

type spoil struct {
	comment string
	change  func(*operationBody, any)
	want    error
}

func (w *forgery) asRecovery(b *operationBody) {
	b.Author, b.Seq, b.Previous = DeviceID{}, 1, w.a.log.ops[0].hash
}

func (w *forgery) asPhone(b *operationBody) {
	b.Author, b.Seq, b.Previous = w.b.device, 1, w.a.log.ops[w.a.log.adds[w.b.device]].hash
}

func TestAdmitRefusesForgedOperationsOfTheNewKinds(t *testing.T) {
	w := newForgery(t)
	for kind, cases := range w.forgeries() {
		if _, err := w.a.log.clone().admit([][]byte{w.spoilt(kind, nil)}); err != nil {
			t.Errorf("kind %d as it should be: %v", kind, err)
		}
		for name, c := range cases {
			added, err := w.a.log.clone().admit([][]byte{w.spoilt(kind, c.change)})
			if len(added) != 0 || !errors.Is(err, c.want) {
				t.Errorf("kind %d, %s: admitted %d, %v, want %v", kind, name, len(added), err, c.want)
			}
		}
	}
}

// TestAdmitCountsSignatures: one for a device or the recovery key, two for a
// rotation, in their order.
func TestAdmitCountsSignatures(t *testing.T) {
	w := newForgery(t)
	body, action, _ := w.good(OperationRotateRecovery)
	body.Action = encode(action)
	for name, c := range map[string]struct {
		keys []*deviceKeys
		want error
	}{
		"old only":  {[]*deviceKeys{w.recovery}, ErrMalformed},
		"new only":  {[]*deviceKeys{w.fresh}, ErrMalformed},
		"order":     {[]*deviceKeys{w.fresh, w.recovery}, ErrSignature},
		"new twice": {[]*deviceKeys{w.fresh, w.fresh}, ErrSignature},
		"three":     {[]*deviceKeys{w.recovery, w.fresh, w.fresh}, ErrMalformed},
	} {
		if _, err := w.a.log.clone().admit([][]byte{sealOperation(body, c.keys...)}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	body, action, keys := w.good(OperationRemove)
	body.Action = encode(action)
	_, err := w.a.log.clone().admit([][]byte{sealOperation(body, keys[0], keys[0])})
	wantError(t, err, ErrMalformed)
}
