package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/encryption/seeded"
)

// start is when every world begins.
var start = time.UnixMilli(1_700_000_000_000)

// maxDevices is how many devices an account of these worlds may have had.
const maxDevices = 6

// family is the account that every world begins with: a founder, and devices that
// it added one after another. Its keys are the same in all worlds of all processes.
type family struct {
	members []*encryption.Identity                 // as they are in the identity files
	met     [maxDevices + 1][]*encryption.Identity // the first so many, when they have met
}

// theFamily is made once: key generation costs more than a world may.
var theFamily = sync.OnceValues(func() (*family, error) {
	encryption.Remember()
	random := seededBy(0, "family")
	founder, _, err := encryption.Found(&encryption.CreateOptions{Name: "a", Now: start, Random: random})
	if err != nil {
		return nil, err
	}
	f := &family{members: []*encryption.Identity{founder.Copy()}}
	for i := range maxDevices - 1 {
		id, err := f.join(founder, string(rune('b'+i)), random)
		if err != nil {
			return nil, err
		}
		f.members = append(f.members, id)
	}
	for n := 2; n <= maxDevices; n++ {
		if err := f.introduce(n, founder.Ops()[:n], random); err != nil {
			return nil, err
		}
	}
	return f, nil
})

// introduce makes the first n devices know each other, in an epoch of their own.
func (f *family) introduce(n int, ops [][]byte, random io.Reader) error {
	var all []*encryption.Identity
	for _, m := range f.members[:n] {
		all = append(all, m.Copy())
	}
	if _, err := all[0].Admit(ops...); err != nil {
		return err
	}
	op, record, err := all[0].PrepareEpoch(start, random)
	if err != nil {
		return err
	}
	for _, id := range all {
		_, err := id.Admit(append(slices.Clone(ops), op)...)
		if err == nil {
			_, err = id.AdmitEpochs(append(f.members[0].EpochRecords(), record)...)
		}
		if err != nil {
			return fmt.Errorf("introduce %d devices: %w", n, err)
		}
	}
	f.met[n] = all
	return nil
}

func (f *family) join(founder *encryption.Identity, name string, random io.Reader) (*encryption.Identity, error) {
	j, err := encryption.NewJoiner(&encryption.JoinOptions{Name: name, Random: random})
	if err != nil {
		return nil, err
	}
	request := j.Request(encryption.Hash{1})
	op, err := founder.PrepareAdd(request, start)
	if err != nil {
		return nil, err
	}
	if _, err := founder.Admit(op); err != nil {
		return nil, err
	}
	return joined(j, founder, request)
}

// joined gives a joiner the welcome of the device that has added it.
func joined(j *encryption.Joiner, sponsor interface {
	Welcome(*encryption.JoinRequest) ([]byte, error)
}, request *encryption.JoinRequest) (*encryption.Identity, error) {
	welcome, err := sponsor.Welcome(request)
	if err != nil {
		return nil, err
	}
	if err := j.OpenWelcome(request.Transcript, welcome); err != nil {
		return nil, err
	}
	return j.Identity()
}

// some returns the identities of n devices. Each knows of those that were added
// before it; if all is true, they have met.
func (f *family) some(n int, all bool) []*encryption.Identity {
	from := f.members[:n]
	if all {
		from = f.met[n]
	}
	var ids []*encryption.Identity
	for _, id := range from {
		ids = append(ids, id.Copy())
	}
	return ids
}

// seededBy returns the source of randomness of one component of a world, so that
// what one of them draws does not change what another one does.
func seededBy(seed uint64, component string) seeded.Cheap {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	copy(key[8:], component)
	return seeded.Cheap{Source: seeded.New(key)}
}

// drawing is seededBy for numbers.
func drawing(seed uint64, component string) *rand.Rand { return rand.New(seededBy(seed, component)) }
