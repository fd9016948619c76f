package replica_test

import (
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/store"
)

// snapshot is a copy of a device's directory.
type snapshot struct {
	disk  *store.Memory
	marks map[string]bool // as world.acked, that it holds
}

// marks adds the settings that a device holds to all.
func (w *world) marks(i int, all map[string]bool) {
	w.t.Helper()
	settings, err := w.devices[i].ListSettings(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range settings {
		all[s.Key] = true
	}
}

func (w *world) save(i int) {
	b := snapshot{disk: w.devices[i].store.Store.(*store.Memory).Snapshot(), marks: map[string]bool{}}
	w.marks(i, b.marks)
	w.backups[i] = b
}

// putBack puts the last copy of a device's directory in its place. What only
// the lost state had is lost.
func (w *world) putBack(i int) {
	b, saved := w.backups[i]
	if !saved {
		return
	}
	held := maps.Clone(b.marks)
	for j := range w.devices {
		if w.cut(i, j); i != j {
			w.marks(j, held)
		}
	}
	if err := w.devices[i].Close(); err != nil {
		w.t.Fatal(err)
	}
	maps.DeleteFunc(w.acked, func(mark string, _ bool) bool { return !held[mark] })
	w.places[i]++
	w.restored = true
	w.open(i, b.disk.Snapshot())
}

// The same when directories are copied and put back meanwhile, which makes new
// writers: all become equal, and nothing is missing that was acknowledged and
// that any device still had. All clocks are right here, so that no keys are
// replaced: a device that was put back and has lost some gets them again only
// when it connects once more.
func TestReplicasConvergeAfterRestores(t *testing.T) {
	f := newFamily(t, len(epochs))
	seen := 0
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, f, rapid.IntRange(2, 3).Draw(t, "devices"), []int64{epochs[0], epochs[0], epochs[0]})
		for range rapid.IntRange(3, 25).Draw(t, "steps") {
			i := rapid.IntRange(0, len(w.devices)-1).Draw(t, "device")
			switch rapid.SampledFrom([]string{"save", "put back", "other", "other", "other"}).Draw(t, "what") {
			case "save":
				w.save(i)
			case "put back":
				w.putBack(i)
			case "other":
				w.step()
			}
		}
		if w.restored {
			seen++
		}
		w.settle()
		w.check()
	})
	if seen == 0 {
		t.Error("nothing was put back")
	}
}

// A new writer says in its first envelope what it has seen, also when it is
// opened again before that: what follows on an edit comes after it.
func TestNewWriterNamesItsPast(t *testing.T) {
	a, b := pair(t)
	ctx := t.Context()
	try(t, b.Apply(ctx, []model.Edit{unread("x")}))
	try(t, a.Apply(ctx, []model.Edit{unread("y")}))
	meetOnce(t, a, b)
	try(t, a.Apply(ctx, []model.Edit{unread("z")})) // its envelope names b's
	meetOnce(t, a, b)
	try(t, a.Close())
	s := newFaulty(a.store.left)
	s.lost = errEnd
	a = openOn(t, a.id, s)
	a = reopen(t, a)
	try(t, a.Apply(ctx, []model.Edit{{Op: model.ChatMute, ID: "x", Until: model.Forever}}))
	meetOnce(t, a, b)
	named := 0
	for _, raw := range envelopes(t, b) {
		u, err := b.id.OpenEnvelope(raw)
		try(t, err)
		if u.Seq == 1 {
			named = max(named, len(u.Deps))
		}
	}
	if named != 2 {
		t.Errorf("the first envelope of the new writer names %d writers that came before, want 2", named)
	}
	equalDevices(t, a, b)
}
