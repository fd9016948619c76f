package encryption

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// membersWorld is an account whose devices sign what they like, know more or less
// of what the others signed, and of which some act as if they knew less.
type membersWorld struct {
	t       *testing.T
	words   RecoveryWords
	founder *Identity
	devices []*Identity
	joiners []*Joiner // not yet devices
	all     [][]byte  // in the order of signing
}

// sign admits operations where they were signed, and says whether there are any: a
// device that knows that it is out signs none.
func (w *membersWorld) sign(by *Identity, ops [][]byte, err error) bool {
	switch {
	case errors.Is(err, ErrNotMember) || errors.Is(err, ErrRemoved):
		return false
	case err != nil:
		w.t.Fatal(err)
	}
	admitAll(w.t, by, ops)
	w.all = append(w.all, ops...)
	return true
}

func (w *membersWorld) add(by *Identity) {
	if len(w.joiners) == 0 {
		return
	}
	j := w.joiners[0]
	op, err := by.PrepareAdd(j.Request(Hash{1}), testTime)
	if w.sign(by, [][]byte{op}, err) {
		w.joiners = w.joiners[1:]
		w.devices = append(w.devices, view(by, deviceID(op), j.keys, by.Ops()))
	}
}

// step is one event.
func (w *membersWorld) step(r *rapid.T) {
	by := rapid.SampledFrom(w.devices).Draw(r, "by")
	other := rapid.SampledFrom(w.devices).Draw(r, "other")
	cut := []Dep{{Writer: WriterID(other.device), Seq: uint64(len(w.all)), Head: Hash{1}}}
	if rapid.IntRange(0, 4).Draw(r, "thief") == 0 {
		// The device acts as if it had heard of the first so many operations only. Its
		// own later ones are not among them, so its chain forks.
		n := rapid.IntRange(1, len(by.log.ops)).Draw(r, "knows")
		own := by.log.ops[by.log.adds[by.device]].past
		ops := rawOperations(by.log.within(own))
		by = view(by, by.device, by.keys, append(ops, rawOperations(by.log.ops[:n])...))
	}
	switch rapid.IntRange(0, 9).Draw(r, "event") {
	case 0, 1, 2:
		w.add(by)
	case 3, 4:
		if known, _ := by.KnownDevice(other.device); !known.ID.IsZero() {
			ops, err := by.PrepareRemove(other.device, cut, testTime)
			w.sign(by, ops, err)
		}
	case 5:
		ops, err := by.PrepareAck(nil, cut, testTime)
		w.sign(by, ops, err)
	case 6:
		op, _, err := by.PrepareRekey(testTime, seeded(byte(len(w.all))))
		w.sign(by, [][]byte{op}, err)
	case 7:
		if known, _ := by.KnownDevice(other.device); !known.ID.IsZero() && rapid.Bool().Draw(r, "phrase") {
			ops, err := by.PrepareRecoveryRemove(w.words, other.device, Hash{}, nil, testTime)
			w.sign(by, ops, err)
		}
	default:
		admitAll(w.t, other, by.Ops())
	}
}

// TestRandomWorlds delivers the operations of random worlds of up to eight devices
// to devices that know nothing, in two orders, which must agree with each other
// and with the text of the rule.
func TestRandomWorlds(t *testing.T) {
	founder, f := newFoundation(t, "first", 1)
	var joiners []*Joiner
	for i := range 7 {
		joiners = append(joiners, newTestJoiner(t, "device", byte(10+i)))
	}
	rapid.Check(t, func(r *rapid.T) {
		w := &membersWorld{t: t, words: NewRecoveryWords(f.seed), founder: founder, joiners: joiners}
		genesis := founder.Ops()[:1]
		w.all = append(w.all, genesis...)
		w.devices = []*Identity{view(founder, founder.device, founder.keys, genesis)}
		w.add(w.devices[0])
		for range 40 {
			w.step(r)
		}
		want := deliver(t, founder, w.all)
		got := deliver(t, founder, rapid.Permutation(w.all).Draw(r, "order"))
		if !slices.EqualFunc(got.Members(), want.Members(), equalMember) || got.MembershipDigest() != want.MembershipDigest() ||
			!maps.Equal(got.Vouched(), want.Vouched()) {
			r.Fatalf("it depends on the order:\n%v\n%v", got.Members(), want.Members())
		}
		m := &model{log: want.log}
		checkOracle(t, m, map[Hash]bool{})
		for _, removal := range want.Removals() {
			if _, ok := want.Member(removal.Target); ok {
				r.Fatalf("a removed device is a member:\n%v", m)
			}
		}
	})
}

func equalMember(a, b Member) bool { return sameMember(a, b) && string(a.HPKEKey) == string(b.HPKEKey) }
