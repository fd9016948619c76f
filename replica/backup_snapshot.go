package replica

import (
	"bytes"
	"context"
	"fmt"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// A backup of a device whose log does not go back to the beginning has the
// documents as well, as another device would get them: an Offer of the chains
// behind which the log begins, and Parts. So the envelopes that follow begin where
// the documents end.

// backupSnapshot writes what the log does not have.
func (r *Replica) backupSnapshot(ctx context.Context, b *encryption.BackupWriter) error {
	offer := &wire.Offer{}
	if err := r.call(ctx, func(l *loop) { offer.Chains = l.core.Bases() }); err != nil || len(offer.Chains) == 0 {
		return err
	}
	if err := addFrame(b, offer); err != nil {
		return err
	}
	want, part := &wire.Want{}, &wire.Part{More: true}
	for part.More {
		err := r.ask(ctx, func(l *loop) (err error) {
			part, err = l.part(want)
			return err
		})
		if err != nil {
			return err
		}
		if err := addFrame(b, part); err != nil {
			return err
		}
		want.After = part.Last
	}
	return nil
}

func addFrame(b *encryption.BackupWriter, m wire.Message) error {
	frame, err := wire.AppendFrame(nil, m)
	if err != nil {
		return err
	}
	return b.AddSnapshot(frame)
}

// importing is the snapshot of a backup that is being read.
type importing struct {
	chains map[encryption.WriterID]encryption.Chain
	part   *core.Absorb // that was read and not taken in yet
}

// add reads one record.
func (s *importing) add(record []byte) error {
	m, err := wire.NewReader(bytes.NewReader(record)).Read()
	if err != nil {
		return fmt.Errorf("%w: %w", encryption.ErrBackup, err)
	}
	switch m := m.(type) {
	case *wire.Offer:
		s.chains = core.ChainsOf(m)
		return nil
	case *wire.Part:
		s.part = &core.Absorb{Packed: m.Packed}
		if !m.More {
			s.part.Chains = s.chains
		}
		return nil
	}
	return fmt.Errorf("%w: message of type %d in a snapshot", encryption.ErrBackup, m.Type())
}

// takeParts returns when the part that was read is durable.
func (l *loop) takeParts(s *importing) error {
	if s.part == nil {
		return nil
	}
	if err := l.land(); err != nil {
		return err
	}
	l.parts = append(l.parts, *s.part)
	s.part = nil
	if err := l.begin(); err != nil {
		return fmt.Errorf("%w: %w", encryption.ErrBackup, err)
	}
	return l.land()
}
