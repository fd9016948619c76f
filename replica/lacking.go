package replica

import (
	"fmt"

	"github.com/starling-sync/starling/crdt/account"
)

// An envelope of an honest device may rest on changes that neither came in another
// envelope nor are named by it (package core says why). Its document is asked for by
// name then, as one that is damaged is: its author has it, at least.

// lackError is the failure of changes to apply to a document that lacks others.
type lackError struct {
	ref account.Ref
	id  account.DocumentID
	err error
}

func (e *lackError) Error() string { return fmt.Sprintf("%s: %v", e.ref, e.err) }
func (e *lackError) Unwrap() error { return e.err }

// lacks asks for the document that an envelope lacks something in, and says whether
// that is no reason yet to freeze its writer.
func (l *loop) lacks(p *poison, e *lackError) bool {
	if !l.core.Lacks(p.writer, p.err) {
		return false
	}
	l.config.Log.Info("an envelope lacks changes of a document", "writer", p.writer, "err", p.err)
	l.lacked[e.id] = true
	l.wants(e.id)
	return true
}

// filled follows a group that is durable.
func (l *loop) filled(g *group) {
	for _, id := range g.mended {
		if l.lacked[id] {
			delete(l.lacked, id)
			l.core.Filled()
		}
	}
	if len(l.lacked) == 0 || l.core.Lacking() {
		return
	}
	for id := range l.lacked { // order-free: each is deleted
		delete(l.wanted, id)
	}
	clear(l.lacked)
	l.core.Wants(l.wantedIDs())
}
