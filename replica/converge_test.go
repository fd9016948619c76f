package replica_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
)

// family is the devices of one account as they were before any edit, so that
// many worlds can begin with them.
type family struct {
	homes []string
	disks []*store.Memory
}

func newFamily(t *testing.T, n int) family {
	t.Helper()
	var f family
	a := single(t)
	devices := []*device{a}
	f.homes = append(f.homes, a.home)
	for i := range n - 1 {
		home, id := joinAt(t, a, fmt.Sprint("device ", i+1))
		f.homes = append(f.homes, home)
		devices = append(devices, open(t, id))
	}
	for _, d := range devices {
		try(t, d.AdmitMembers(t.Context(), a.id.Ops()))
		try(t, d.Close())
		f.disks = append(f.disks, d.store.left)
	}
	return f
}

// world is some devices that edit, meet, part, crash and begin again.
type world struct {
	t       *rapid.T
	homes   []string
	devices []*device
	cuts    map[[2]int]func()
	acked   map[string]bool // keys of settings
	edits   int
	clocks  []int64 // where each begins

	places   []int            // of each device; another one after its directory was put back
	backups  map[int]snapshot // of devices
	restored bool
}

func newWorld(t *rapid.T, f family, n int, clocks []int64) *world {
	w := &world{t: t, clocks: clocks, homes: f.homes, cuts: map[[2]int]func(){}, acked: map[string]bool{}, devices: make([]*device, n), places: make([]int, n), backups: map[int]snapshot{}}
	for i := range n {
		w.open(i, f.disks[i].Snapshot())
	}
	t.Cleanup(func() {
		for _, d := range w.devices {
			d.Close()
		}
	})
	return w
}

// epochs are where the devices' clocks begin: right, in 1970, in 2040.
var epochs = []int64{1_700_000_000_000, 0, 2_208_988_800_000, 1_700_000_000_000}

func (w *world) open(i int, disk *store.Memory) {
	w.t.Helper()
	id, err := encryption.OpenIdentity(w.homes[i], key())
	if err != nil {
		w.t.Fatal(err)
	}
	var now atomic.Int64
	now.Store(w.clocks[i])
	d := &device{id: id, cable: newCable(), store: newFaulty(disk)}
	d.Replica, err = replica.Open("", &replica.Config{
		Identity: id, Network: d.cable, Store: d.store, Place: fmt.Append(nil, "place ", w.places[i]),
		Clock: func() time.Time { return time.UnixMilli(now.Add(1000)) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.devices[i] = d
}

// edit applies some edits, and a setting that nobody else sets, by which it is
// known at the end whether anything was lost.
func (w *world) edit(i int) {
	w.edits++
	mark := fmt.Sprint("mark ", w.edits)
	edits := append(editGen.Draw(w.t, "edits"), model.Edit{Op: model.SettingSet, ID: mark, Scope: "account", Value: []byte("1")})
	switch err := w.devices[i].Apply(w.t.Context(), edits); {
	case err == nil:
		w.acked[mark] = true
	case !errors.Is(err, replica.ErrNotFound): // a pin beside one that is not pinned
		w.t.Fatal(err)
	}
}

func (w *world) connect(i, j int) {
	if pair := [2]int{min(i, j), max(i, j)}; i != j && w.cuts[pair] == nil {
		w.cuts[pair] = connect(w.devices[i], w.devices[j])
	}
}

func (w *world) cut(i, j int) {
	pair := [2]int{min(i, j), max(i, j)}
	if cut := w.cuts[pair]; cut != nil {
		cut()
		delete(w.cuts, pair)
	}
}

// meet waits until two connected devices have what the other one has.
func (w *world) meet(i, j int) {
	w.t.Helper()
	if w.cuts[[2]int{min(i, j), max(i, j)}] == nil {
		return
	}
	a, b := w.devices[i], w.devices[j]
	ctx := w.t.Context()
	if err := errors.Join(a.WaitInSync(ctx, b.id.Device()), b.WaitInSync(ctx, a.id.Device())); err != nil {
		w.t.Fatal(err)
	}
}

// restart begins the next life of a device, after a crash if one is drawn:
// what is being written then is not.
func (w *world) restart(i int, crash bool) {
	d := w.devices[i]
	if crash {
		d.store.failing(errCrash)
	}
	if err := d.Close(); err != nil {
		w.t.Fatal(err)
	}
	for j := range w.devices {
		w.cut(i, j)
	}
	w.open(i, d.store.left)
}

func (w *world) step() {
	i := rapid.IntRange(0, len(w.devices)-1).Draw(w.t, "device")
	j := rapid.IntRange(0, len(w.devices)-1).Draw(w.t, "other")
	switch rapid.SampledFrom([]string{"edit", "edit", "edit", "connect", "connect", "cut", "meet", "restart", "crash"}).Draw(w.t, "step") {
	case "edit":
		w.edit(i)
	case "connect":
		w.connect(i, j)
	case "cut":
		w.cut(i, j)
	case "meet":
		w.meet(i, j)
	case "restart":
		w.restart(i, false)
	case "crash":
		w.restart(i, true)
	}
}

// settle connects everybody with everybody and waits until all are in sync.
func (w *world) settle() {
	w.t.Helper()
	for _, wait := range []bool{false, true} {
		for i := range w.devices {
			for j := range i {
				if w.connect(i, j); wait {
					w.meet(i, j)
				}
			}
		}
	}
}

// Whatever the devices did, and whoever was connected, cut off or restarted
// meanwhile: once all have met they show the same, byte for byte, at the same
// frontier and fingerprint, nothing acknowledged is missing, and each finds
// itself and the others in order.
func TestReplicasConverge(t *testing.T) {
	f := newFamily(t, len(epochs))
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, f, rapid.IntRange(2, len(epochs)).Draw(t, "devices"), epochs)
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			w.step()
		}
		w.settle()
		w.check()
	})
}

func (w *world) check() {
	t := w.t
	t.Helper()
	want := stateOf(t, w.devices[0].Replica)
	first, err := w.devices[0].Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range w.devices {
		if got := stateOf(t, d.Replica); got != want {
			t.Fatalf("device 0 and %d show\n%s\n%s", i, want, got)
		}
		s, err := d.Status(t.Context())
		if err != nil || s.Frontier != first.Frontier || s.Fingerprint != first.Fingerprint || s.Counts.Faults > 0 && !w.restored || s.Counts.Pending > 0 {
			t.Fatalf("device 0 and %d are at\n%+v\n%+v, %v", i, first, s, err)
		}
		v, err := d.Verify(t.Context())
		for err == nil && len(v.Peers) == 0 { // the session that was in sync was one that is cut
			v, err = d.Verify(t.Context())
		}
		if err != nil || !v.OK || !slices.ContainsFunc(v.Peers, func(p model.PeerVerification) bool { return p.Result == "equal" }) {
			t.Fatalf("device %d: verification is %+v, %v", i, v, err)
		}
	}
	settings, err := w.devices[0].ListSettings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		delete(w.acked, s.Key)
	}
	if len(w.acked) > 0 {
		t.Fatalf("acknowledged and lost: %q", sorted(w.acked))
	}
}
