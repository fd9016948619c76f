package encryption

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// epochWorld is an account whose devices rotate, write, add, remove and rekey as
// they please, and hear of each other late or never.
type epochWorld struct {
	tb      fatal
	devices []*Identity
	sealed  []sealedBy
	seeds   int
}

// fatal is what both kinds of test have.
type fatal interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// sealedBy is an envelope and who could not be meant to read it: the devices
// of which its sealer knew that they are no members any more.
type sealedBy struct {
	raw      []byte
	tag      EpochTag
	excluded []DeviceID
}

func (w *epochWorld) must(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
}

func (w *epochWorld) seed() byte { w.seeds++; return byte(w.seeds) }

// copyOf is a second object for the same device, as it is now.
func copyOf(id *Identity) *Identity {
	c := &Identity{
		account: id.account, device: id.device, keys: id.keys, badger: id.badger, record: id.record,
		log: id.log.clone(), ring: id.ring.clone(),
	}
	c.settle()
	return c
}

func isMember(view *Identity, d DeviceID) bool { _, ok := view.Member(d); return ok }

func (w *epochWorld) sign(by *Identity, kind OperationKind, action any) {
	body := by.log.nextBody(by.device)
	body.Kind, body.Action = kind, encode(action)
	_, err := by.Admit(sealOperation(body, by.keys))
	w.must(err)
}

func (w *epochWorld) rotate(by *Identity) {
	if !isMember(by, by.device) {
		return
	}
	op, record, err := by.PrepareEpoch(testTime, inOrder)
	w.must(err)
	_, err = by.Admit(op)
	w.must(err)
	_, err = by.AdmitEpochs(record)
	w.must(err)
	if _, due := by.NeedsEpoch(testTime, 0); due {
		w.tb.Fatal("a new epoch is due after a new epoch")
	}
}

// write seals an envelope, after a rotation if one is due.
func (w *epochWorld) write(by *Identity) {
	if !isMember(by, by.device) {
		return
	}
	if _, due := by.NeedsEpoch(testTime, 0); due {
		w.rotate(by)
	}
	nonce := [16]byte{w.seed()}
	raw, _, err := by.SealEnvelope(nil, &Content{Writer: WriterFor(by.device, nonce), Seq: 1, Nonce: nonce}, Hash{})
	w.must(err)
	s := sealedBy{raw: raw, tag: by.epoch.tag}
	for _, d := range w.devices {
		if _, known := by.log.device(d.device); known && !isMember(by, d.device) {
			s.excluded = append(s.excluded, d.device)
		}
	}
	w.sealed = append(w.sealed, s)
}

func (w *epochWorld) remove(by *Identity, target DeviceID) {
	if !isMember(by, by.device) || !isMember(by, target) {
		return
	}
	_, seen := by.log.lastOf(target, firstOf(len(by.log.ops)))
	w.sign(by, OperationRemove, removeAction{Target: target, Seen: seen, At: 1})
}

func (w *epochWorld) add(by *Identity) {
	if !isMember(by, by.device) || len(w.devices) >= 6 {
		return
	}
	j, err := NewJoiner(&JoinOptions{Name: "late", Random: seeded(w.seed()), cost: cheapCost})
	w.must(err)
	r := j.Request(Hash{1})
	op, err := by.PrepareAdd(r, testTime)
	w.must(err)
	_, err = by.Admit(op)
	w.must(err)
	sealed, err := by.Welcome(r)
	w.must(err)
	w.must(j.OpenWelcome(Hash{1}, sealed))
	id, err := newIdentity(j.stored)
	w.must(err)
	w.devices = append(w.devices, id)
}

func (w *epochWorld) rekey(by *Identity) {
	if !isMember(by, by.device) {
		return
	}
	fresh, err := newDeviceKeys(seeded(w.seed()))
	w.must(err)
	kept, err := by.ExportKey(fresh.hpkeSeed, nil)
	w.must(err)
	w.must(by.ImportKeys(kept))
	w.sign(by, OperationRekey, rekeyAction{HPKEKey: fresh.hpkePublic(), At: 1})
}

// sync tells one device all that another has, but for rewraps that it cannot
// check.
func (w *epochWorld) sync(from, to *Identity) {
	_, err := to.Admit(from.Ops()...)
	w.must(err)
	if _, err = to.AdmitEpochs(from.EpochRecords()...); !onlyUnknownEpochs(err) {
		w.tb.Fatal(err)
	}
}

// onlyUnknownEpochs reports whether nothing else is wrong.
func onlyUnknownEpochs(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err == nil
	}
	return !slices.ContainsFunc(joined.Unwrap(), func(e error) bool { return !errors.Is(e, ErrUnknownEpoch) })
}

func (w *epochWorld) rewrap(by *Identity, met ...DeviceID) {
	if !isMember(by, by.device) {
		return
	}
	records, err := by.PrepareRewrap(nil, met...)
	w.must(err)
	_, err = by.AdmitEpochs(records...)
	w.must(err)
}

// settle lets all devices talk until nothing changes.
func (w *epochWorld) settle() {
	for range 3 {
		for _, from := range w.devices {
			for _, to := range w.devices {
				w.sync(from, to)
			}
		}
		for _, by := range w.devices {
			w.rewrap(by)
		}
	}
}

// checkMeeting: each member serves an epoch that every other device which it
// takes for a member looks under.
func (w *epochWorld) checkMeeting() {
	for _, x := range w.devices {
		served := x.ServedEpochs(testTime)
		for _, y := range w.devices {
			looks := y.DiscoveryEpochs()
			if isMember(x, y.device) && !slices.ContainsFunc(served, func(t EpochTag) bool { return slices.Contains(looks, t) }) {
				w.tb.Fatalf("%v serves %v, %v looks under %v", x, served, y, looks)
			}
		}
	}
}

// checkSecrecy gives each device all there is, with its whole key set.
func (w *epochWorld) checkSecrecy() {
	for _, d := range w.devices {
		thief := copyOf(d)
		for _, from := range w.devices {
			_, err := thief.Admit(from.Ops()...)
			w.must(err)
		}
		for _, from := range w.devices {
			thief.AdmitEpochs(from.EpochRecords()...) // errors: rewraps for others
		}
		for i, s := range w.sealed {
			if slices.Contains(s.excluded, d.device) && opens(thief, s.raw) {
				w.tb.Fatalf("%v opens envelope %d, whose sealer knew that it is out", d, i)
			}
		}
	}
}

// checkReading: after settle, members agree on the epoch, and what one opens all
// open.
func (w *epochWorld) checkReading() {
	var members []*Identity
	for _, d := range w.devices {
		if isMember(d, d.device) {
			members = append(members, d)
		}
	}
	for _, d := range members {
		one, _ := members[0].CurrentEpoch()
		if other, _ := d.CurrentEpoch(); one != other {
			w.tb.Fatalf("members are at %v and %v", one, other)
		}
		for i, s := range w.sealed {
			if opens(d, s.raw) != opens(members[0], s.raw) {
				w.tb.Fatalf("envelope %d: not all members open it", i)
			}
		}
	}
}

// checkOrder gives what one device has to a copy of its oldest self in another
// order, piece by piece, offering again what was refused for what is missing.
func (w *epochWorld) checkOrder(t *rapid.T) {
	for _, d := range w.devices {
		again := &Identity{
			account: d.account, device: d.device, keys: d.keys, record: d.record,
			log: newLog(d.account), ring: firstOnly(d.ring, d.ring.keys...),
		}
		again.ring.secrets = maps.Clone(d.ring.secrets) // those of its welcome among them
		w.must(again.admitShuffled(t, d.Ops(), d.EpochRecords()))
		if a, b := fmt.Sprint(again.epoch), fmt.Sprint(d.epoch); again.epoch != d.epoch && (again.epoch == nil || d.epoch == nil || a != b) {
			w.tb.Fatalf("in another order the epoch is %s, not %s", a, b)
		}
		if len(again.EpochRecords()) != len(d.EpochRecords()) || len(again.ring.secrets) != len(d.ring.secrets) {
			w.tb.Fatal("in another order other records are kept")
		}
	}
}

func (id *Identity) admitShuffled(t *rapid.T, ops, records [][]byte) error {
	if _, err := id.Admit(ops[0]); err != nil {
		return err
	}
	all := slices.Concat(ops, records)
	numbers := make([]int, len(all))
	for i := range all {
		numbers[i] = i
	}
	pieces := rapid.Permutation(numbers).Draw(t, "order")
	for len(pieces) > 0 {
		var again []int
		for _, p := range pieces {
			var err error
			if p >= len(ops) {
				_, err = id.AdmitEpochs(all[p])
			} else {
				_, err = id.Admit(all[p])
			}
			if errors.Is(err, ErrMissingOperation) || errors.Is(err, ErrMissingParents) {
				again = append(again, p)
			} else if err != nil {
				return err
			}
		}
		if len(again) == len(pieces) {
			return fmt.Errorf("%d pieces were never admitted", len(again))
		}
		pieces = again
	}
	return nil
}

func (w *epochWorld) step(t *rapid.T) {
	pick := func(name string) *Identity { return rapid.SampledFrom(w.devices).Draw(t, name) }
	by := pick("by")
	switch rapid.SampledFrom([]string{"write", "write", "sync", "sync", "sync", "rotate", "add", "remove", "rekey", "rewrap", "all"}).Draw(t, "step") {
	case "write":
		w.write(by)
	case "sync":
		w.sync(pick("from"), by)
	case "rotate":
		w.rotate(by)
	case "add":
		w.add(by)
	case "remove":
		w.remove(by, pick("target").device)
	case "rekey":
		w.rekey(by)
	case "rewrap":
		w.rewrap(by, pick("met").device)
	case "all":
		w.settle()
	}
}

func TestEpochWorlds(t *testing.T) {
	base := team(t, 3)
	rapid.Check(t, func(t *rapid.T) {
		w := &epochWorld{tb: t, seeds: 20}
		for _, id := range base {
			w.devices = append(w.devices, copyOf(id))
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			w.step(t)
			w.checkMeeting()
		}
		w.checkSecrecy()
		w.settle()
		for _, d := range w.devices {
			w.write(d)
		}
		w.settle()
		w.checkMeeting()
		w.checkSecrecy()
		w.checkReading()
		w.checkOrder(t)
	})
}
