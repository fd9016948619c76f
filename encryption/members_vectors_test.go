package encryption

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/starling-sync/starling/crdt/vectortest"
)

// makeMembersVectors builds the cases of the operations after an add: one that
// holds for each kind, all forgeries, and whole logs with what they mean.
func makeMembersVectors(t *testing.T) []*vectortest.Vector {
	w := newForgery(t)
	var out []*vectortest.Vector
	forgeries := w.forgeries()
	for kind, name := range map[OperationKind]string{
		OperationRemove: "remove", OperationAck: "ack", OperationRekey: "rekey",
		OperationEpoch: "epoch", OperationRotateRecovery: "rotate",
	} {
		raw := w.spoilt(kind, nil)
		after := view(w.a, w.a.device, w.a.keys, append(w.a.Ops(), raw))
		good := vectortest.New("operation-"+name, "as it should be", "ok").Hex("known", w.a.Ops()...).Hex("operation", raw)
		out = append(out, meaning(good, after.log))
		for what, c := range forgeries[kind] {
			out = append(out, vectortest.New("operation-"+name+"-"+what, c.comment, w.nameOf(t, c.want)).
				Hex("known", w.a.Ops()...).Hex("operation", w.spoilt(kind, c.change)))
		}
	}
	return append(out, w.logs(t)...)
}

func (w *forgery) nameOf(t *testing.T, want error) string {
	for name, err := range vectorErrors() {
		if err != nil && errors.Is(want, err) {
			return name
		}
	}
	t.Fatalf("no name for %v", want)
	return ""
}

// meaning adds what a log means.
func meaning(v *vectortest.Vector, log *membershipLog) *vectortest.Vector {
	digest, vouched := log.digest(), log.vouched()
	v.Hex("digest", digest[:])
	for _, m := range log.members() {
		v.Hex("member", m.ID[:])
	}
	for _, writer := range slices.SortedFunc(maps.Keys(vouched), func(a, b WriterID) int { return bytes.Compare(a[:], b[:]) }) {
		v.Hex("vouched", encode(vouched[writer]))
	}
	return v
}

// logs are the cases that the rule is about.
func (w *forgery) logs(t *testing.T) []*vectortest.Vector {
	a, b := w.a, w.b // b has not heard of the removal of c
	whole := func(name, comment string, ops ...[]byte) *vectortest.Vector {
		log := newLog(a.account)
		if _, err := log.admit(slices.Concat(a.Ops(), ops)); err != nil {
			t.Fatal(err)
		}
		return meaning(vectortest.New("members-"+name, comment, "ok").Hex("known", slices.Concat(a.Ops(), ops)...), log)
	}
	must := func(ops [][]byte, err error) [][]byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return ops
	}
	out := must(a.PrepareRemove(b.device, writers(1), testTime))
	back := must(b.PrepareRemove(a.device, nil, testTime))
	both := slices.Concat(out, back)
	frozen := view(a, a.device, a.keys, slices.Concat(a.Ops(), both))
	phrase := w.phrase(frozen)
	thief := view(b, b.device, b.keys, b.Ops())
	vain := add(t, thief, (&Joiner{name: "vain", keys: w.fresh}).Request(Hash{5}))
	child := view(thief, deviceID(vain), w.fresh, thief.Ops())
	vouching := must(child.PrepareAck(nil, writers(3), testTime))
	return []*vectortest.Vector{
		whole("removed", "a member removes another", out...),
		whole("mutual", "two members remove each other", both...),
		whole("phrase", "the recovery key removes one of them", slices.Concat(both, [][]byte{phrase})...),
		whole("backdated", "a removed device adds another one, unseen", append(slices.Clone(out), vain)...),
		whole("backdated-ack", "what it added acknowledges", slices.Concat(out, [][]byte{vain}, vouching)...),
		whole("seen", "the same, with a remover that had seen the add", w.seen(t, vain)...),
	}
}

// phrase removes the phone by the recovery key, as if it had signed nothing.
func (w *forgery) phrase(by *Identity) []byte {
	body := by.log.nextBody(DeviceID{})
	body.Kind = OperationRemove
	body.Action = encode(removeAction{Target: w.b.device, Seen: by.log.ops[by.log.adds[w.b.device]].hash, At: 1})
	return sealOperation(body, w.recovery)
}

func (w *forgery) seen(t *testing.T, vain []byte) [][]byte {
	knowing := view(w.a, w.a.device, w.a.keys, append(w.a.Ops(), vain))
	ops, err := knowing.PrepareRemove(w.b.device, nil, testTime)
	if err != nil {
		t.Fatal(err)
	}
	return append([][]byte{vain}, ops...)
}

func TestMembersVectorsAreReproduced(t *testing.T) { compareFrozen(t, makeMembersVectors(t)) }

// tryMembers admits a whole log, in the reverse order as well.
func tryMembers(t *testing.T, v *vectortest.Vector) error {
	ops := v.All(t, "known")
	backwards := slices.Clone(ops)
	slices.Reverse(backwards)
	for _, order := range [][][]byte{ops, backwards} {
		log := newLog(accountID(ops[0]))
		if _, err := log.admit(order); err != nil {
			return err
		}
		if err := sameMeaning(v, log); err != nil {
			return err
		}
	}
	return nil
}

// sameMeaning compares what a log means with what the case says, which says
// nothing in the cases that are older than removals.
func sameMeaning(v *vectortest.Vector, log *membershipLog) error {
	if v.Get("member") == "" && v.Get("vouched") == "" && v.Get("device") != "" {
		return nil
	}
	fresh := meaning(vectortest.New("x", "", ""), log).Fields[3:]
	i := slices.IndexFunc(v.Fields, func(f [2]string) bool { return f[0] == "digest" })
	if i < 0 || !slices.Equal(fresh, v.Fields[i:]) {
		return fmt.Errorf("the log means %v", fresh)
	}
	return nil
}
