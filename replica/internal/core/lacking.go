package core

import (
	"github.com/starling-sync/starling/encryption"
)

// An honest envelope may rest on more than it says. Documents that came of a snapshot
// are ahead of the frontier of who got them until it has all envelopes that they were
// made of, and what is written on top of them rests on those too. A device that has
// neither lacks something, which no number tells. So an envelope that lacks changes is
// no fault of its writer: its log waits until documents have come, or some more
// envelopes, each time for longer. A writer whose envelopes go on to lack something is
// frozen in the end, since each try costs a group of changes.

// maxLacks is how often in a row envelopes of one writer may lack something.
const maxLacks = 12

// lack is a writer whose next envelope lacks something.
type lack struct {
	tries  int
	groups int // that have to become durable before the next try
}

// Lacks says that an admitted envelope of w rests on changes that are not here. The
// host then aborts the group. It returns false for a writer that is frozen over it.
func (x *Exchange) Lacks(w encryption.WriterID, err error) bool {
	n := x.lacking[w].tries + 1
	if n > maxLacks {
		delete(x.lacking, w)
		x.Refuse(w, err)
		return false
	}
	x.lacking[w] = lack{tries: n, groups: 1 << n}
	return true
}

// Filled says that documents are durable which hold what writers lacked, perhaps.
func (x *Exchange) Filled() {
	for w, l := range x.lacking { // order-free: each writer apart
		x.lacking[w] = lack{tries: l.tries}
	}
}

// Lacking says whether the log of any writer waits for what it lacks.
func (x *Exchange) Lacking() bool { return len(x.lacking) > 0 }

// waits says whether the log of w does, for now.
func (l *Ledger) waits(w encryption.WriterID) bool { return l.lacking[w].groups > 0 }

// filledBy follows a group that is durable: what it holds may be what was lacking.
func (l *Ledger) filledBy(entries []Entry) {
	for w, k := range l.lacking { // order-free: each writer apart
		l.lacking[w] = lack{k.tries, max(k.groups-1, 0)}
	}
	for _, e := range entries {
		delete(l.lacking, e.Writer)
	}
}
