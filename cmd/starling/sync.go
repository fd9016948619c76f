package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// changes gives a token after events of any of the replicas, until ctx ends.
// Tokens that nobody has taken yet are one.
func changes(ctx context.Context, replicas ...client.API) <-chan struct{} {
	changed := make(chan struct{}, 1)
	for _, r := range replicas {
		events := r.Events(ctx, 0)
		go func() {
			for range events {
				select {
				case changed <- struct{}{}:
				default:
				}
			}
		}()
	}
	return changed
}

// fallback is how often something is looked at even when no event tells of a
// change: an exchange that only moves the frontier has none.
const fallback = 20 * time.Millisecond

// until looks at once, after every event and now and then, until it is done.
func until(ctx context.Context, changed <-chan struct{}, look func() (done bool, err error)) error {
	ticks := time.NewTicker(fallback)
	defer ticks.Stop()
	for {
		if done, err := look(); done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// fetchFrom returns once this replica and the device hold the same.
func (e *engine) fetchFrom(ctx context.Context, device encryption.DeviceID) error {
	return e.replica.WaitInSync(ctx, device)
}

// grace is how long a device may take to hang up when it has everything, or
// to come back when it has gone without.
const grace = 5 * time.Second

// handOver returns once the device has what this replica holds and has hung
// up, or has gone without: then it fetches the rest from whom it finds. The
// device is let go first, because it has yet to hear that all was delivered.
func (e *engine) handOver(ctx context.Context, device string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	synced, met := false, false
	since := time.Now() // of the last change between here, in sync and away
	was := model.Peer{}
	return until(ctx, changes(ctx, e), func() (bool, error) {
		p, err := peerOf(ctx, e, device)
		if p.Connected != was.Connected || p.InSync != was.InSync {
			since, was = time.Now(), p
		}
		met, synced = met || p.Connected || p.LastHeard != 0, synced || p.InSync
		waited := time.Since(since) > grace
		switch {
		case err != nil || !met:
			return false, err
		case p.Connected:
			return synced && waited, nil
		}
		return synced || waited, nil
	})
}

func peerOf(ctx context.Context, api client.API, device string) (model.Peer, error) {
	s, err := api.Status(ctx)
	if err != nil {
		return model.Peer{}, err
	}
	for _, p := range s.Peers {
		if p.Device == device {
			return p, nil
		}
	}
	return model.Peer{}, nil
}

// within bounds work in time; running out of it is context.DeadlineExceeded.
func within(ctx context.Context, limit time.Duration, work func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := work(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return err
}
