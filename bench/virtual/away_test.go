package virtual_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
	year = 52 * week
)

// TestYearAway: a device with an edit that nobody has seen is off for a year. The others
// meet once a week for some minutes, edit, and begin a new epoch whenever 30 days have
// passed, or their keys were replaced. When it is back it is let in under the last epoch that it knows, everybody has
// everything, and all seal in the newest epoch. A device that is linked then gets the
// documents in place of the year's envelopes.
func TestYearAway(t *testing.T) {
	t.Parallel()
	play(t, 3, memory, func(w *world) {
		a, b, away := w.devices[0], w.devices[1], w.devices[2]
		a.edit()
		w.converge(redial + transfer)
		w.cut(away)
		away.edit()
		away.stop()
		epochs, edits := w.weeks(a, b)
		if want := 11; epochs != want {
			// In weeks 5 and 10, and after 90 days, in week 13, for the keys of the devices
			// are replaced then; and so on from there.
			w.Errorf("%d epochs began in a year, want %d", epochs, want)
		}

		a.start()
		b.start()
		away.start()
		away.edit()
		w.mend(away)
		took := w.converge(redial + transfer)
		w.sameEpoch()
		logs := w.logs()
		if dropped := edits > 34_000; dropped != (logs[0] < edits) || dropped != (logs[2] < logs[0]) {
			w.Errorf("after %d edits the logs have %d envelopes", edits, logs)
		}
		w.Logf("%d edits and %d epochs in a year; equal %v after the third was back; the logs have %d envelopes", edits, epochs, took, logs)
		w.newcomer()
		w.check()
	})
}

// weeks has two devices meet each week of a year. It returns how many epochs began, and
// how many edits there were.
func (w *world) weeks(a, b *device) (epochs, edits int) {
	w.Helper()
	seen := map[encryption.EpochTag]bool{a.epoch(): true}
	a.stop()
	b.stop()
	for n := range int(year / week) {
		begin := time.Now()
		a.start()
		b.start()
		w.converge(redial + transfer)
		a.edit()
		for i := range *virtualWeekly {
			at := &model.Position{Time: model.Time(1 + n), ID: "m"}
			[]*device{a, b}[i%2].apply(model.Edit{Op: model.ChatRead, ID: fmt.Sprint("chat ", i), At: at})
			w.pass(time.Second)
		}
		w.converge(transfer)
		edits += *virtualWeekly
		seen[a.epoch()] = true
		a.stop()
		b.stop()
		w.pass(week - time.Since(begin))
	}
	return len(seen) - 1, edits
}

// newcomer links a device, which gets the documents.
func (w *world) newcomer() {
	w.Helper()
	d := w.make("newcomer", "1.0.0.9")
	w.devices[0].stop()
	w.link(d)
	w.devices[0].start()
	w.devices = append(w.devices, d)
	d.start()
	took := w.converge(redial + transfer)
	logs := w.logs()
	if snapshot := logs[0] >= 4096; snapshot != (logs[3] < logs[0]/2) {
		w.Errorf("the newcomer's log has %d envelopes of %d", logs[3], logs[0])
	}
	w.Logf("equal %v after a new device was on; its log has %d envelopes of %d", took, logs[3], logs[0])
}

// epoch is the one that the device seals in.
func (d *device) epoch() encryption.EpochTag {
	tag, ok := d.id.CurrentEpoch()
	if !ok {
		d.w.Errorf("%s has no epoch", d.name)
	}
	return tag
}

func (w *world) sameEpoch() {
	w.Helper()
	for _, d := range w.devices {
		if d.epoch() != w.devices[0].epoch() {
			w.Errorf("%s seals in epoch %x, the first in %x", d.name, d.epoch(), w.devices[0].epoch())
		}
	}
}

// logs is how many envelopes each device holds.
func (w *world) logs() (all []int) {
	w.Helper()
	for _, s := range w.statuses() {
		all = append(all, s.Counts.Envelopes)
	}
	return all
}

// TestDays: for 32 days two devices are on around midnight, each with the address of the
// other as that one printed it the day before. Their host keys change every night under
// streams that stay, and an epoch begins after 30 days.
func TestDays(t *testing.T) {
	t.Parallel()
	play(t, 2, memory, func(w *world) {
		a, b := w.devices[0], w.devices[1]
		a.edit()
		w.converge(redial + transfer)
		hosts, epochs := map[string]bool{}, map[encryption.EpochTag]bool{a.epoch(): true}
		for n := range 32 {
			a.peer, b.peer = b.host.Addrs()[0], a.host.Addrs()[0]
			a.stop()
			b.stop()
			w.pass(time.Until(time.Now().Truncate(day).Add(day - 5*time.Minute)))
			a.start()
			b.start()
			w.converge(redial + transfer)
			before := [2]string{a.host.PeerID(), b.host.PeerID()}
			cuts := w.disconnections(func() { w.pass(10 * time.Minute) })
			if after := [2]string{a.host.PeerID(), b.host.PeerID()}; after[0] == before[0] || after[1] == before[1] {
				w.Errorf("night %d: a host has the key of the day before", n)
			}
			if cuts != 0 {
				w.Errorf("night %d: %d disconnections", n, cuts)
			}
			a.edit()
			b.edit()
			w.converge(time.Second)
			hosts[before[0]], hosts[before[1]], epochs[a.epoch()] = true, true, true
			w.sameEpoch()
		}
		if len(hosts) != 2*32 {
			w.Errorf("two hosts had %d ids in 32 days", len(hosts))
		}
		if len(epochs) != 2 {
			w.Errorf("%d epochs in 32 days, want 2", len(epochs))
		}
		w.check()
	})
}
