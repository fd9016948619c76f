package core

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/starling-sync/starling/encryption"
)

// names are the devices of the tests' account, the founder first. Each was
// added by the founder in this order, so a device knows those before it.
const names = "abcdef"

// made is what TestMain made: an identity for each of names, and one of
// another account called z, each in a directory of that name.
var made struct {
	dir string
	ops [][]byte // of the account, in the order of names
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "core")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := makeAccount(dir); err != nil {
		panic(err)
	}
	m.Run()
}

func unlock() encryption.Unlock { return encryption.UnlockKey(make([]byte, 32)) }

func seeded(s string) io.Reader {
	var seed [32]byte
	copy(seed[:], s)
	return rand.NewChaCha8(seed)
}

func makeAccount(dir string) error {
	made.dir = dir
	found := func(name string) (*encryption.Identity, error) {
		id, _, err := encryption.Create(filepath.Join(dir, name), unlock(), &encryption.CreateOptions{
			Name: name, Now: time.UnixMilli(1_700_000_000_000), Random: seeded(name),
		})
		return id, err
	}
	founder, err := found(names[:1])
	if err != nil {
		return err
	}
	for _, c := range names[1:] {
		if err := join(founder, string(c)); err != nil {
			return err
		}
	}
	made.ops = founder.Ops()
	_, err = found("z")
	return err
}

func join(founder *encryption.Identity, name string) error {
	j, err := encryption.NewJoiner(&encryption.JoinOptions{Name: name, Random: seeded(name)})
	if err != nil {
		return err
	}
	transcript := encryption.Hash{1}
	request := j.Request(transcript)
	op, err := founder.PrepareAdd(request, time.UnixMilli(1_700_000_000_000))
	if err != nil {
		return err
	}
	if _, err := founder.Admit(op); err != nil {
		return err
	}
	welcome, err := founder.Welcome(request)
	if err != nil {
		return err
	}
	if err := j.OpenWelcome(transcript, welcome); err != nil {
		return err
	}
	_, err = j.Save(filepath.Join(made.dir, name), unlock())
	return err
}

// identity opens a device's identity as it was saved, and tells it of the
// given devices.
func identity(name, knows string) *encryption.Identity {
	id, err := encryption.OpenIdentity(filepath.Join(made.dir, name), unlock())
	if err != nil {
		panic(err)
	}
	for _, c := range knows {
		if _, err := id.Admit(operation(string(c))); err != nil {
			panic(fmt.Sprintf("%s admits %c: %v", name, c, err))
		}
	}
	return id
}

// operation returns the membership operation that made a device a member.
func operation(name string) []byte { return made.ops[slices.Index([]byte(names), name[0])] }
