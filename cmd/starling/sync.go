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

// grace is how long a device that went away may take to come back.
const grace = 2 * time.Second

// handOver returns once the device holds what this replica does, or has come
// and gone: what it still lacks it fetches from whom it finds.
func (e *engine) handOver(ctx context.Context, device string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var gone time.Time // when it was first seen to be away
	return until(ctx, changes(ctx, e), func() (bool, error) {
		p, err := peerOf(ctx, e, device)
		switch {
		case err != nil || p.Connected:
			gone = time.Time{}
			return p.InSync, err
		case p.LastHeard == 0:
			return false, nil
		case gone.IsZero():
			gone = time.Now()
		}
		return time.Since(gone) > grace, nil
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
