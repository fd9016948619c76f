package replica

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/store"
)

// loadMembers gives the identity the operations that the store holds, and
// the store those that only the identity holds: the founding ones.
func (l *loop) loadMembers() error {
	var ops [][]byte
	err := l.config.Store.Scan(tableMembers, nil, nil, func(key, value []byte) error {
		ops = append(ops, slices.Clone(value))
		l.savedOps[[32]byte(key)] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("load membership: %w", err)
	}
	if _, err := l.r.id.Admit(ops...); err != nil {
		return fmt.Errorf("stored membership: %w", errors.Join(ErrDamaged, err))
	}
	return l.saveMembers()
}

// saveMembers makes every admitted operation durable, in a transaction of its
// own, which the loop waits for: membership comes before everything that
// depends on it.
func (l *loop) saveMembers() error { return l.writeMembers(l.r.id.Ops()) }

// writeMembers writes those of ops that the store does not have.
func (l *loop) writeMembers(ops [][]byte) error {
	b := &store.Batch{}
	var keys [][32]byte
	for _, op := range ops {
		if key := sha256.Sum256(op); !l.savedOps[key] {
			b.Put(tableMembers, key[:], op)
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if err := l.config.Store.Commit(b); err != nil {
		return fmt.Errorf("write membership: %w", err)
	}
	for _, key := range keys {
		l.savedOps[key] = true
	}
	return nil
}

// AdmitMembers verifies membership operations that another device sent,
// makes those that are new durable and tells the other devices.
func (r *Replica) AdmitMembers(ctx context.Context, ops [][]byte) error {
	var err error
	if e := r.call(ctx, func(l *loop) { err = l.addMembers(ops) }); e != nil {
		return e
	}
	return err
}

// AddDevice admits the device that a completed pairing asks for, durably,
// and returns the welcome for it. The other devices are told. After an error
// the device is not a member, and the same request can be tried again; only
// an error of the disk itself leaves open, until the next Open, whether it is.
func (r *Replica) AddDevice(ctx context.Context, req *encryption.JoinRequest) (welcome []byte, err error) {
	if e := r.call(ctx, func(l *loop) { welcome, err = l.addDevice(req) }); e != nil {
		err = e
	}
	if err != nil {
		return nil, fmt.Errorf("add device %q: %w", req.Name, closed(err))
	}
	return welcome, nil
}

// addDevice writes the operation before it is admitted: a device that is a
// member in memory only would be told to others, and be there for good, after
// the pairing had failed on both ends.
func (l *loop) addDevice(req *encryption.JoinRequest) ([]byte, error) {
	if err := l.saveMembers(); err != nil { // what it follows must not be missing
		return nil, err
	}
	op, err := l.r.id.PrepareAdd(req, l.config.Clock())
	if err != nil {
		return nil, err
	}
	if err := l.writeMembers([][]byte{op}); err != nil {
		return nil, err
	}
	if err := l.addMembers([][]byte{op}); err != nil {
		return nil, err
	}
	return l.r.id.Welcome(req)
}

func (l *loop) admitMembers(e core.Admit) {
	if err := l.addMembers(e.Ops); err != nil {
		device := ""
		if link := l.links[e.Session]; link != nil {
			device = link.peer.Device.String()
		}
		l.fault(device, fmt.Errorf("membership refused: %w", err))
	}
}

// addMembers admits operations, makes them durable and only then tells. If
// they cannot be written, every session ends, so that nobody learns of them
// from here; they are written before the next session begins.
func (l *loop) addMembers(ops [][]byte) error {
	added, admitErr := l.r.id.Admit(ops...)
	if err := l.saveMembers(); err != nil {
		l.unlinkAll(err)
		return errors.Join(admitErr, err)
	}
	if len(added) > 0 {
		l.announceMembers(added)
	}
	return admitErr
}

func (l *loop) announceMembers(added []encryption.Operation) {
	var raws [][]byte
	for _, op := range added {
		l.config.Log.Info("membership", "operation", op.Kind, "device", op.Target, "author", op.Author)
		l.r.hub.publish([]model.Event{{
			Kind: "member", Entity: op.Target.String(), Device: op.Author.String(),
			Note: operationNote(op),
		}})
		raws = append(raws, op.Raw)
	}
	l.perform(l.core.Step(core.MembersAdded{Ops: raws}))
}

func (r *Replica) heard(d encryption.DeviceID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastHeard[d] = r.config.Clock()
}

func (r *Replica) heardAt(d encryption.DeviceID) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.lastHeard[d]
	return t, ok
}

// operationNote says what an operation did, for people.
func operationNote(op encryption.Operation) string {
	if op.Kind == encryption.OperationGenesis {
		return fmt.Sprintf("account begun on %q", op.Name)
	}
	return fmt.Sprintf("device %q added", op.Name)
}
