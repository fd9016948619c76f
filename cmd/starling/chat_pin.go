package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
)

func (a *app) chatPinCommand() *cobra.Command {
	var before, after string
	cmd := &cobra.Command{
		Use: "pin CHAT", Short: "Pin a chat, behind the last pinned one unless told", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			edit := model.Edit{Op: model.ChatPin, ID: args[0], Before: before, After: after}
			return a.editChat(ctx, edit, "Pinned %s.", args[0])
		}),
	}
	cmd.Flags().StringVar(&before, "before", "", "pin it before this pinned chat")
	cmd.Flags().StringVar(&after, "after", "", "pin it behind this pinned chat")
	cmd.MarkFlagsMutuallyExclusive("before", "after")
	return cmd
}

func (a *app) chatUnpinCommand() *cobra.Command {
	return a.chatEdit("unpin", "Take the pin off a chat", model.ChatUnpin, "Unpinned %s.")
}
