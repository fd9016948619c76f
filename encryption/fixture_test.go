package encryption

import (
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

var testTime = time.UnixMilli(1_700_000_000_000).UTC()

// seeded returns a reader of repeatable bytes.
func seeded(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// newFounder returns the first device of a new account, without a directory.
func newFounder(tb testing.TB, name string, seed byte) *Identity {
	tb.Helper()
	id, _ := newFoundation(tb, name, seed)
	return id
}

func newFoundation(tb testing.TB, name string, seed byte) (*Identity, *foundation) {
	tb.Helper()
	f, err := found(name, testTime, seeded(seed))
	if err != nil {
		tb.Fatal(err)
	}
	id, err := newIdentity(f.stored)
	if err != nil {
		tb.Fatal(err)
	}
	return id, f
}

func newTestJoiner(tb testing.TB, name string, seed byte) *Joiner {
	tb.Helper()
	j, err := NewJoiner(&JoinOptions{Name: name, Random: seeded(seed), cost: cheapCost})
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

// cheapCost is for tests of everything but the cost.
var cheapCost = argonCost{Passes: 1, Memory: 64, Threads: 1}

// add makes the sponsor sign and admit an add.
func add(tb testing.TB, sponsor *Identity, r *JoinRequest) []byte {
	tb.Helper()
	op, err := sponsor.PrepareAdd(r, testTime)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := sponsor.Admit(op); err != nil {
		tb.Fatal(err)
	}
	return op
}

// link makes a new member by the whole sequence of steps.
func link(tb testing.TB, sponsor *Identity, name string, seed byte) *Identity {
	tb.Helper()
	j := newTestJoiner(tb, name, seed)
	transcript := Hash{seed}
	r := j.Request(transcript)
	add(tb, sponsor, r)
	sealed, err := sponsor.Welcome(r)
	if err != nil {
		tb.Fatal(err)
	}
	if err := j.OpenWelcome(transcript, sealed); err != nil {
		tb.Fatal(err)
	}
	id, err := newIdentity(j.stored)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func admitAll(tb testing.TB, id *Identity, ops [][]byte) {
	tb.Helper()
	if _, err := id.Admit(ops...); err != nil {
		tb.Fatal(err)
	}
}

func wantError(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("got error %v, want %v", err, want)
	}
}

// oneEpoch is a keyring that has an epoch without a record.
func oneEpoch(e *epoch, account AccountID) *keyring {
	k := newKeyring(account)
	k.secrets[e.tag] = e
	k.insert(&announcement{tag: e.tag, generation: 1})
	return k
}

// firstOnly is a keyring that has the first epoch of another.
func firstOnly(of *keyring, keys ...hpkeKey) *keyring {
	k := newKeyring(of.account, keys...)
	first := *of.all[0]
	k.secrets[first.tag] = of.secrets[first.tag]
	k.insert(&first)
	return k
}

// newestKeys returns the names of a day in the first of DiscoveryEpochs.
func newestKeys(id *Identity, day uint32) *DayKeys {
	return must(id.DayKeys(id.DiscoveryEpochs()[0], day))
}
