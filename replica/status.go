package replica

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/store"
)

// Status returns what the replica knows of itself and the other devices.
// How it can be reached is for the owner of the network to add.
func (r *Replica) Status(ctx context.Context) (model.Status, error) {
	names, err := r.deviceNames(ctx)
	if err != nil {
		return model.Status{}, err
	}
	s := model.Status{Account: r.id.Account().String(), Device: r.id.Device().String(), Standing: r.Standing()}
	if self, known := r.id.KnownDevice(r.id.Device()); known {
		s.Name = self.Name // and not a later one, when it is not a member any more
	}
	if err := r.call(ctx, func(l *loop) { l.status(&s) }); err != nil {
		return s, fmt.Errorf("status: %w", err)
	}
	for _, d := range names {
		if d.ID == s.Device {
			s.Name = d.Name
			continue
		}
		s.Peers = append(s.Peers, r.peer(d, s.Peers))
	}
	s.Peers = namedPeers(s.Peers)
	return s, r.count(ctx, &s.Counts)
}

// status fills in what the loop owns. Connected peers come first, without
// their names.
func (l *loop) status(s *model.Status) {
	frontier, print := l.core.FrontierDigest(), l.print
	s.Frontier, s.Fingerprint = hex.EncodeToString(frontier[:]), hex.EncodeToString(print[:])
	s.Counts.Pending = int(l.counters.Pending - l.counters.Sealed)
	s.Counts.Envelopes = int(l.inLog())
	s.Counts.Writers = len(l.core.Writers())
	s.Counts.Faults = l.faults
	for _, p := range l.core.Peers() {
		link := l.links[p.Session]
		if link == nil {
			continue
		}
		s.Peers = append(s.Peers, model.Peer{
			Device: p.Device.String(), Connected: true, Addr: link.peer.Addr,
			InSync: l.inSync(p), ClockSkew: link.peer.Skew.Milliseconds(),
		})
	}
}

// peer merges what the loop knows of a connected device with its name.
func (r *Replica) peer(d model.DeviceName, connected []model.Peer) model.Peer {
	p := model.Peer{Device: d.ID}
	for _, c := range connected {
		if c.Device == d.ID {
			p = c
		}
	}
	p.Name = d.Name
	if id, err := encryption.ParseDeviceID(d.ID); err == nil {
		if at, ok := r.heardAt(id); ok {
			p.LastHeard = model.TimeOf(at)
		}
	}
	return p
}

// namedPeers drops the entries that have been merged into a named one.
func namedPeers(all []model.Peer) []model.Peer {
	named := []model.Peer{}
	for _, p := range all {
		if p.Name != "" {
			named = append(named, p)
		}
	}
	return named
}

func (r *Replica) count(ctx context.Context, c *model.Counts) error {
	labels, err := readList[model.Label](ctx, r, account.KindLabels)
	if err != nil {
		return err
	}
	settings, err := readList[model.Setting](ctx, r, account.KindSettings)
	if err != nil {
		return err
	}
	c.Labels, c.Settings, c.Devices = len(labels), len(settings), len(r.id.Members())
	if c.Chats, err = countIndex(r.config.Store, account.KindChat); err != nil {
		return err
	}
	c.Contacts, err = countIndex(r.config.Store, account.KindContact)
	return err
}

func countIndex(s store.Store, kind account.Kind) (n int, err error) {
	err = s.Scan(tableIndex, []byte{byte(kind)}, nil, func(_, _ []byte) error {
		n++
		return nil
	})
	if err != nil {
		return n, fmt.Errorf("count %s: %w", kind, closed(err))
	}
	return n, nil
}

// ListDevices returns the members of the account by id.
func (r *Replica) ListDevices(ctx context.Context) ([]model.Device, error) {
	names, err := r.deviceNames(ctx)
	if err != nil {
		return nil, err
	}
	connected := map[string]bool{}
	err = r.call(ctx, func(l *loop) {
		for _, link := range l.links {
			connected[link.peer.Device.String()] = true
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	devices := make([]model.Device, 0, len(names))
	for _, name := range names {
		m, ok := r.member(name.ID)
		if !ok {
			continue
		}
		d := model.Device{
			ID: name.ID, Name: name.Name, AddedAt: model.Time(m.AddedAt),
			Self: m.ID == r.id.Device(), Connected: connected[m.ID.String()],
		}
		if !m.AddedBy.IsZero() {
			d.AddedBy = m.AddedBy.String()
		}
		if at, ok := r.heardAt(m.ID); ok {
			d.LastHeard = model.TimeOf(at)
		}
		devices = append(devices, d)
	}
	return devices, nil
}

func (r *Replica) member(id string) (encryption.Member, bool) {
	d, err := encryption.ParseDeviceID(id)
	if err != nil {
		return encryption.Member{}, false
	}
	return r.id.Member(d)
}

// waiter is a caller of WaitInSync.
type waiter struct {
	device encryption.DeviceID
	done   chan error // capacity 1
}

// WaitInSync returns once this replica holds everything that the given
// device has told it of, and that device holds everything of this one.
func (r *Replica) WaitInSync(ctx context.Context, device encryption.DeviceID) error {
	w := &waiter{device: device, done: make(chan error, 1)}
	if err := r.call(ctx, func(l *loop) { l.waiters = append(l.waiters, w); l.progress() }); err != nil {
		return fmt.Errorf("wait for device %s: %w", device, err)
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		r.leave(ctx, func(l *loop) { l.waiters = slices.DeleteFunc(l.waiters, func(o *waiter) bool { return o == w }) })
		return fmt.Errorf("wait for device %s: %w", device, ctx.Err())
	case <-r.done:
		return fmt.Errorf("wait for device %s: %w", device, ErrClosed)
	}
}

// leave runs fn in the loop for a caller whose context has ended. When the
// replica is closed there is nothing left to undo.
func (r *Replica) leave(ctx context.Context, fn func(*loop)) {
	_ = r.call(context.WithoutCancel(ctx), fn)
}

// progress answers the waiters whose device is in sync.
func (l *loop) progress() {
	if len(l.waiters) == 0 {
		return
	}
	peers := l.core.Peers()
	l.waiters = slices.DeleteFunc(l.waiters, func(w *waiter) bool {
		reached := slices.ContainsFunc(peers, func(p core.Peer) bool { return p.Device == w.device && l.inSync(p) })
		if reached {
			w.done <- nil
		}
		return reached
	})
}

// inSync says whether both ends of a session hold all that either has, as far
// as is known here. Own changes that wait to be sealed count as not delivered.
func (l *loop) inSync(p core.Peer) bool { return p.CaughtUp && p.Delivered && !l.backlog() }
