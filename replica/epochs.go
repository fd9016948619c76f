package replica

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/store"
)

// epochRecord counts what was sealed in the current epoch, by all writers.
type epochRecord struct {
	_     struct{} `cbor:",toarray"`
	Tag   [16]byte
	Since uint64 // counters.Arrival when it began
}

// Rotate begins a new content epoch, so that what is written from now on cannot
// be read with keys that leaked before. It happens by itself after a removal,
// every 30 days, and at 2^20 envelopes. Errors: ErrNotMember.
func (r *Replica) Rotate(ctx context.Context) error {
	if err := r.ask(ctx, func(l *loop) error { return l.rotate(l.asked) }); err != nil {
		return fmt.Errorf("begin a new epoch: %w", err)
	}
	return nil
}

func (l *loop) rotate(prepare func(func(*encryption.Identity, time.Time) (roster, error)) error) error {
	if err := l.outside(); err != nil {
		return err
	}
	return prepare(func(id *encryption.Identity, now time.Time) (roster, error) {
		op, record, err := id.PrepareEpoch(now, l.config.Random)
		return roster{ops: [][]byte{op}, records: [][]byte{record}}, err
	})
}

// freshEpoch rotates if it is due, before something is sealed. When it cannot,
// nothing is sealed: the sessions end, and changes wait.
func (l *loop) freshEpoch() {
	tag, _ := l.r.id.CurrentEpoch()
	if l.epoch.Tag != tag {
		l.epoch = epochRecord{Tag: tag, Since: l.counters.Arrival}
	}
	reason, due := l.r.id.NeedsEpoch(l.config.Clock(), l.counters.Arrival-l.epoch.Since)
	if !due {
		return
	}
	l.config.Log.Info("a new epoch begins", "reason", reason)
	err := l.rotate(l.prepare)
	if _, known := l.r.id.CurrentEpoch(); err == nil && !known {
		err = errNotInForce
	}
	if err != nil {
		err = fmt.Errorf("begin a new epoch: %w", err)
		l.fault("", err)
		l.unlinkAll(err)
	}
}

// errNotInForce is what a copy of a device gets whose original has made another
// operation under the same number.
var errNotInForce = errors.New("it is not in force: this device may run in two places at once")

// welcomePeer hands a device that has come the epochs that it may lack, and
// replaces this device's own key when that is due.
func (l *loop) welcomePeer(device encryption.DeviceID) error {
	if l.standing.State != encryption.StandingMember {
		return nil
	}
	if !l.unsure && l.r.id.NeedsRekey(l.config.Clock()) {
		if err := l.rekey(); err != nil {
			return err
		}
	}
	return l.rewrapFor(device)
}

func (l *loop) rewrapFor(devices ...encryption.DeviceID) error {
	records, err := l.r.id.PrepareRewrap(l.config.Random, devices...)
	if err != nil || len(records) == 0 {
		return err
	}
	return l.addRoster(roster{records: records})
}

// rewrap hands an epoch that has come to the connected devices that its author did
// not know of. They will be sent what is sealed in it, and could not open that.
func (l *loop) rewrap() {
	if l.standing.State != encryption.StandingMember || len(l.links) == 0 {
		return
	}
	var met []encryption.DeviceID
	for _, id := range slices.Sorted(maps.Keys(l.links)) {
		met = append(met, l.links[id].peer.Device)
	}
	if err := l.rewrapFor(met...); err != nil && !errors.Is(err, store.ErrDiskFull) {
		l.fault("", fmt.Errorf("hand on an epoch: %w", err))
	}
}

// handOn hands a device an epoch that it was handed already, and cannot open any more.
func (l *loop) handOn(e core.HandOn) {
	if l.standing.State != encryption.StandingMember {
		return
	}
	record, err := l.r.id.PrepareRewrapOf(l.config.Random, e.Epoch, e.Device)
	if err == nil && record != nil {
		err = l.addRoster(roster{records: [][]byte{record}})
	}
	if err != nil && !errors.Is(err, store.ErrDiskFull) {
		l.fault(e.Device.String(), fmt.Errorf("hand on an epoch: %w", err))
	}
}

func (l *loop) rekey() error {
	return l.prepare(func(id *encryption.Identity, now time.Time) (roster, error) {
		op, seed, err := id.PrepareRekey(now, l.config.Random)
		if err != nil {
			return roster{}, err
		}
		key, err := id.ExportKey(seed, l.config.Random)
		return roster{ops: [][]byte{op}, key: key}, err
	})
}

// maxEarly bounds the epoch records that wait for what they need.
const maxEarly = 64

// admitEpochs admits records. A rewrap of an epoch that is not known here yet may
// come over one stream before the one for this device comes over another: it waits
// for that, and is nobody's fault.
func (l *loop) admitEpochs(records [][]byte) (added [][]byte, err error) {
	if len(records) == 0 {
		return nil, nil
	}
	all := slices.Concat(l.early, records)
	l.early = nil
	added, err = l.r.id.AdmitEpochs(all...)
	if err == nil {
		return added, nil
	}
	var errs []error
	for _, raw := range all {
		more, err := l.r.id.AdmitEpochs(raw)
		added = append(added, more...)
		if errors.Is(err, encryption.ErrUnknownEpoch) && len(l.early) < maxEarly {
			l.early = append(l.early, slices.Clone(raw))
			continue
		}
		errs = append(errs, err)
	}
	return added, errors.Join(errs...)
}
