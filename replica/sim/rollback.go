package sim

import (
	"errors"
	"maps"
)

var errEnd = errors.New("the simulated journal has lost its end")

// save copies a directory.
func (w *world) save(d *device) {
	w.event("saved", d)
	d.saved = &saved{mem: d.disk.mem.Snapshot(), marks: marksOn(d.disk.mem), ahead: maps.Clone(d.own.ahead)}
}

// putBack puts the copy of a directory in its place. It is noticed at the start,
// unless nobody can be harmed by that it is not: because whoever it meets tells it,
// or because nobody has what is lost.
func (w *world) putBack(d *device) {
	if d.saved == nil || w.anybody(func(o *device) bool { return o.unaware }) {
		return
	}
	d.crash()
	state := d.lostState()
	d.disk.mem = d.saved.mem.Snapshot()
	d.own.putBack(d.saved)
	switch {
	case state == knownToSome && w.noticedAtOnce(d), state != knownToSome && w.draw.fault.IntN(3) == 0 && w.noticedAtOnce(d):
		w.seen(backAtOnce)
	case d.keychain != nil && d.behindKeychain():
		w.seen(backAtOnce)
	case state == knownToAll:
		w.seen(backByOthers)
		d.unaware = true
	case state == knownToNone:
		w.seen(backByNobody)
	default:
		w.seen(backAtOnce)
		d.place++
	}
	w.event("put back", d)
	w.reopen(d)
}

// noticedAtOnce draws whether there is anything by which a device notices that its
// directory is older than it was.
func (w *world) noticedAtOnce(d *device) bool {
	switch w.draw.fault.IntN(3) {
	case 0:
		d.place++
	case 1:
		d.disk.lost = errEnd
	default:
		return d.keychain != nil && d.behindKeychain()
	}
	return true
}

// behindKeychain says whether the number in the directory is below the one in the
// keychain.
func (d *device) behindKeychain() bool { return generationOn(d.disk.mem) < d.keychain.n }

// knownTo says who has something that a device is about to lose of its writer.
type knownTo int

const (
	knownToNone knownTo = iota
	knownToSome
	knownToAll
)

// lostState says who has what the saved state lacks of the writer that it would
// write as. Something that may be on its way counts as known to some.
func (d *device) lostState() knownTo {
	writer := writerOn(d.saved.mem)
	last := chainOn(d.saved.mem, writer)
	all, none := true, true
	for _, o := range d.w.devices {
		if o == d {
			continue
		}
		has := chainOn(o.disk.mem, writer) > last
		all, none = all && has, none && !has
		none = none && o.own.ahead[writer] <= last // its documents may have it
		if o.saved != nil && chainOn(o.saved.mem, writer) <= last {
			all = false // it could be put back to that
		}
		if o.rep != nil && (o.rep.Flying() || o.rep.Exchange().Outstanding().Buffered > 0) {
			none = false
		}
		for _, e := range o.ends {
			none = none && e.flying == 0
		}
	}
	switch {
	case all:
		return knownToAll
	case none:
		return knownToNone
	}
	return knownToSome
}

// copy copies a directory to another machine, and both go on, of which the account
// has the one device. The copy is at another place than it was, so that it becomes
// another writer before it says anything; the other one is none the wiser.
func (w *world) copy(d *device) {
	if w.copies > 0 || d.disk.mem == nil || len(w.devices) >= maxDevices || w.anybody(func(o *device) bool { return o.unaware }) {
		return
	}
	w.copies++
	c := w.newDevice(d.file)
	c.place, c.keychain, c.skew = d.place+100, nil, d.skew
	c.disk.mem = d.disk.mem.Snapshot()
	c.own.putBack(&saved{marks: marksOn(c.disk.mem), ahead: maps.Clone(d.own.ahead)})
	w.event("copied", d, c)
	w.seen(copied)
	if !c.open() {
		w.reopen(c)
	}
	w.use(c)
}
