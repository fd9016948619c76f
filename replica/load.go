package replica

import (
	"fmt"
	"slices"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/store"
)

// load reads envelopes for a session: what was applied last first, as far as it does
// not rest on others that are to be sent.
func (l *loop) load(e core.Load) core.Loaded {
	out := core.Loaded{Session: e.Session}
	heads := make([]*logHead, 0, len(e.From))
	for _, from := range e.From {
		heads = append(heads, &logHead{Head: core.Head{Writer: from.Writer, Seq: from.Seq}})
	}
	for size := 0; size < e.Bytes; {
		h := l.foremost(&heads, &out)
		if h == nil {
			break
		}
		out.Entries = append(out.Entries, core.Entry{Writer: h.Writer, Seq: h.Seq, Raw: h.raw})
		size += len(h.raw)
		h.Seq++
		h.raw = nil
	}
	return out
}

// logHead is the next unread envelope of one writer.
type logHead struct {
	core.Head
	raw []byte // nil: not read yet
}

// foremost returns the head that goes first; heads that have ended or cannot be read
// are taken out.
func (l *loop) foremost(heads *[]*logHead, out *core.Loaded) *logHead {
	*heads = slices.DeleteFunc(*heads, func(h *logHead) bool { return !l.readHead(h, out) })
	if len(*heads) == 0 {
		return nil
	}
	all := make([]core.Head, len(*heads))
	for i, h := range *heads {
		all[i] = h.Head
	}
	return (*heads)[core.Foremost(all)]
}

func (l *loop) readHead(h *logHead, out *core.Loaded) bool {
	if h.raw != nil {
		return true
	}
	if h.Seq > l.core.Seq(h.Writer) {
		return false
	}
	if err := l.readEnvelope(h); err != nil {
		l.fault("", err)
		out.Missing = append(out.Missing, h.Writer)
		return false
	}
	return true
}

func (l *loop) readEnvelope(h *logHead) error {
	rec := &logRecord{}
	found, err := get(l.config.Store, tableLog, logKey(h.Writer, h.Seq), rec)
	if err == nil && !found {
		err = fmt.Errorf("envelope %d of writer %s: %w", h.Seq, h.Writer, store.ErrDamaged)
	}
	if err != nil {
		return err
	}
	var u *encryption.Unverified
	if u, err = l.r.id.OpenEnvelope(rec.Raw); err != nil {
		return fmt.Errorf("envelope %d of writer %s: %w: %w", h.Seq, h.Writer, store.ErrDamaged, err)
	}
	h.Arrival, h.Deps, h.raw = rec.Arrival, u.Deps, rec.Raw
	return nil
}
