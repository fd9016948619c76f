package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// with performs fn on the replica of the directory: through the daemon that
// runs on it, or else on the store itself, without a network.
func (a *app) with(ctx context.Context, fn func(client.API) error) error {
	daemon, err := runningDaemon(ctx, a.dir)
	if err != nil {
		return err
	}
	if daemon != nil {
		c := client.New(daemon.API)
		return errors.Join(fn(c), c.Close())
	}
	id, err := a.openIdentity()
	if err != nil {
		return err
	}
	e, err := openEngine(ctx, a.dir, &engineConfig{Identity: id, Offline: true, Log: logTo(a.stderr, slog.LevelError)})
	if err != nil {
		return err
	}
	return errors.Join(fn(e), e.Close())
}

// openIdentity unlocks the directory.
func (a *app) openIdentity() (*encryption.Identity, error) {
	if err := a.checkAccount(); err != nil {
		return nil, err
	}
	u, err := a.unlock()
	if err != nil {
		return nil, err
	}
	id, err := encryption.OpenIdentity(a.dir, u)
	if err != nil {
		return nil, err
	}
	return id, nil
}

// checkAccount says whether there is something to unlock.
func (a *app) checkAccount() error {
	if encryption.Exists(a.dir) {
		return nil
	}
	return client.Errorf(client.CodeNotFound, "%s holds no account: begin one with starling init, or join one with starling join", a.dir)
}
