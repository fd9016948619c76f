package main

import (
	"context"
	"errors"
	"time"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// waitFor returns once this replica and the device hold the same, or with
// context.DeadlineExceeded after a time.
func (e *engine) waitFor(ctx context.Context, device string, atMost time.Duration) error {
	id, err := encryption.ParseDeviceID(device)
	if err != nil {
		return client.Errorf(client.CodeInternal, "wait for device %q: %w", device, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, atMost, context.DeadlineExceeded)
	defer cancel()
	err = e.replica.WaitInSync(ctx, id)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}
