package replica

import (
	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/change"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// Own changes become envelopes when somebody is there to take them.

// sealOrKeep makes envelopes of own changes while somebody is there to take
// them. Otherwise they wait, so that a long stretch alone becomes a few large
// and well compressed envelopes; the order of changes of one document is kept either way.
func (l *loop) sealOrKeep(g *group) error {
	backlog := l.backlog()
	if !l.seals() || backlog {
		for _, c := range g.run {
			g.batch.Put(tablePending, numberKey(g.next.Pending), encode(c.pending(l.author.Writer)))
			g.next.Pending++
		}
	}
	if !l.seals() {
		return nil
	}
	runs := [][]localChange{g.run}
	if backlog {
		var err error
		if runs, err = l.takePending(g); err != nil {
			return err
		}
	}
	for _, run := range runs {
		if err := l.sealRun(g, run); err != nil {
			return err
		}
	}
	return nil
}

// sealRun makes envelopes of about sealBytes of changes each.
func (l *loop) sealRun(g *group, run []localChange) error {
	for len(run) > 0 {
		n, size := 0, 0
		for n < len(run) && (n == 0 || size+run[n].size() <= sealBytes) {
			size += run[n].size()
			n++
		}
		if err := l.seal(g, run[:n]); err != nil {
			return err
		}
		run = run[n:]
	}
	return nil
}

func (l *loop) seal(g *group, run []localChange) error {
	b, err := batchOf(run).Encode(elision(l.author.Writer))
	if err != nil {
		return err
	}
	a, err := l.core.Seal(l.config.Random, b)
	if err != nil {
		return err
	}
	l.keep(g, a)
	g.batch.Put(tableMeta, keyAnnounced, encode(announcedRecord(l.core.Announced())))
	return nil
}

// elision is what is left out of the batches of a writer: its id, with which its
// keys end.
func elision(w encryption.WriterID) change.Context {
	return change.Context{Actor: w, Suffix: "/" + crdt.Writer(w).String()}
}

// naming is elision for package wire.
func naming(writer [16]byte) change.Context { return elision(writer) }

func batchOf(run []localChange) *wire.Batch {
	b := &wire.Batch{}
	index := map[account.Ref]uint32{}
	for _, c := range run {
		i, ok := index[c.ref]
		if !ok {
			i = uint32(len(b.Docs))
			index[c.ref] = i
			b.Docs = append(b.Docs, wire.Document{Kind: uint8(c.ref.Kind), Entity: c.ref.Entity})
		}
		b.Changes = append(b.Changes, wire.BatchChange{Doc: i, Raw: c.raw, After: c.after})
	}
	return b
}

func announcedRecord(m map[encryption.WriterID]uint64) map[[16]byte]uint64 {
	r := make(map[[16]byte]uint64, len(m))
	for w, seq := range m {
		r[w] = seq
	}
	return r
}
