package sim

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/hand"
	"github.com/starling-sync/starling/replica/store"
)

// device is one device of the account: a directory, an identity file, a clock, and
// a process while it runs.
type device struct {
	w    *world
	n    int
	name string

	file     *encryption.Identity // as the identity file has it
	disk     *disk
	place    byte      // where the directory is
	keychain *keychain // nil where there is none
	skew     time.Duration
	random   io.Reader // of the replica

	// Of the process; rep is nil while there is none.
	rep     hand.Replica
	id      *encryption.Identity
	store   *lifetime
	life    int // counts the processes
	ends    []*end
	planned bool // an event for the group in flight is planned
	written bool // it is on the disk, and the replica does not know
	ticking bool // a tick is planned

	falsify bool   // of a hostile member: its next frontier is false
	unaware bool   // it was put back, and will hear of it from whomever it meets
	saved   *saved // a copy of its directory
	own     watched
}

// saved is a copy of a directory.
type saved struct {
	mem   *store.Memory
	marks marks
	ahead frontier
}

// keychain is a number outside of the directory.
type keychain struct{ n uint64 }

func (k *keychain) Load() (uint64, error) { return k.n, nil }
func (k *keychain) Save(n uint64) error   { k.n = n; return nil }

func (w *world) newDevice(file *encryption.Identity) *device {
	n := len(w.devices)
	d := &device{
		w: w, n: n, name: string(rune('a' + n)), file: file, disk: newDisk(),
		random: seededBy(w.seed, fmt.Sprint("replica ", n)),
	}
	d.own.begin(d)
	if w.draw.plan.IntN(2) == 0 {
		d.keychain = &keychain{}
	}
	if w.plan.wrongClocks && w.draw.plan.IntN(2) == 0 {
		d.skew = w.wrongBy()
	}
	w.devices = append(w.devices, d)
	return d
}

// clock is what the device takes for the time.
func (d *device) clock() time.Time { return start.Add(d.w.now + d.w.skipped + d.skew) }

func (d *device) up() bool { return d.rep != nil }

// open begins a process. It returns false when the disk does not let it.
func (d *device) open() bool {
	d.id, d.store = d.file.Copy(), d.disk.open()
	d.life++
	d.planned, d.written, d.ticking = false, false, false
	c := &hand.Config{
		Identity: d.id, Store: d.store, Place: []byte{d.place}, Clock: d.clock, Random: d.random,
		Log: slog.New(&listener{d}),
	}
	if d.keychain != nil {
		c.Generation = d.keychain
	}
	if d.w.plan.short {
		c.Limits = &shortLogs
	}
	rep, err := hand.Open(c)
	switch {
	case d.store.dead || d.disk.full && err != nil:
		d.w.event("open failed", d)
		d.w.seen(openFailed)
		d.store.dead = true
		return false
	case err != nil:
		d.w.fail("%s does not open: %v", d.name, err)
		return false
	}
	d.rep = rep
	if d.w.plan.tight {
		d.rep.Exchange().Tighten(tightWindow, tightWindow/2, 4*tightWindow)
	}
	d.w.event("open", d)
	d.own.opened(d)
	d.after()
	return true
}

// do lets the process do something and carries out what comes of it.
func (d *device) do(what func(hand.Replica)) {
	if d.rep == nil {
		return
	}
	what(d.rep)
	d.after()
}

// after carries out what the process wants, unless it died over it.
func (d *device) after() {
	if d.rep == nil {
		return
	}
	if d.store.dead {
		d.w.seen(crashInCommit)
		d.gonedown("crashed in a commit")
		return
	}
	for _, e := range d.ends {
		if e.link == nil || e.closed {
			continue
		}
		if out := e.link.Take(); len(out) > 0 {
			frames := frames(out)
			if d.hostile() {
				out, frames = d.altered(out, frames)
			}
			d.own.sends(d, e, frames)
			e.send(out, frames)
		}
		if e.link.Ended() {
			e.hangUp()
		}
	}
	d.sweep()
	if d.rep.Flying() && !d.planned {
		d.planCommit()
	}
	if d.rep.Exchange().Leaves() && !d.ticking {
		d.ticking = true
		d.w.later(time.Second, d.inLife(d.tick))
	}
	d.own.after(d)
}

// same says whether two are one device of the account: one is a copy of the other.
func (d *device) same(o *device) bool { return d.file == o.file }

// twin says whether another one is a copy of this device, or the reverse: each has
// keys that the other one lacks.
func (d *device) twin(o *device) bool { return o != d && o.same(d) }

// tick tells the process that a second has passed.
func (d *device) tick() {
	d.ticking = false
	d.do(hand.Replica.Tick)
}

// sweep forgets the ends that are closed.
func (d *device) sweep() {
	kept := d.ends[:0]
	for _, e := range d.ends {
		if !e.closed {
			kept = append(kept, e)
		}
	}
	clear(d.ends[len(kept):])
	d.ends = kept
}

// planCommit makes the disk write the group in flight after some time, and the
// replica hear of it a little later.
func (d *device) planCommit() {
	d.planned = true
	d.w.later(d.w.diskDelay(), d.inLife(func() {
		if !d.rep.Flying() {
			d.planned = false
			return
		}
		d.w.event("write", d)
		d.rep.Write()
		if d.store.dead {
			d.after()
			return
		}
		if d.disk.full {
			d.w.seen(diskFull)
		}
		d.written = true
		d.w.result.Commits++
		if !d.w.healing && d.w.draw.disk.IntN(100) == 0 {
			d.w.crashNow(d)
			return
		}
		d.w.later(d.w.noticeDelay(), d.inLife(d.notice))
	}))
}

func (d *device) notice() {
	d.planned, d.written = false, false
	if d.rep.Flying() {
		d.w.event("commit", d)
		d.do(func(r hand.Replica) { r.Finish() })
	}
}

// inLife makes do happen only if the process still runs then.
func (d *device) inLife(do func()) func() {
	life := d.life
	return func() {
		if d.rep != nil && d.life == life {
			do()
		}
	}
}

// crash ends the process at once. A group in flight is on the disk, or not.
func (d *device) crash() {
	if d.rep == nil {
		return
	}
	switch {
	case d.rep.Flying() && d.written:
		d.w.seen(crashBeforeNotice)
	case d.rep.Flying():
		d.w.seen(crashInFlight)
		if d.w.draw.disk.IntN(2) == 0 {
			d.rep.Write()
		}
	}
	d.gonedown("crash")
}

// gonedown forgets the process.
func (d *device) gonedown(how string) {
	d.w.event(how, d)
	d.w.result.Crashes++
	d.store.dead = true
	d.rep = nil
	d.dropEnds()
	d.own.down(d)
}

func (d *device) dropEnds() {
	for _, e := range d.ends {
		e.hangUp()
	}
	d.ends = nil
}

// stop ends the process in good order.
func (d *device) stop() {
	if d.rep == nil {
		return
	}
	d.w.event("close", d)
	err := d.rep.Close()
	if err != nil && !d.disk.full && !d.store.dead {
		d.w.fail("%s does not close: %v", d.name, err)
	}
	d.store.dead = true
	d.rep = nil
	d.dropEnds()
	d.own.down(d)
}

// transport is the transport id of a device.
func (d *device) transport() []byte { return bytes.Repeat([]byte{byte(d.n + 1)}, 8) }
