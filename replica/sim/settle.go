package sim

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
)

// The bounds of a world after its faults are over, in virtual time: how long it may
// take until all members are equal, and how long they are silent then.
const (
	settleTime  = 2 * time.Minute
	silenceTime = 10 * time.Second
	keepTime    = 500 * time.Millisecond // between two tries to connect whom nothing connects

	// stillTicks is how often in a row all must be found equal. Who is a member may
	// still be news that a device brings which is out, and greets once more each time.
	stillTicks = 4
)

// heal ends all faults. From here on everybody tries to reach everybody.
func (w *world) heal() {
	w.event("heal")
	w.healing, w.slow = true, false
	clear(w.apart)
	for _, d := range w.devices {
		d.disk.full, d.disk.dieIn = false, 0
		if !d.up() && w.result.Failure == "" {
			d.open()
		}
	}
	w.checks.healed()
	w.keep()
	w.later(time.Second, w.speak)
}

// speak lets every member write once more, again and again until all are equal. A
// device that has lost the key that an epoch was wrapped for makes another one, but
// is told the secrets only by whoever begins the next epoch, which is who writes.
func (w *world) speak() {
	if w.calm {
		return
	}
	for _, d := range w.members() {
		w.edit(d)
	}
	w.later(8*time.Second, w.speak)
}

// keep connects whom nothing connects, again and again. Each of two calls the other
// in its turn: of a removal that nobody who is left has heard of, a device that is
// out tells those whom it calls, and not those who call it.
func (w *world) keep() {
	all := w.running()
	w.turn = !w.turn
	for i, a := range all {
		for _, b := range all[i+1:] {
			switch {
			case w.calm || w.streams(a, b) > 0:
			case w.turn:
				w.meet(b, a)
			default:
				w.meet(a, b)
			}
		}
	}
	if w.still++; !w.settled() {
		w.still = 0
	}
	w.calm = w.calm || w.still >= stillTicks
	w.later(keepTime, w.keep)
}

// unsettled says who is where.
func (w *world) unsettled() string {
	var all []string
	for _, d := range w.members() {
		x := d.rep.Exchange()
		all = append(all, fmt.Sprintf("%s: digest %x, flying %v, backlog %v, %d ends, %+v, peers %+v",
			d.name, x.Digest(), d.rep.Flying(), d.rep.Backlog(), len(d.ends), x.Outstanding(), x.Peers()))
	}
	return strings.Join(all, "; ")
}

// inside says whether a device takes itself for a member.
func (w *world) inside(d *device) bool { return d.up() && d.rep.Standing() == model.StandingMember }

// members returns the devices that take themselves for members.
func (w *world) members() []*device {
	return w.those(func(d *device) bool { return w.inside(d) && !d.hostile() })
}

// meeting returns the members that are to become equal. Of copies of one device, which
// cannot talk to each other, that is only one where there is nobody to go between them.
func (w *world) meeting() []*device {
	all := w.members()
	if len(all) > 1 && len(w.others(all[0], all)) == 0 {
		return all[:1]
	}
	return all
}

// settled says whether all members hold the same, know it, and wait for nothing.
func (w *world) settled() bool {
	all := w.meeting()
	for _, d := range all {
		if d.rep.Flying() || d.rep.Backlog() && len(all) > 1 || w.holding(d) != w.holding(all[0]) {
			return false
		}
		ends := 0
		for _, e := range d.ends {
			if e.peer.device.hostile() {
				continue
			}
			ends++
			if e.flying > 0 || e.cut || e.link == nil || len(e.arrived) > 0 {
				return false
			}
		}
		if ends < len(w.others(d, all)) {
			return false
		}
		for _, p := range d.rep.Exchange().Peers() {
			if w.hostile != nil && p.Device == w.hostile.id.Device() {
				continue
			}
			if !p.Known || !(p.CaughtUp && p.Delivered || w.parted(d, p.Device)) {
				return false
			}
		}
	}
	return true
}

// parted says whether one of two devices distrusts the hostile member's log, so that they
// may keep it from each other. That all else is equal holding says.
func (w *world) parted(d *device, other encryption.DeviceID) bool {
	return w.anybody(func(o *device) bool {
		return o.rep != nil && (o == d || o.id.Device() == other) && slices.ContainsFunc(o.rep.Exchange().Distrusted(), func(t core.Distrusted) bool {
			return w.hostile != nil && t.Author == w.hostile.id.Device()
		})
	})
}

// holding is a digest of what a device holds. Of what a hostile member has signed
// nothing is expected.
func (w *world) holding(d *device) [32]byte {
	x := d.rep.Exchange()
	if w.hostile == nil {
		return x.Digest()
	}
	var all []byte
	for _, writer := range x.Writers() {
		if c := x.Writer(writer); c.Device != w.hostile.id.Device() {
			all = fmt.Append(all, writer, c.Seq, c.Head)
		}
	}
	return sha256.Sum256(all)
}

// others returns those of all that a device can talk to.
func (w *world) others(d *device, all []*device) (others []*device) {
	for _, o := range all {
		if !o.same(d) {
			others = append(others, o)
		}
	}
	return others
}

// silence waits, and nobody may say anything.
func (w *world) silence() {
	if w.result.Failure != "" {
		return
	}
	if !w.settled() {
		w.fail("not settled %v after the faults ended: %s", settleTime, w.unsettled())
		return
	}
	before := w.said
	w.run(w.now+silenceTime, never)
	if w.result.Failure == "" && w.said != before && w.hostile == nil { // who may be waited for
		w.fail("%d bytes were sent when all had been said", w.said-before)
	}
}
