package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) chatReadCommand() *cobra.Command {
	var p positionFlags
	cmd := &cobra.Command{
		Use: "read CHAT --at TIME --message ID", Short: "Mark a chat read up to a message", Args: cobra.ExactArgs(1),
		Example: "  starling chat read signal:+4912345 --at 2026-01-31T09:30:00Z --message m42",
		RunE: a.does(func(ctx context.Context, args []string) error {
			at, err := p.position()
			if err != nil {
				return err
			}
			if at == nil {
				return client.Errorf(client.CodeBadRequest, "--at and --message are empty")
			}
			return a.editChat(ctx, model.Edit{Op: model.ChatRead, ID: args[0], At: at},
				"Marked %s read up to %s of %s.", args[0], at.ID, at.Time)
		}),
	}
	p.add(cmd, "the newest message that was on the screen")
	require(cmd, "at", "message")
	return cmd
}

func (a *app) chatUnreadCommand() *cobra.Command {
	return a.chatEdit("unread", "Mark a chat unread, as a reminder", model.ChatUnread, "Marked %s unread.")
}

// require marks flags that exist as required.
func require(cmd *cobra.Command, flags ...string) {
	for _, f := range flags {
		if err := cmd.MarkFlagRequired(f); err != nil {
			panic(err) // unreachable: the flags are defined beside this call
		}
	}
}
