package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) watchCommand() *cobra.Command {
	var after uint64
	var count int
	cmd := &cobra.Command{
		Use: "watch", Short: "Print what changes, as it happens, until Ctrl-C", Args: cobra.NoArgs,
		Long: "Print what changes on the running daemon, one event per line, until Ctrl-C or\nuntil --count events were printed. --after goes on from an event seen earlier; an\nevent of kind gap says that some were missed.",
		RunE: a.does(func(ctx context.Context, _ []string) error {
			daemon, err := runningDaemon(ctx, a.dir)
			if err != nil {
				return err
			}
			if daemon == nil {
				return client.Errorf(client.CodeUnreachable, "no daemon runs on %s: start it with starling up", a.dir)
			}
			return a.watch(ctx, client.New(daemon.API), after, count)
		}),
	}
	cmd.Flags().Uint64Var(&after, "after", 0, "go on after the event with this id; 0: from now on")
	cmd.Flags().IntVar(&count, "count", 0, "end after this many events; 0: never")
	return cmd
}

func (a *app) watch(ctx context.Context, c *client.Client, after uint64, count int) error {
	defer c.Close()
	seen := 0
	for event, err := range c.Events(ctx, after) {
		if err != nil {
			return ended(ctx, err)
		}
		if err := a.report(event, "%s", eventLine(&event)); err != nil {
			return err
		}
		if seen++; seen == count {
			return nil
		}
	}
	return nil
}

// ended takes the end that was asked for as success.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func eventLine(e *model.Event) string {
	line := e.Kind
	for _, part := range []string{e.Entity, e.Note} {
		if part != "" {
			line += " " + part
		}
	}
	if e.Device != "" && e.Device != e.Entity {
		line += " (device " + e.Device[:min(8, len(e.Device))] + ")"
	}
	return line
}
