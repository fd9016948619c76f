package core

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// A writer's numbers are used once only if its device remembers all it wrote.
// One that was put back to an earlier state does not, and a copy does not know
// of what the original goes on to write. Whoever finds out becomes another
// writer before it seals anything; what it wrote before is then in a log like
// any other, and what it has lost of that comes from others.

// Author is the writer that this device writes as.
type Author struct {
	Writer encryption.WriterID
	Device encryption.DeviceID
	Nonce  [16]byte // the instance nonce that the writer id was made from
}

// instance is how the author's database is named in hellos.
func (a Author) instance() [8]byte { return [8]byte(a.Nonce[:8]) }

// Renew makes a a new writer and the author of what is sealed from now on. No
// group may be in the making.
func (x *Exchange) Renew(a Author) {
	x.author, x.rewound = a, false
	clear(x.announced) // it has said of nothing yet that it has seen it
	clear(x.proposed)
	x.forgetCommon()
	x.fetchNext() // what it has lost may be in an offer
}

// compareOwn looks for what a frontier has of the author and this device lacks.
// A lie costs a new writer, and no second one until something was sealed again.
func (x *Exchange) compareOwn(from encryption.DeviceID, e wire.Entry) {
	w := encryption.WriterID(e.Writer)
	if c := x.durable[w]; e.Seq > c.Seq || e.Seq == c.Seq && c.Head != e.Head {
		x.rewind(from, w, e.Seq)
	}
}

// lost says whether the next envelope of w was sealed by this device, which
// does not have it.
func (l *Ledger) lost(w encryption.WriterID) bool {
	if w != l.author.Writer {
		return false
	}
	c, _ := l.chain(w)
	return slices.ContainsFunc(l.buffered[w][c.Seq+1], func(h held) bool { return l.genuine(h, w) })
}

// rewind asks for a new writer, once, if w is the author.
func (x *Exchange) rewind(from encryption.DeviceID, w encryption.WriterID, seq uint64) {
	if w != x.author.Writer || x.rewound {
		return
	}
	x.rewound = true
	x.forgetCommon()
	x.emit(Rewound{from, fmt.Errorf("device %s knows an envelope %d of this device that is not here", from, seq)})
}

// lives are the databases under which a device has greeted.
type lives struct {
	life        // the present one
	past []life // the newest maxLives of those that were replaced
	told bool
}

// life is a database as others see it.
type life struct {
	instance [8]byte
	returns  int // how often it was replaced and greeted again
}

const maxLives = 8

var errTwice = errors.New("it runs in two places at once, of which one is a copy of the other, or an old state of it was put back")

// met notes who greets as a device. A database that was replaced does not greet
// again, unless two are alive; but one hello may have been on its way when its
// sender became another. The person is told once.
func (x *Exchange) met(d encryption.DeviceID, instance [8]byte) {
	l := x.lives[d]
	if l == nil {
		l = &lives{life: life{instance: instance}}
		x.lives[d] = l
	}
	if l.instance == instance {
		return
	}
	back := life{instance: instance}
	if i := slices.IndexFunc(l.past, func(o life) bool { return o.instance == instance }); i >= 0 {
		back.returns = l.past[i].returns + 1
		l.past = slices.Delete(l.past, i, i+1)
	}
	if back.returns > 1 && !l.told {
		l.told = true
		x.emit(Report{d, fmt.Errorf("device %s: %w", d, errTwice)})
	}
	l.past = append(l.past, l.life)
	l.past = l.past[max(0, len(l.past)-maxLives):]
	l.life = back
}
