package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/hand"
)

// mingle connects and separates devices, again and again.
func (w *world) mingle() {
	if w.healing {
		return
	}
	a, b := pick(w.draw.net, w.devices), pick(w.draw.net, w.devices)
	switch {
	case a == b:
	case w.draw.net.IntN(4) > 0:
		w.meet(a, b)
	default:
		if e := pick(w.draw.net, a.ends); e != nil {
			e.cutOff()
		}
	}
	w.later(around(w.draw.net, w.plan.faults/24), w.mingle)
}

// strike lets one fault happen, again and again.
func (w *world) strike() {
	if w.healing {
		return
	}
	r := w.draw.fault
	d := w.devices[r.IntN(len(w.devices))]
	common := []func(*device){
		w.crashSoon, w.crashSoon, w.crashNow, w.crashNow, w.restart, w.fill, w.slowDown,
		w.partition, w.jump, w.absent, w.compare, w.inspect, w.burst,
	}
	if w.plan.rollbacks {
		common = append(common, w.save, w.save, w.putBack, w.putBack, w.putBack)
	}
	if w.plan.copies {
		common = append(common, w.copy, w.copy)
	}
	if w.plan.membership {
		common = append(common, w.add, w.remove, w.rotate)
	}
	common[r.IntN(len(common))](d)
	w.later(around(r, w.plan.faults/16), w.strike)
}

// crashNow ends a process at once, and begins the next one soon.
func (w *world) crashNow(d *device) {
	if d.up() {
		d.crash()
		w.reopen(d)
	}
}

// crashSoon ends a process within one of its next commits.
func (w *world) crashSoon(d *device) {
	d.disk.dieIn, d.disk.keep = 1+w.draw.fault.IntN(4), w.draw.fault.IntN(2) == 0
	w.later(around(w.draw.fault, w.plan.faults/4), func() {
		d.disk.dieIn = 0
		if !d.up() {
			w.reopen(d)
		}
	})
}

// restart ends a process in good order.
func (w *world) restart(d *device) {
	if d.up() {
		d.stop()
		w.reopen(d)
	}
}

// reopen begins a process after a while, again and again until it can.
func (w *world) reopen(d *device) {
	life := d.life
	w.later(around(w.draw.fault, w.plan.faults/24), func() {
		if !d.up() && d.life == life && !d.open() {
			w.reopen(d)
		}
	})
}

// fill fills a disk for a while.
func (w *world) fill(d *device) {
	w.event("disk full", d)
	d.disk.full = true
	w.later(around(w.draw.fault, w.plan.faults/8), func() { d.disk.full = false })
}

// slowDown makes all disks slow for a while.
func (w *world) slowDown(*device) {
	w.slow = true
	w.seen(slowDisk)
	w.later(around(w.draw.fault, w.plan.faults/6), func() { w.slow = false })
}

// partition separates a device from some others for a while.
func (w *world) partition(d *device) {
	w.event("partition", d)
	w.seen(partition)
	for _, o := range w.devices {
		if o == d || w.draw.fault.IntN(3) == 0 {
			continue
		}
		pair := [2]int{min(o.n, d.n), max(o.n, d.n)}
		w.apart[pair] = true
		w.later(around(w.draw.fault, w.plan.faults/4), func() { delete(w.apart, pair) })
	}
	for _, e := range d.ends {
		if !w.reachable(d, e.peer.device) && !e.cut {
			e.cutOff()
		}
	}
}

// jump sets a clock.
func (w *world) jump(d *device) {
	if w.plan.wrongClocks {
		w.event("clock jumps", d)
		w.seen(clockJump)
		d.skew = w.wrongBy()
	}
}

// absent keeps a device away while weeks go by and the others go on.
func (w *world) absent(d *device) {
	if !d.up() || w.draw.fault.IntN(3) > 0 {
		return
	}
	w.seen(away)
	d.stop()
	life := d.life
	w.later(around(w.draw.fault, w.plan.faults/8), func() {
		w.skipped += time.Duration(20+w.draw.fault.IntN(60)) * 24 * time.Hour
		w.event("weeks later")
	})
	w.later(around(w.draw.fault, w.plan.faults/3), func() {
		if !d.up() && d.life == life && !d.open() {
			w.reopen(d)
		}
	})
}

// compare lets a device ask the others for their fingerprints.
func (w *world) compare(d *device) {
	if !d.up() {
		return
	}
	var results func() []model.PeerVerification
	nonce := [8]byte{byte(w.queue.next), byte(w.queue.next >> 8), byte(w.queue.next >> 16)}
	d.do(func(r hand.Replica) { results = r.Compare(nonce) })
	w.checks.comparisons = append(w.checks.comparisons, results)
}

// inspect verifies what a device has stored.
func (w *world) inspect(d *device) {
	if d.up() && w.draw.fault.IntN(3) == 0 {
		w.verify(d)
	}
}

func (w *world) verify(d *device) {
	w.seen(checked)
	d.do(func(r hand.Replica) {
		problems, err := r.Check()
		if d.store.dead {
			return
		}
		if err != nil || len(problems) > 0 {
			w.fail("%s finds its store in disorder: %q, %v", d.name, problems, err)
		}
	})
}

// burst makes many edits at once.
func (w *world) burst(d *device) {
	for range 2 + w.draw.fault.IntN(6) {
		w.edit(d)
	}
}

// add lets a device add a new one.
func (w *world) add(sponsor *device) {
	if !w.inside(sponsor) || len(w.devices) >= maxDevices || w.anybody(func(d *device) bool { return d.unaware }) {
		return
	}
	name := fmt.Sprint("new ", len(w.devices)+w.checks.unborn) // its keys are the same in all worlds: they are dear
	j, err := encryption.NewJoiner(&encryption.JoinOptions{Name: name, Random: seededBy(0, name)})
	if err != nil {
		w.fail("no joiner: %v", err)
		return
	}
	request := j.Request(encryption.Hash{byte(len(w.devices))})
	var welcome []byte
	sponsor.do(func(r hand.Replica) { welcome, err = r.AddDevice(request) })
	switch {
	case sponsor.rep == nil:
		w.checks.unborn++
		return
	case sponsor.store.failed && err != nil:
		return
	case err != nil:
		w.fail("%s cannot add a device: %v", sponsor.name, err)
		return
	}
	if err := j.OpenWelcome(request.Transcript, welcome); err != nil {
		w.fail("welcome of %s: %v", sponsor.name, err)
		return
	}
	id, err := j.Identity()
	if err != nil {
		w.fail("welcome of %s: %v", sponsor.name, err)
		return
	}
	w.seen(added)
	if w.busy(sponsor) {
		w.seen(addedInSync)
	}
	d := w.newDevice(id)
	w.event("added", sponsor, d)
	if !d.open() {
		w.reopen(d)
	}
	w.use(d)
}

func (w *world) anybody(is func(*device) bool) bool { return len(w.those(is)) > 0 }

// busy says whether something is on its way to or from a device.
func (w *world) busy(d *device) bool {
	for _, e := range d.ends {
		if e.flying+e.peer.flying > 0 {
			return true
		}
	}
	return false
}

// remove lets a device remove another one, while enough are left.
func (w *world) remove(d *device) {
	target := w.devices[w.draw.fault.IntN(len(w.devices))]
	if !w.inside(d) || target.same(d) || len(d.id.Members()) < 3 || w.checks.removals >= 2 || target.id == nil {
		return
	}
	if _, member := d.id.Member(target.id.Device()); !member {
		return
	}
	busy := w.busy(target)
	var err error
	w.event("removes", d, target)
	w.checks.removals++
	d.do(func(r hand.Replica) { _, err = r.RemoveDevice(target.id.Device()) })
	switch {
	case d.rep == nil || d.store.failed && err != nil:
		return
	case err != nil && !errors.Is(err, encryption.ErrOperationRate):
		w.fail("%s cannot remove %s: %v", d.name, target.name, err)
	}
	w.seen(removed)
	if busy {
		w.seen(removedInSync)
	}
}

// rotate lets a device begin an epoch.
func (w *world) rotate(d *device) {
	if !w.inside(d) {
		return
	}
	var err error
	d.do(func(r hand.Replica) { err = r.Rotate() })
	if err == nil {
		w.seen(rotated)
	} else if d.rep != nil && !d.store.failed {
		w.fail("%s cannot begin an epoch: %v", d.name, err)
	}
}
