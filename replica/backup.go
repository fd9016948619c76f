package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

// backupBytes is how much of the log is read at a time, in bytes; importBytes is
// how much is made durable at a time, which is many times larger when unpacked.
const (
	backupBytes = 1 << 20
	importBytes = 128 << 10
)

// Backup writes everything that is durable here to w, encrypted to the recovery
// words: what members and epochs there are, and every envelope up to one point
// between two groups. The replica goes on serving meanwhile, and waits neither
// for w nor for the whole. What was written before an error is of no use.
//
// Errors: ErrNotMember, as others would take nothing that this device vouches
// for; ErrDamaged when an envelope cannot be read; ErrDiskFull, when own changes
// had to be sealed first; what w failed with.
func (r *Replica) Backup(ctx context.Context, w io.Writer) (*encryption.BackupManifest, error) {
	m, err := r.backup(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", closed(err))
	}
	return m, nil
}

func (r *Replica) backup(ctx context.Context, w io.Writer) (*encryption.BackupManifest, error) {
	var rest []wire.Acked // of each writer the next to be written
	m := &encryption.BackupManifest{At: r.config.Clock()}
	err := r.ask(ctx, func(l *loop) (err error) {
		rest, m.Frontier, err = l.sealedFrontier()
		return err
	})
	if err != nil {
		return nil, err
	}
	b, err := r.id.NewBackup(w)
	if errors.Is(err, encryption.ErrNeedsEpoch) { // the words were replaced since the last one
		if err = r.Rotate(ctx); err == nil {
			b, err = r.id.NewBackup(w)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := r.backupSnapshot(ctx, b); err != nil {
		return nil, err
	}
	for len(rest) > 0 {
		if rest, err = r.backupSome(ctx, b, rest, m.Frontier); err != nil {
			return nil, err
		}
	}
	if m.Chats, m.Contacts, err = r.backupCounts(ctx); err != nil {
		return nil, err
	}
	return m, b.Finish(m)
}

// sealedFrontier makes envelopes of all own changes and returns what there is
// then, and where reading it begins.
func (l *loop) sealedFrontier() (rest []wire.Acked, frontier []encryption.Dep, err error) {
	if err := l.outside(); err != nil {
		return nil, nil, err
	}
	if err := l.sealAll(); err != nil {
		return nil, nil, fmt.Errorf("seal own changes: %w", err)
	}
	frontier = l.core.Frontier()
	for _, d := range frontier {
		if from := l.core.Base(d.Writer).Seq + 1; from <= d.Seq {
			rest = append(rest, wire.Acked{Writer: d.Writer, Seq: from})
		}
	}
	return rest, frontier, nil
}

// sealAll makes envelopes of all changes that wait, though nobody may be there
// to take them.
func (l *loop) sealAll() error {
	l.sealing = true
	defer func() { l.sealing = false }()
	for {
		if err := l.land(); err != nil {
			return err
		}
		if err := l.renew(); err != nil {
			return err
		}
		if !l.backlog() {
			return nil
		}
		if err := l.begin(); err != nil {
			return err
		}
	}
}

// backupSome writes the next envelopes of the log, in the order in which they
// were applied, and returns what is left. The log only grows, and what was
// added after the frontier was applied after it.
func (r *Replica) backupSome(ctx context.Context, b *encryption.BackupWriter, rest []wire.Acked, frontier []encryption.Dep) ([]wire.Acked, error) {
	var part core.Loaded
	err := r.call(ctx, func(l *loop) { part = l.load(core.Load{From: rest, Bytes: backupBytes}) })
	if err != nil {
		return nil, err
	}
	if len(part.Missing) > 0 {
		return nil, fmt.Errorf("log of writer %s: %w", part.Missing[0], store.ErrDamaged)
	}
	next := map[encryption.WriterID]uint64{}
	for _, e := range part.Entries {
		if e.Seq <= last(frontier, e.Writer) {
			if err := b.Add(e.Raw); err != nil {
				return nil, err
			}
		}
		next[e.Writer] = e.Seq + 1
	}
	for i, a := range rest {
		rest[i].Seq = max(a.Seq, next[a.Writer])
	}
	return slices.DeleteFunc(rest, func(a wire.Acked) bool { return a.Seq > last(frontier, a.Writer) }), nil
}

// last is the number of the last envelope of w in a frontier.
func last(frontier []encryption.Dep, w encryption.WriterID) uint64 {
	for _, d := range frontier {
		if d.Writer == w {
			return d.Seq
		}
	}
	return 0
}

func (r *Replica) backupCounts(ctx context.Context) (chats, contacts uint64, err error) {
	s, err := r.Status(ctx)
	return uint64(s.Counts.Chats), uint64(s.Counts.Contacts), err
}

// Import takes in what a backup holds, through the same verification as what
// other devices send, and durably. It is for a new replica, whose identity was
// made by b.Restore; b is another reader of the same backup, at its beginning.
//
// Errors: encryption.ErrBackup for a backup that was altered, or holds an
// envelope that does not verify; what the reader of the backup fails with;
// ErrDiskFull. After an error only a part is here.
func (r *Replica) Import(ctx context.Context, b *encryption.BackupReader) error {
	snapshot := &importing{}
	for {
		batch, end, err := nextBatch(b, snapshot)
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		err = r.ask(ctx, func(l *loop) error { return l.takeParts(snapshot) })
		if err == nil {
			err = r.ask(ctx, func(l *loop) error { return l.takeIn(batch) })
		}
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		if end {
			return r.imported(ctx, b.Manifest())
		}
	}
}

// nextBatch reads about importBytes of envelopes, or the next part of the snapshot.
func nextBatch(b *encryption.BackupReader, s *importing) (batch [][]byte, end bool, err error) {
	for size := 0; size < importBytes; {
		raw, err := b.Next()
		if errors.Is(err, io.EOF) {
			return batch, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		if b.Snapshot() {
			if err := s.add(raw); err != nil || s.part != nil {
				return nil, false, err
			}
			continue
		}
		batch = append(batch, raw)
		size += len(raw)
	}
	return batch, false, nil
}

// takeIn returns when all of the batch is durable. One that is not by then is
// refused: in a backup everything comes after what it depends on.
func (l *loop) takeIn(batch [][]byte) error {
	type claim struct {
		writer encryption.WriterID
		seq    uint64
	}
	claims := make([]claim, len(batch))
	for i, raw := range batch {
		w, seq, err := l.core.Import(raw)
		if err != nil {
			return fmt.Errorf("%w: %w", encryption.ErrBackup, err)
		}
		claims[i] = claim{w, seq}
	}
	err := l.drain()
	if _, ok := errors.AsType[*poison](err); ok {
		err = fmt.Errorf("%w: %w", encryption.ErrBackup, err)
	}
	if err != nil {
		return err
	}
	for i, c := range claims {
		if l.core.Seq(c.writer) < c.seq {
			return fmt.Errorf("%w: %w", encryption.ErrBackup, l.core.WhyNot(batch[i]))
		}
	}
	return nil
}

// drain makes everything durable that may be applied.
func (l *loop) drain() error {
	for {
		if err := l.land(); err != nil {
			return err
		}
		if !l.core.Ready() {
			return nil
		}
		if err := l.begin(); err != nil {
			return err
		}
	}
}

// imported checks that what is here is what the backup was made of.
func (r *Replica) imported(ctx context.Context, m *encryption.BackupManifest) error {
	return r.ask(ctx, func(l *loop) error {
		for _, d := range m.Frontier {
			if !l.core.Holds(d) {
				return fmt.Errorf("import: %w: envelope %d of writer %s is not in it", encryption.ErrBackup, d.Seq, d.Writer)
			}
		}
		return nil
	})
}
