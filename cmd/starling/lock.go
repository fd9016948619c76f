package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) lockCommand() *cobra.Command {
	return &cobra.Command{
		Use: "lock", Short: "Make the running daemon forget all keys until it is unlocked", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.withDaemon(ctx, func(c *client.Client) error {
				if err := c.Lock(ctx); err != nil {
					return err
				}
				return a.report(locked{true}, "Locked %s. Nothing is sent or received until starling unlock.", a.dir)
			})
		}),
	}
}

func (a *app) unlockCommand() *cobra.Command {
	return &cobra.Command{
		Use: "unlock", Short: "Unlock the running daemon", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.withDaemon(ctx, func(c *client.Client) error {
				key, err := a.key()
				if err != nil {
					return err
				}
				if err := c.Unlock(ctx, key); err != nil {
					return err
				}
				return a.report(locked{false}, "Unlocked %s.", a.dir)
			})
		}),
	}
}

// locked is what both print with --json.
type locked struct {
	Locked bool `json:"locked"`
}

// withDaemon performs fn on the running daemon.
func (a *app) withDaemon(ctx context.Context, fn func(*client.Client) error) error {
	if err := a.checkAccount(); err != nil {
		return err
	}
	daemon, err := runningDaemon(ctx, a.dir)
	if err != nil {
		return err
	}
	if daemon == nil {
		return client.Errorf(client.CodeUnreachable, "no daemon runs on %s", a.dir)
	}
	c := client.New(daemon.API)
	return errors.Join(fn(c), c.Close())
}
