package p2ptest

import (
	"fmt"
	"testing"
	"time"

	"github.com/starling-sync/starling/encryption"
)

// unlock opens the identities of tests, which a passphrase would make slow.
func unlock() encryption.Unlock { return encryption.UnlockKey(make([]byte, 32)) }

// Account makes an account of n devices that all know each other. Each was
// added by the first. The identities live in the test's temporary directories.
func Account(t testing.TB, n int) []*encryption.Identity {
	t.Helper()
	first, _ := Found(t)
	ids := []*encryption.Identity{first}
	for len(ids) < n {
		ids = append(ids, Add(t, first, fmt.Sprintf("device %d", len(ids)+1)))
	}
	for _, id := range ids {
		if _, err := id.Admit(first.Ops()...); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// Found makes an account of one device.
func Found(t testing.TB) (*encryption.Identity, encryption.RecoveryWords) {
	t.Helper()
	first, words, err := encryption.Create(t.TempDir(), unlock(), &encryption.CreateOptions{Name: "device 1", Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return first, words
}

// Add makes a new device and adds it by sponsor. The other members have not
// heard of it.
func Add(t testing.TB, sponsor *encryption.Identity, name string) *encryption.Identity {
	t.Helper()
	j, err := encryption.NewJoiner(&encryption.JoinOptions{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	request := j.Request(encryption.Hash{1})
	welcome, err := Approve(sponsor, request)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.OpenWelcome(request.Transcript, welcome); err != nil {
		t.Fatal(err)
	}
	id, err := j.Save(t.TempDir(), unlock())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Approve adds the device of a request and returns the sealed welcome, as the
// owner of a host does when the digits match, but without making it durable.
func Approve(sponsor *encryption.Identity, r *encryption.JoinRequest) ([]byte, error) {
	op, err := sponsor.PrepareAdd(r, time.Now())
	if err != nil {
		return nil, err
	}
	if _, err := sponsor.Admit(op); err != nil {
		return nil, err
	}
	return sponsor.Welcome(r)
}

// Rotate makes a new epoch, which the other devices have not heard of.
func Rotate(t testing.TB, by *encryption.Identity) {
	t.Helper()
	op, record, err := by.PrepareEpoch(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := by.Admit(op); err != nil {
		t.Fatal(err)
	}
	if _, err := by.AdmitEpochs(record); err != nil {
		t.Fatal(err)
	}
}

// Remove makes one device remove another. The others have not heard of it.
func Remove(t testing.TB, by *encryption.Identity, target encryption.DeviceID) {
	t.Helper()
	ops, err := by.PrepareRemove(target, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := by.Admit(ops...); err != nil {
		t.Fatal(err)
	}
}

// Tell gives devices all operations and epochs that another one has.
func Tell(t testing.TB, from *encryption.Identity, to ...*encryption.Identity) {
	t.Helper()
	for _, id := range to {
		if _, err := id.Admit(from.Ops()...); err != nil {
			t.Fatal(err)
		}
		if _, err := id.AdmitEpochs(from.EpochRecords()...); err != nil {
			t.Fatal(err)
		}
	}
}
