package core

import "github.com/starling-sync/starling/encryption"

// Head is the next envelope of a writer's log that goes to a device which lacks it.
type Head struct {
	Writer  encryption.WriterID
	Seq     uint64
	Arrival uint64           // envelopes were applied here in this order
	Deps    []encryption.Dep // that it names
}

// Foremost says which of some heads, of different writers and not none, goes first: of
// those that rest on no other one, or what is behind it, the one that was applied here
// last. So what was done lately goes before a long history of others that it has nothing
// to do with, and everything after what it depends on. The one that was applied first
// rests on none of the others.
func Foremost(heads []Head) int {
	next := make(map[encryption.WriterID]uint64, len(heads))
	for _, h := range heads {
		next[h.Writer] = h.Seq
	}
	best := -1
	for i, h := range heads {
		if (best < 0 || h.Arrival > heads[best].Arrival) && free(h.Deps, next) {
			best = i
		}
	}
	return best
}

// free says whether none of the dependencies is still to be sent.
func free(deps []encryption.Dep, next map[encryption.WriterID]uint64) bool {
	for _, d := range deps {
		if seq, waits := next[d.Writer]; waits && d.Seq >= seq {
			return false
		}
	}
	return true
}
