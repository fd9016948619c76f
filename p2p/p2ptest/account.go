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
	first, _, err := encryption.Create(t.TempDir(), unlock(), &encryption.CreateOptions{Name: "device 1", Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
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
